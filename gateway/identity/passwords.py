"""Local passwords: argon2id, through a maintained package. A wrong login costs the same time as a wrong password."""

from __future__ import annotations

from functools import cache

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

MINIMUM_LENGTH = 12

_hasher = PasswordHash((Argon2Hasher(),))


def hash_password(password: str) -> str:
    """The stored form. Raises ValueError for fewer than ``MINIMUM_LENGTH`` characters (OWASP ASVS 5.0, 6.2.1)."""
    if len(password) < MINIMUM_LENGTH:
        raise ValueError(f"a password has at least {MINIMUM_LENGTH} characters")
    return _hasher.hash(password)


def password_matches(password: str, stored: str | None) -> bool:
    """False also for an unknown account, after the same work, so that time tells nobody which logins exist."""
    nobody = _nobody()  # for a known login too, or the first unknown one would take longer
    matches = _hasher.verify(password, stored or nobody)
    return matches and stored is not None


@cache
def _nobody() -> str:
    """A hash that no login has; made when it is first wanted, for it takes a quarter of a second."""
    return _hasher.hash("a password that nobody has")
