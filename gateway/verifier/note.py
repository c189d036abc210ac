"""Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint), strict: one encoding per value, or refused."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = 0x01
DASH = "— "
MOST_SIGNATURES = 64


class NoteError(ValueError):
    """The note is malformed, or not signed by the key it must be signed by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A log's public key with the name it signs under."""

    name: str
    key_id: bytes
    public_key: bytes

    def text(self) -> str:
        """The vkey string: name, key id in hex, base64 of type and key."""
        return f"{self.name}+{self.key_id.hex()}+{_b64(bytes([ED25519]) + self.public_key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Origin, size and root as signed."""

    origin: str
    size: int
    root: bytes


def key_id(name: str, public_key: bytes) -> bytes:
    """First four bytes of SHA-256 over name, newline, type and key."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([ED25519]) + public_key).digest()[:4]


def verifier_key(name: str, public_key: bytes) -> VerifierKey:
    """The vkey of a raw Ed25519 key."""
    return VerifierKey(name=name, key_id=key_id(name, public_key), public_key=public_key)


def parse_vkey(text: str) -> VerifierKey:
    """Read a vkey string; its key id must be the one its key gives."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3:
        raise NoteError("a vkey is name+hex+base64")
    name, hexed, encoded = parts
    raw = _unb64(encoded)
    if len(raw) != 33 or raw[0] != ED25519 or not name or any(c.isspace() for c in name):
        raise NoteError("the vkey is not an Ed25519 key with a plain name")
    key = verifier_key(name, raw[1:])
    if key.key_id.hex() != hexed:
        raise NoteError("the vkey's key id does not fit its key")
    return key


def verify_note(note: bytes, key: VerifierKey) -> str:
    """The signed text. Raises NoteError unless ``key`` signed it; a known key with a bad signature spoils the note."""
    text, lines = _split(note)
    ours = 0
    for line in lines:
        name, raw = _signature(line)
        if (name, raw[:4]) == (key.name, key.key_id):
            try:
                Ed25519PublicKey.from_public_bytes(key.public_key).verify(raw[4:], text.encode())
            except InvalidSignature:
                raise NoteError("the log's signature does not fit the checkpoint") from None
            ours += 1
    if ours != 1:
        raise NoteError("the checkpoint is not signed by the log's key")
    return text


def parse_checkpoint(text: str) -> Checkpoint:
    """Origin, decimal size without leading zeros, canonical base64 root; extension lines are refused."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise NoteError("a checkpoint has three lines: origin, size, root")
    origin, size, root = lines[:3]
    if not size.isascii() or not size.isdigit() or (size != "0" and size[0] == "0"):
        raise NoteError("the checkpoint's size is not a plain decimal")
    raw = _unb64(root)
    if len(raw) != 32:
        raise NoteError("the checkpoint's root is not 32 bytes")
    return Checkpoint(origin=origin, size=int(size), root=raw)


def read_checkpoint(note: bytes, key: VerifierKey) -> Checkpoint:
    """A checkpoint signed by ``key`` for the origin that is the key's name."""
    checkpoint = parse_checkpoint(verify_note(note, key))
    if checkpoint.origin != key.name:
        raise NoteError("the checkpoint belongs to another log")
    return checkpoint


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """The text a log signs."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{_b64(checkpoint.root)}\n"


def signature_line(key: VerifierKey, signature: bytes) -> str:
    """One signature line, with its newline."""
    return f"{DASH}{key.name} {_b64(key.key_id + signature)}\n"


def _split(note: bytes) -> tuple[str, list[str]]:
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError:
        raise NoteError("the note is not UTF-8") from None
    if any(ord(c) < 0x20 and c != "\n" for c in whole) or not whole.endswith("\n"):
        raise NoteError("the note holds control characters or does not end in a newline")
    text, blank, signatures = whole.rpartition("\n\n")
    lines = signatures.split("\n")[:-1]
    if not blank or not lines or len(lines) > MOST_SIGNATURES:
        raise NoteError("the note has no signature, or too many")
    return text + "\n", lines


def _signature(line: str) -> tuple[str, bytes]:
    if not line.startswith(DASH):
        raise NoteError("a signature line does not begin with a dash")
    name, _, encoded = line[len(DASH) :].partition(" ")
    raw = _unb64(encoded)
    if not name or len(raw) < 5:
        raise NoteError("a signature line is incomplete")
    return name, raw


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unb64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("not base64") from None
    if _b64(raw) != text:
        raise NoteError("base64 in a second spelling of the same bytes")
    return raw
