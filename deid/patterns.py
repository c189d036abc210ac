"""Personal numbers known by their form, with check digits where the form has one.

Resident identity number of the mainland (GB 11643-1999, ISO 7064 MOD 11-2), Hong Kong identity card (weights 9 to 1,
sum divisible by 11), Macao resident card (form only: its check rule is not published), telephone numbers of the three,
e-mail. Boundaries are written out: ``\\b`` is no boundary between a digit and a Chinese character, as both are word
characters. Full-width digits are read as digits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date
from typing import NamedTuple

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_LEFT, _RIGHT = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"


class Match(NamedTuple):
    """A number of a known form at a place of the text searched."""

    start: int
    kind: str
    severity: str
    text: str


def is_resident_identity_number(text: str) -> bool:
    """Eighteen characters with a real birth date and the right check character."""
    if not re.fullmatch(r"[1-9][0-9]{16}[0-9Xx]", text):
        return False
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text, _WEIGHTS, strict=False))
    return "10X98765432"[total % 11] == text[17].upper()


def is_hkid(text: str) -> bool:
    """One or two letters, six digits and a check character, with or without brackets."""
    found = re.fullmatch(r"([A-Z]{1,2})([0-9]{6})\(?([0-9A])\)?", text)
    if not found:
        return False
    letters = [ord(letter) - 55 for letter in found[1]]
    values = [36, *letters] if len(letters) == 1 else letters
    values += [int(digit) for digit in found[2]]
    values.append(10 if found[3] == "A" else int(found[3]))
    return sum(value * weight for value, weight in zip(values, range(9, 0, -1), strict=True)) % 11 == 0


def _always(_: str) -> bool:
    return True


_FORMS: tuple[tuple[str, str, str, Callable[[str], bool]], ...] = (
    ("resident-identity-number", "high", r"[1-9][0-9]{16}[0-9Xx]", is_resident_identity_number),
    ("hong-kong-identity-card", "high", r"[A-Z]{1,2}[0-9]{6}(?:\([0-9A]\)|[0-9A])", is_hkid),
    ("macao-resident-card", "medium", r"[157](?:/[0-9]{6}/[0-9]|[0-9]{6}\([0-9]\))", _always),
    ("mobile-number-mainland", "medium", r"(?:86[- ]?)?1[3-9][0-9][- ]?[0-9]{4}[- ]?[0-9]{4}", _always),
    ("telephone-hong-kong", "medium", r"(?:852[- ]?[2-9][0-9]{3}[- ]?[0-9]{4}|[2-9][0-9]{3}[- ][0-9]{4})", _always),
    ("telephone-macao", "medium", r"853[- ]?[268][0-9]{3}[- ]?[0-9]{4}", _always),
    ("e-mail", "medium", r"[0-9A-Za-z._%+-]{1,64}@[0-9A-Za-z-]{1,63}(?:\.[0-9A-Za-z-]{2,63})+", _always),
)
_COMPILED = tuple((kind, severity, re.compile(_LEFT + form + _RIGHT), test) for kind, severity, form, test in _FORMS)


def find_patterns(text: str) -> Iterator[Match]:
    """Every personal number known by its form; positions are those of the text after NFKC."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    for kind, severity, form, test in _COMPILED:
        for found in form.finditer(plain):
            if test(found[0]):
                yield Match(found.start(), kind, severity, found[0])
