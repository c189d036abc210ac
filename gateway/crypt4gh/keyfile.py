"""Crypt4GH key files: PEM-like text around 32 bytes, the private one with or without a passphrase.

The private layout is "c4gh-v1", then strings with a big-endian 16-bit length: kdf, [rounds and salt], cipher, key,
[comment]. The standard leaves key files to implementations; this is the layout of the ``crypt4gh`` package, its keys
open here and ours open there. The label between the dashes varies in the wild ("ENCRYPTED PRIVATE KEY"): only BEGIN
and END are relied upon. Work factors are limited, or a false file could keep us busy for days.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gateway.crypt4gh.errors import KeyFileError
from gateway.ports import Randomness

_MAGIC = b"c4gh-v1"
_KEY = 32
_NONCE = 12
_MAX_FILE = 16384
_MAX_ROUNDS = {b"scrypt": 0, b"bcrypt": 10_000, b"pbkdf2_hmac_sha256": 10_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Locked:
    kdf: bytes
    rounds: int
    salt: bytes
    cipher: bytes
    blob: bytes


def read_public_key(text: bytes) -> bytes:
    """32 raw bytes from a public key file. Raises KeyFileError."""
    payload = _payload(text)
    if payload.startswith(_MAGIC):
        raise KeyFileError("this is a private key file, a public one is needed; do not send it to anybody")
    if len(payload) != _KEY:
        raise KeyFileError(f"a public key file holds {_KEY} bytes, this one holds {len(payload)}")
    return payload


def write_public_key(public_key: bytes) -> bytes:
    """The file for 32 raw bytes."""
    return _armour(_sized(public_key), "PUBLIC")


def read_private_key(text: bytes, passphrase: bytes | None = None) -> bytes:
    """32 raw bytes from a private key file; ``passphrase`` is ignored where the file has none. Raises KeyFileError."""
    payload = _payload(text)
    if not payload.startswith(_MAGIC):
        raise KeyFileError("not a Crypt4GH private key: it does not begin with 'c4gh-v1'")
    locked = _parse(payload[len(_MAGIC) :])
    if locked.kdf == locked.cipher == b"none":
        return _sized(locked.blob)
    if b"none" in (locked.kdf, locked.cipher) or locked.cipher != b"chacha20_poly1305":
        raise KeyFileError("the private key is locked in a way that is not known")
    if passphrase is None:
        raise KeyFileError("the private key is locked with a passphrase, and none was given")
    try:
        cipher = ChaCha20Poly1305(_derive(locked, passphrase))
        return _sized(cipher.decrypt(locked.blob[:_NONCE], locked.blob[_NONCE:], None))
    except (InvalidTag, ValueError):
        raise KeyFileError("the passphrase does not open the private key") from None


def write_private_key(
    private_key: bytes, *, passphrase: bytes | None = None, random: Randomness, comment: bytes | None = None
) -> bytes:
    """The file for 32 raw bytes; with a passphrase locked by scrypt (n=16384, r=8, p=1) and ChaCha20-Poly1305."""
    tail = b"" if comment is None else _string(comment)
    if passphrase is None:
        return _armour(_MAGIC + _string(b"none") * 2 + _string(_sized(private_key)) + tail, "PRIVATE")
    if not passphrase:
        raise KeyFileError("an empty passphrase protects nothing: give one, or none at all")
    salt, nonce = random.token(16), random.token(_NONCE)
    locked = _Locked(kdf=b"scrypt", rounds=0, salt=salt, cipher=b"chacha20_poly1305", blob=b"")
    blob = nonce + ChaCha20Poly1305(_derive(locked, passphrase)).encrypt(nonce, _sized(private_key), None)
    parts = (locked.kdf, bytes(4) + salt, locked.cipher, blob)
    return _armour(_MAGIC + b"".join(map(_string, parts)) + tail, "PRIVATE")


def _sized(key: bytes) -> bytes:
    if len(key) != _KEY:
        raise KeyFileError(f"a Crypt4GH key has {_KEY} bytes, this one has {len(key)}")
    return key


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _armour(payload: bytes, label: str) -> bytes:
    body = base64.b64encode(payload).decode()
    return f"-----BEGIN CRYPT4GH {label} KEY-----\n{body}\n-----END CRYPT4GH {label} KEY-----\n".encode()


def _payload(text: bytes) -> bytes:
    if len(text) > _MAX_FILE:
        raise KeyFileError("not a Crypt4GH key file: it is too long")
    lines = [line.strip() for line in text.split(b"\n") if line.strip()]
    if len(lines) < 3 or not lines[0].startswith(b"-----BEGIN ") or not lines[-1].startswith(b"-----END "):
        raise KeyFileError("not a Crypt4GH key file: it needs a BEGIN line, the key and an END line")
    try:
        return base64.b64decode(b"".join(lines[1:-1]), validate=True)
    except binascii.Error:
        raise KeyFileError("not a Crypt4GH key file: what stands between BEGIN and END is not base64") from None


def _parse(data: bytes) -> _Locked:
    strings = _strings(data)
    kdf = next(strings)
    options = b"" if kdf == b"none" else next(strings)
    cipher, blob = next(strings), next(strings)
    return _Locked(kdf=kdf, rounds=int.from_bytes(options[:4], "big"), salt=options[4:], cipher=cipher, blob=blob)


def _strings(data: bytes) -> Iterator[bytes]:
    while True:
        size = int.from_bytes(data[:2], "big")
        if len(data) < 2 + size or len(data) < 2:
            raise KeyFileError("the private key file ends too early")
        yield data[2 : 2 + size]
        data = data[2 + size :]


def _derive(locked: _Locked, passphrase: bytes) -> bytes:
    limit = _MAX_ROUNDS.get(locked.kdf)
    if limit is None or locked.rounds > limit:
        raise KeyFileError("the private key's passphrase function is not known, or its work factor is out of bounds")
    if locked.kdf == b"scrypt":
        return hashlib.scrypt(passphrase, salt=locked.salt, n=1 << 14, r=8, p=1, dklen=_KEY)
    if locked.kdf == b"pbkdf2_hmac_sha256":
        return hashlib.pbkdf2_hmac("sha256", passphrase, locked.salt, locked.rounds, _KEY)
    return _bcrypt(locked, passphrase)


def _bcrypt(locked: _Locked, passphrase: bytes) -> bytes:
    try:
        import bcrypt  # here, not above: only old key files need it, the gateway runs without it
    except ImportError:
        raise KeyFileError("the private key is locked with bcrypt: install 'bcrypt', or lock it with scrypt") from None
    return bcrypt.kdf(
        passphrase, salt=locked.salt, desired_key_bytes=_KEY, rounds=locked.rounds, ignore_few_rounds=True
    )
