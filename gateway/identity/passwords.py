"""Local passwords: argon2id, through a maintained package. A wrong login costs the same time as a wrong password."""

from __future__ import annotations

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

MINIMUM_LENGTH = 12

_hasher = PasswordHash((Argon2Hasher(),))
_nobody = _hasher.hash("a password that nobody has")


def hash_password(password: str) -> str:
    """The stored form. Raises ValueError for fewer than ``MINIMUM_LENGTH`` characters (OWASP ASVS 5.0, 6.2.1)."""
    if len(password) < MINIMUM_LENGTH:
        raise ValueError(f"a password has at least {MINIMUM_LENGTH} characters")
    return _hasher.hash(password)


def password_matches(password: str, stored: str | None) -> bool:
    """False also for an unknown account, after the same work, so that time tells nobody which logins exist."""
    matches = _hasher.verify(password, stored or _nobody)
    return matches and stored is not None
