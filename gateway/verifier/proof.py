"""Receipts: C2SP tlog-proof, one file that proves offline that an entry stands in the log.

The extra data is not authenticated by the format: it may open a commitment, it proves nothing by itself.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from .merkle import HASH_SIZE, verify_inclusion
from .note import Checkpoint, VerifierKey, decimal, parse_checkpoint, strict_base64
from .rotation import LogKeys, log_keys

_MAGIC = b"c2sp.org/tlog-proof@v1\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Entry ``index`` stands under ``checkpoint``; ``signed_checkpoint`` is its file, byte for byte."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint
    signed_checkpoint: bytes
    extra: bytes = b""


def format_proof(*, index: int, path: Sequence[bytes], signed_checkpoint: bytes, extra: bytes = b"") -> bytes:
    """The file of a receipt (tlog-proof, "Format")."""
    lines = [f"extra {_encode(extra)}"] if extra else []
    lines += [f"index {index}", *map(_encode, path), ""]
    return _MAGIC + "\n".join(lines).encode() + b"\n" + signed_checkpoint


def parse_proof(data: bytes) -> Proof:
    """Read a receipt strictly; ``ValueError`` where any byte is out of place."""
    if not data.startswith(_MAGIC):
        raise ValueError("not a tlog-proof file")
    head, blank, signed = data.removeprefix(_MAGIC).partition(b"\n\n")
    if not blank:
        raise ValueError("the receipt ends before its checkpoint")
    lines = head.decode("ascii", errors="strict").split("\n")
    extra = b""
    if lines[0].startswith("extra "):
        extra = strict_base64(lines.pop(0).removeprefix("extra "))
        if not extra:
            raise ValueError("the extra line is empty")
    if not lines or not lines[0].startswith("index "):
        raise ValueError("the receipt names no index")
    path = tuple(strict_base64(line) for line in lines[1:])
    if any(len(one) != HASH_SIZE for one in path):
        raise ValueError("a hash of the receipt is not 32 bytes long")
    return Proof(
        index=decimal(lines[0].removeprefix("index ")),
        path=path,
        checkpoint=parse_checkpoint(signed),
        signed_checkpoint=signed,
        extra=extra,
    )


def verify_proof(data: bytes, *, key: VerifierKey | LogKeys, leaf: bytes) -> Proof:
    """The receipt is signed by ``key`` and proves the entry with this leaf hash; ``ValueError`` where not."""
    proof = parse_proof(data)
    checkpoint = log_keys(key).verify(proof.signed_checkpoint)
    verify_inclusion(index=proof.index, size=checkpoint.size, leaf=leaf, proof=proof.path, root=checkpoint.root)
    return proof


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
