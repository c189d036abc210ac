"""Dates: a date becomes the month, quarter, year or years it lies in.

GB/T 37964-2019, Annex A: generalisation (泛化技术).
"""

from __future__ import annotations

from deid.tables.values import read_date


def cut_date(value: str, unit: str) -> str:
    """The day, month, quarter, year or N-years a date lies in. Raises UnreadableError where it is no date."""
    day = read_date(value)
    if unit.endswith("-years"):
        width = int(unit.removesuffix("-years"))
        low = day.year - day.year % width
        return f"{low}-{low + width - 1}"
    forms = {
        "day": day.isoformat(),
        "month": f"{day.year:04d}-{day.month:02d}",
        "quarter": f"{day.year:04d}-Q{(day.month + 2) // 3}",
        "year": f"{day.year:04d}",
    }
    return forms[unit]
