"""Age in the consent table: whose guardian must have signed, and who has outgrown the guardian's word.

Under 14 the guardian consents (PIPL Art. 31); for research the guardian is still needed to 17, and who comes of age is
asked anew (民法典 Art. 17; the rule catalogue, section 17, "Minors"). An age that nobody can tell excludes.
"""

from __future__ import annotations

import re
from datetime import date

import numpy as np

from policies.consent_table import NEVER, ConsentTable, Mask, day_of, first_day_of, last_of

MAJORITY = 18
BAND = re.compile(r"(\d{1,3})(?:-(\d{1,3})|\+)?")
UNKNOWN, ADULT, MINOR = 0, 1, 2


def guarded(table: ConsentTable, on: date) -> Mask:
    """Adults, and minors whose guardian signed."""
    standing = table.spread(("birth_date", "age_band"), lambda born, band: _standing(born, band, on), np.int8)
    grown: Mask = standing == ADULT
    minor: Mask = standing == MINOR
    return grown | (minor & table.test("guardian", lambda cell: cell.lower() == "yes"))


def outgrown(table: ConsentTable, on: date) -> Mask:
    """Consents that no longer speak for their participant: re-consent is due, or was due at majority and is not there.

    With a date of birth, majority is known. With an age band only, a minor's consent states when re-consent is due, for
    else it would never end.
    """
    due = table.spread(("reconsent_due",), first_day_of, np.int32) <= on.toordinal()
    majority = table.spread(("birth_date",), _majority, np.int32)
    signed = table.spread(("signed_on",), lambda cell: last_of(cell, on), np.int32)
    came_of_age = (signed > NEVER) & (signed < majority) & (majority <= on.toordinal())
    endless = table.spread(("birth_date", "age_band", "reconsent_due"), _endless, np.bool_)
    return np.asarray(due | came_of_age | endless, dtype=np.bool_)


def age_on(born: date, on: date) -> int:
    """Full years lived on a day."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _standing(birth: str, band: str, on: date) -> int:
    born = day_of(birth)
    if birth and (born is None or born > on):
        return UNKNOWN
    if born is not None:
        return ADULT if age_on(born, on) >= MAJORITY else MINOR
    youngest = _youngest(band)
    return UNKNOWN if youngest is None else ADULT if youngest >= MAJORITY else MINOR


def _youngest(band: str) -> int | None:
    """The lower edge of an age band such as 40-49 or 90+; None when it is not one."""
    found = BAND.fullmatch(band)
    if found is None or (found[2] and int(found[2]) < int(found[1])):
        return None
    return int(found[1])


def _majority(birth: str) -> int:
    """The ordinal of the day a participant comes of age; NEVER when the date of birth is not known."""
    born = day_of(birth)
    if born is None:
        return NEVER
    leap_day = (born.month, born.day) == (2, 29)
    return (date(born.year + MAJORITY, 3, 1) if leap_day else born.replace(year=born.year + MAJORITY)).toordinal()


def _endless(birth: str, band: str, due: str) -> bool:
    youngest = _youngest(band)
    return day_of(birth) is None and youngest is not None and youngest < MAJORITY and not due
