"""Canonical JSON (RFC 8785) and digests over it: the same value gives the same bytes on every machine.

Nearly all we hash is words, whole numbers and yes or no, and there the standard library's own writer gives the bytes of
RFC 8785 many times faster; everything else goes to the library that knows the whole of it. A test compares the two.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import rfc8785

_WORDS = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
LARGEST = 2**53 - 1
"""Whole numbers beyond it are no JSON numbers that every machine reads alike (RFC 8785 section 3.2.2.3)."""


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value."""
    return _WORDS(value).encode() if _plain(value) else rfc8785.dumps(value)


def digest(value: Any) -> str:
    """SHA-256, hex, over the canonical bytes."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _plain(value: Any) -> bool:
    """Whether both writers agree: no fractions, no large numbers, keys whose order is the same in every encoding."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is dict:
        return all(type(key) is str and key.isascii() and _plain(each) for key, each in value.items())
    if kind is list:
        return all(_plain(each) for each in value)
    return kind is int and -LARGEST <= value <= LARGEST
