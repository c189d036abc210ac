"""The body of ``add-checkpoint`` (C2SP tlog-witness): the size the witness knows, the proof, the checkpoint."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.verifier.merkle import HASH_SIZE
from gateway.verifier.note import decimal, strict_base64

MAX_PROOF = 63
MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CosignRequest:
    """``old`` entries are known to the witness; ``proof`` leads from there to ``signed_checkpoint``."""

    old: int
    proof: tuple[bytes, ...]
    signed_checkpoint: bytes


def format_request(*, old: int, proof: Sequence[bytes], signed_checkpoint: bytes) -> bytes:
    """The body."""
    lines = [f"old {old}", *(base64.b64encode(step).decode() for step in proof), "", ""]
    return "\n".join(lines).encode() + signed_checkpoint


def parse_request(body: bytes) -> CosignRequest:
    """Read a body strictly; ``ValueError`` where any byte is out of place."""
    if len(body) > MAX_BYTES:
        raise ValueError("the request is longer than any request we know")
    head, blank, signed = body.partition(b"\n\n")
    lines = head.decode("ascii").split("\n")
    if not blank or not lines[0].startswith("old ") or len(lines) > MAX_PROOF + 1:
        raise ValueError("the request has no old size, no blank line, or too long a proof")
    proof = tuple(strict_base64(line) for line in lines[1:])
    if any(len(step) != HASH_SIZE for step in proof):
        raise ValueError("a hash of the proof is not 32 bytes long")
    return CosignRequest(old=decimal(lines[0].removeprefix("old ")), proof=proof, signed_checkpoint=signed)
