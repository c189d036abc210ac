"""Signed notes and checkpoints: C2SP signed-note and tlog-checkpoint, Ed25519 (signature type 0x01).

Parsing is strict: what does not encode back to the same bytes is refused, so no two files mean the same note.
Signatures of unknown keys are ignored, as the standard asks (witnesses and key rotation live there); a known key whose
signature fails refuses the whole note. Errors are ``ValueError``; what they mean is for the caller to say.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = b"\x01"
MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A log's public key under its name (the origin)."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """First 4 bytes of SHA-256(name || 0x0A || type || key) (signed-note, "Signatures")."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.public_key).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature line."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Text that ends in a newline, and who signed it."""

    text: bytes
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A log's head: ``size`` entries under ``root`` (32 bytes); ``text`` is what was signed."""

    origin: str
    size: int
    root: bytes
    text: bytes


def parse_vkey(line: str) -> VerifierKey:
    """A public key string ``name+hex id+base64``; its id must be its own (signed-note, "Signatures")."""
    parts = line.split("+", 2)
    if len(parts) != 3:
        raise ValueError("a verifier key has the form name+id+key")
    name, key_id, encoded = parts
    raw = strict_base64(encoded)
    if raw[:1] != ED25519 or len(raw) != 33:
        raise ValueError("the verifier key is not an Ed25519 key")
    _need_key_name(name)
    key = VerifierKey(name=name, public_key=raw[1:])
    if key_id != key.key_id.hex():
        raise ValueError("the verifier key's id is not the hash of its name and key")
    return key


def parse_note(data: bytes) -> Note:
    """Split a signed note; every byte of ``data`` is accounted for."""
    if len(data) > MAX_NOTE_BYTES:
        raise ValueError("the note is longer than any note we know")
    if any(byte < 0x20 and byte != 0x0A for byte in data):
        raise ValueError("the note holds a control character")
    data.decode("utf-8", errors="strict")
    split = data.rfind(b"\n\n")
    if split < 0 or not data.endswith(b"\n"):
        raise ValueError("the note has no signature block")
    lines = data[split + 2 : -1].split(b"\n")
    if len(lines) > MAX_SIGNATURES:
        raise ValueError("the note has too many signatures")
    return Note(text=data[: split + 1], signatures=tuple(_parse_signature(line) for line in lines))


def verify_note(note: Note, key: VerifierKey) -> None:
    """The note carries a good signature of ``key``, and no bad one."""
    ours = [one for one in note.signatures if (one.name, one.key_id) == (key.name, key.key_id)]
    if not ours:
        raise ValueError("the note is not signed by this key")
    public_key = Ed25519PublicKey.from_public_bytes(key.public_key)
    for one in ours:
        try:
            public_key.verify(one.value, note.text)
        except InvalidSignature:
            raise ValueError("the signature does not verify") from None


def parse_checkpoint(data: bytes) -> Checkpoint:
    """Read a signed checkpoint without judging its signatures."""
    return read_checkpoint_text(parse_note(data).text)


def verify_checkpoint(data: bytes, key: VerifierKey) -> Checkpoint:
    """Read a checkpoint that ``key`` signed for the log of its own name."""
    note = parse_note(data)
    verify_note(note, key)
    checkpoint = read_checkpoint_text(note.text)
    if checkpoint.origin != key.name:
        raise ValueError("the checkpoint is of another log than its key")
    return checkpoint


def read_checkpoint_text(text: bytes) -> Checkpoint:
    """Origin, size, root (tlog-checkpoint, "Note text"); extension lines are allowed and not looked at."""
    lines = text.decode().split("\n")[:-1]
    if len(lines) < 3 or not all(lines):
        raise ValueError("a checkpoint has an origin, a size and a root")
    origin, size, encoded = lines[:3]
    if not _DECIMAL.fullmatch(size):
        raise ValueError("the tree size is not a plain decimal number")
    root = strict_base64(encoded)
    if len(root) != 32:
        raise ValueError("the root is not 32 bytes long")
    return Checkpoint(origin=origin, size=int(size), root=root, text=text)


def checkpoint_text(*, origin: str, size: int, root: bytes) -> bytes:
    """The bytes a log signs."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


def signature_line(key: VerifierKey, signature: bytes) -> bytes:
    """One signature line with its newline."""
    return f"\u2014 {key.name} {base64.b64encode(key.key_id + signature).decode()}\n".encode()


def strict_base64(text: str) -> bytes:
    """Standard base64 with padding; any other spelling of the same bytes is refused (RFC 4648 section 3.5)."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not standard base64") from None
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 in a form that is not canonical")
    return raw


def decimal(text: str) -> int:
    """An ASCII decimal without leading zeros."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError("not a plain decimal number")
    return int(text)


def _parse_signature(line: bytes) -> Signature:
    parts = line.decode().split(" ")
    if len(parts) != 3 or parts[0] != "\u2014":
        raise ValueError("a signature line is malformed")
    _need_key_name(parts[1])
    raw = strict_base64(parts[2])
    if len(raw) < 5:
        raise ValueError("a signature is too short")
    return Signature(name=parts[1], key_id=raw[:4], value=raw[4:])


def _need_key_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() for character in name):
        raise ValueError("a key name is empty or holds a space or a plus sign")
