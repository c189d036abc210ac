"""A participant's name in one project: HMAC-SHA256 of their own random secret under the project's key.

Nothing of the person goes in, so nothing can come out: shred the participant's secret and nobody, the gateway
included, can make the name again. The project's key is a derived key of purpose ``pseudonyms``.
"""

from __future__ import annotations

import hmac

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U to misread
_CHARACTERS = 20
LENGTH = 1 + _CHARACTERS
"""100 bits: among 10 million people the chance that any two share a name is below 1 in 10^16."""
_MIN_SECRET = 16


def pseudonym(project_key: bytes, participant_secret: bytes) -> str:
    """``P`` and 20 letters or digits; the P keeps spreadsheets from reading a number."""
    if len(project_key) != 32 or len(participant_secret) < _MIN_SECRET:
        raise ValueError("a pseudonym needs a key of 32 bytes and a secret of at least 16")
    code = int.from_bytes(hmac.digest(project_key, participant_secret, "sha256")[:13], "big") >> 4
    return "P" + "".join(_ALPHABET[code >> shift & 31] for shift in range(5 * _CHARACTERS - 5, -1, -5))
