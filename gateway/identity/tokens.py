"""Opaque bearer tokens: 256 random bits to the person, their SHA-256 to the database.

A copy of the database opens nothing. A token carries no claim, so there is nothing to forge.
"""

from __future__ import annotations

import base64
import hashlib

PREFIX = "tg_"


def new_token(random: bytes) -> tuple[str, str]:
    """(what the person gets, what is stored) from 32 random bytes."""
    clear = PREFIX + base64.urlsafe_b64encode(random).decode().rstrip("=")
    return clear, token_digest(clear)


def token_digest(clear: str) -> str:
    """The stored form of a token; looking it up by this digest is the whole check, so no comparison leaks time."""
    return hashlib.sha256(clear.encode()).hexdigest()
