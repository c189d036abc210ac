"""A receipt: proof, in one small file, that an entry stands in the log (C2SP tlog-proof)."""

from __future__ import annotations

from gateway.errors import LedgerUnavailable
from gateway.ports import LogFiles
from gateway.verifier import merkle
from gateway.verifier.audit import CHECKPOINT
from gateway.verifier.note import Checkpoint, parse_checkpoint
from gateway.verifier.proof import format_proof

from .log import TreeFiles


def make_receipt(files: LogFiles, index: int, *, extra: bytes = b"") -> bytes:
    """The receipt of entry ``index`` under the present checkpoint; refuses while the checkpoint does not cover it.

    ``extra`` travels unauthenticated. The proof is checked before it is handed out, so a damaged tile gives an error
    here and not a receipt that fails at a regulator's.
    """
    signed, checkpoint = read_checkpoint(files)
    if not 0 <= index < checkpoint.size:
        raise LedgerUnavailable(f"entry {index} is not under a signed checkpoint yet")
    tree = TreeFiles(files, checkpoint.size)
    path = tree.inclusion(index)
    try:
        merkle.verify_inclusion(
            index=index, size=checkpoint.size, leaf=tree.leaf(index), proof=path, root=checkpoint.root
        )
    except ValueError:
        raise LedgerUnavailable(f"the tiles on disk do not prove entry {index} under the checkpoint") from None
    return format_proof(index=index, path=path, signed_checkpoint=signed, extra=extra)


def read_checkpoint(files: LogFiles) -> tuple[bytes, Checkpoint]:
    """The checkpoint file and what it says; its signature is not judged here."""
    signed = files.read(CHECKPOINT)
    if signed is None:
        raise LedgerUnavailable("the ledger has no checkpoint yet")
    try:
        return signed, parse_checkpoint(signed)
    except ValueError as error:
        raise LedgerUnavailable(f"the checkpoint on disk cannot be read: {error}") from None
