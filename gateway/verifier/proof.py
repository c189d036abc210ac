"""Receipts (C2SP tlog-proof, version 1): one file that proves one entry under one signed checkpoint, offline."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from gateway.verifier.merkle import ProofError, verify_inclusion
from gateway.verifier.note import Checkpoint, VerifierKey, read_checkpoint

HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a ``.tlog-proof`` file says. ``extra`` is not authenticated."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""


def write_receipt(receipt: Receipt) -> bytes:
    """The file's bytes."""
    lines = [HEADER]
    if receipt.extra:
        lines.append("extra " + base64.b64encode(receipt.extra).decode())
    lines.append(f"index {receipt.index}")
    lines += [base64.b64encode(step).decode() for step in receipt.path]
    return ("\n".join(lines) + "\n\n").encode() + receipt.checkpoint


def read_receipt(data: bytes) -> Receipt:
    """Parse strictly; raises ProofError naming what is wrong."""
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
        if not blank or lines.pop(0) != HEADER:
            raise ProofError("this is not a tlog-proof file")
        extra = b""
        if lines and lines[0].startswith("extra "):
            extra = base64.b64decode(lines.pop(0)[6:], validate=True)
        word, _, index = lines.pop(0).partition(" ")
        if word != "index" or not index.isdigit() or (index != "0" and index[0] == "0"):
            raise ProofError("the receipt's index is not a plain decimal")
        path = tuple(base64.b64decode(line, validate=True) for line in lines)
    except (UnicodeDecodeError, binascii.Error, IndexError):
        raise ProofError("the receipt is damaged") from None
    if any(len(step) != 32 for step in path) or len(path) > 63:
        raise ProofError("a step of the receipt is not 32 bytes, or there are too many")
    receipt = Receipt(index=int(index), path=path, checkpoint=checkpoint, extra=extra)
    if write_receipt(receipt) != data:
        raise ProofError("the receipt is in a second spelling of the same bytes")
    return receipt


def verify_receipt(receipt: Receipt, leaf: bytes, key: VerifierKey) -> Checkpoint:
    """The checkpoint under which ``leaf`` is proven. Raises NoteError or ProofError."""
    checkpoint = read_checkpoint(receipt.checkpoint, key)
    verify_inclusion(leaf, index=receipt.index, size=checkpoint.size, path=receipt.path, root=checkpoint.root)
    return checkpoint
