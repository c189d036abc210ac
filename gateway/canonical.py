"""Canonical JSON (RFC 8785) and digests over it: the same value gives the same bytes on every machine."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value."""
    return rfc8785.dumps(value)


def digest(value: Any) -> str:
    """SHA-256, hex, over the canonical bytes."""
    return hashlib.sha256(canonical(value)).hexdigest()
