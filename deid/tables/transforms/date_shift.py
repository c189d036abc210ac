"""Date shift: all dates of a person move by that person's days.

GB/T 37964-2019, Annex A: randomisation (随机化技术).

One number of days for all dates of a person, so that the intervals between them stay true; another for another person.
"""

from __future__ import annotations

from datetime import timedelta

from deid.tables.values import UnreadableError, read_date


def shift_date(value: str, days: int) -> str:
    """The date moved by this many days; a time of day after it is dropped. Raises UnreadableError."""
    try:
        return (read_date(value) + timedelta(days=days)).isoformat()
    except OverflowError:
        raise UnreadableError("a date that stays in the calendar when shifted") from None
