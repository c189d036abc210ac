"""A secret under a key-encryption key, bound to the context it belongs to (ChaCha20-Poly1305, RFC 8439).

Blob: ``TGW1``, version of the kek (4 bytes, big-endian), nonce (12), ciphertext and MAC. Version and context are
authenticated: a blob moved to another row, owner or custodian does not open.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gateway.keys.errors import CannotUnwrapError

_MAGIC = b"TGW1"
_NONCE = 12
_START = len(_MAGIC) + 4


def wrapped(secret: bytes, *, kek: bytes, version: int, context: str, nonce: bytes) -> bytes:
    """The blob; ``nonce`` is 12 random bytes."""
    start = _MAGIC + version.to_bytes(4, "big")
    return start + nonce + ChaCha20Poly1305(kek).encrypt(nonce, secret, start + context.encode())


def kek_version(blob: bytes) -> int:
    """Which kek a blob needs."""
    if len(blob) < _START + _NONCE + 16 or blob[: len(_MAGIC)] != _MAGIC:
        raise CannotUnwrapError("this is not a wrapped secret")
    return int.from_bytes(blob[len(_MAGIC) : _START], "big")


def unwrapped(blob: bytes, *, kek: bytes, context: str) -> bytes:
    """The secret. Raises CannotUnwrapError."""
    nonce, sealed = blob[_START : _START + _NONCE], blob[_START + _NONCE :]
    try:
        return ChaCha20Poly1305(kek).decrypt(nonce, sealed, blob[:_START] + context.encode())
    except InvalidTag:
        raise CannotUnwrapError(f"the wrapped secret for {context!r} was changed, or belongs elsewhere") from None
