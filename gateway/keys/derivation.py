"""From a custodian's key to the key for one use: HKDF-SHA256 (RFC 5869) with a label that cannot be read two ways.

The custodian's id leads the label though the key is already theirs: two custodians never share a derived key even
where one key had been copied to both by mistake.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.keys.port import Purpose, Scope

_LABEL = b"tongguan derived key 1"


def derived_key(custodian_key: bytes, purpose: Purpose, scope: Scope) -> bytes:
    """32 bytes; every part of the scope and the purpose changes all of them."""
    if not scope.custodian or scope.version < 1:
        raise ValueError("a derived key needs a custodian and a version from 1 on")
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=label(purpose, scope)).derive(custodian_key)


def label(purpose: Purpose, scope: Scope) -> bytes:
    """Every part with its length before it; an absent part differs from an empty one."""
    parts = (scope.custodian, purpose.value, scope.dataset, scope.project, str(scope.version))
    return _LABEL + b"".join(map(_framed, parts))


def _framed(part: str | None) -> bytes:
    if part is None:
        return b"-"
    data = part.encode()
    return b"+" + len(data).to_bytes(4, "big") + data
