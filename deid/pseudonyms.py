"""Check a map of names before it is written into a copy. Making the names needs keys and is not here.

A name is safe when it can stand in a VCF header, a BAM header, a CSV cell and a file name without quoting and cannot
start a formula in a spreadsheet: letters, digits, ``_`` and ``-``, beginning with a letter or digit, at most 64
characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from deid.errors import NamesError

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")


def check_names(names: Mapping[str, str]) -> None:
    """Raise NamesError unless every name is safe, all differ even without regard to case, and none is a code."""
    unsafe = sum(not _SAFE.match(name) for name in names.values())
    if unsafe:
        raise NamesError(f"names: {unsafe} of {len(names)} use characters outside A-Z, a-z, 0-9, _ and -")
    # Without case: file systems and people do not tell P-1a from P-1A.
    if len({name.lower() for name in names.values()}) != len(names):
        raise NamesError("names: two participants would get the same pseudonym", code="names_collide")
    if set(names) & set(names.values()):
        raise NamesError("names: an internal code would leave as somebody's pseudonym", code="names_unchanged")
