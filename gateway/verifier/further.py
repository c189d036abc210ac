"""SM2 lines of a checkpoint: a private signature type of C2SP signed-note (0xff and a long identifier).

The key id is the first four bytes of SHA-256(name || 0x0A || 0xff || identifier || key), the key 04 || x || y, and the
signature r || s over the note's text. Such a line is looked at only by who names its key; it never stands in for the
Ed25519 line.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from hashlib import sha256

from . import sm2
from .note import parse_note, strict_base64

SM2_TYPE = b"\xfftongguan/sm2-with-sm3@v1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sm2Key:
    """A log's SM2 public key under its name."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes."""
        return sha256(self.name.encode() + b"\n" + SM2_TYPE + self.public_key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(SM2_TYPE + self.public_key).decode()}"

    def line(self, value: bytes) -> bytes:
        """The signature line, with its newline."""
        return f"\u2014 {self.name} {base64.b64encode(self.key_id + value).decode()}\n".encode()


def parse_sm2_key(text: str) -> Sm2Key:
    """``name+id+base64(type || key)``; its id must be its own and its key a point of the curve."""
    parts = text.split("+", 2)
    raw = strict_base64(parts[2]) if len(parts) == 3 else b""
    if not raw.startswith(SM2_TYPE) or not parts[0] or any(one.isspace() for one in parts[0]):
        raise ValueError("not an SM2 key of a log")
    key = Sm2Key(name=parts[0], public_key=raw.removeprefix(SM2_TYPE))
    sm2.read_point(key.public_key)
    if parts[1] != key.key_id.hex():
        raise ValueError("the SM2 key's id is not the hash of its name and key")
    return key


def verify_sm2_line(signed: bytes, key: Sm2Key) -> None:
    """The note carries a good SM2 line of this key and no bad one, or ``ValueError``."""
    note = parse_note(signed)
    lines = [one for one in note.signatures if (one.name, one.key_id) == (key.name, key.key_id)]
    if not lines:
        raise ValueError("the note has no SM2 line of this key")
    for one in lines:
        sm2.verify(key.public_key, note.text, one.value)
