"""Changes of one value: each takes text and gives text, and names its technique of GB/T 37964-2019.

They see one distinct value at a time and nothing else, so a result can never depend on another participant. Missing
values are not passed in. A value that cannot be read as the step needs raises ``UnreadableError``; the caller knows
the row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from deid.columns import Step

_DATE = re.compile(r"(\d{4})(?:[-/.](\d{1,2})[-/.](\d{1,2})|年(\d{1,2})月(\d{1,2})日|(\d{2})(\d{2}))(?:[T ].*)?\Z")


class UnreadableError(ValueError):
    """This step cannot read this value; carries what was expected, never the value."""


def change_of(step: Step) -> Callable[[str], str]:
    """The function of one step."""
    made: dict[str, Callable[[str], str]] = {
        "round": lambda value: _round(value, step.settings),  # generalisation: rounding
        "top": lambda value: _cap(value, step.settings, top=True),  # generalisation: top coding
        "bottom": lambda value: _cap(value, step.settings, top=False),  # generalisation: bottom coding
        "interval": lambda value: _band(value, *step.settings),  # generalisation: interval
        "prefix": lambda value: value[: step.settings],  # generalisation: truncation of a hierarchical code
        "mask": lambda value: _mask(value, *step.settings),  # suppression: masking
        "number": lambda value: plain(read_number(value)),  # a check: nothing changes but how it is written
        "date": lambda value: cut_date(value, step.settings),  # generalisation: dates
    }
    return made[step.name]


def read_number(value: str) -> Decimal:
    """A finite decimal number."""
    try:
        number = Decimal(value.strip())
    except InvalidOperation:
        raise UnreadableError("a number") from None
    if not number.is_finite():
        raise UnreadableError("a finite number")
    return number


def read_date(value: str) -> date:
    """A calendar date: 2020-03-01, 2020/3/1, 20200301 or 2020年3月1日, with or without a time after it."""
    found = _DATE.match(value.strip())
    if not found:
        raise UnreadableError("a date such as 2020-03-01")
    year, *parts = [part for part in found.groups() if part]
    try:
        return date(int(year), int(parts[0]), int(parts[1]))
    except ValueError:
        raise UnreadableError("a date such as 2020-03-01") from None


def cut_date(value: str, unit: str) -> str:
    """The day, month, quarter, year or N-years a date lies in."""
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


def shift_date(value: str, days: int) -> str:
    """The date moved by this many days; a time of day after it is dropped."""
    try:
        return (read_date(value) + timedelta(days=days)).isoformat()
    except OverflowError:
        raise UnreadableError("a date that stays in the calendar when shifted") from None


def interval(number: Decimal, width: Decimal, start: Decimal) -> str:
    """The half-open interval ``[low,high)`` of this width that holds the number."""
    low = ((number - start) // width) * width + start
    if low > number:  # Decimal's // rounds towards zero
        low -= width
    return f"[{plain(low)},{plain(low + width)})"


def plain(number: Decimal) -> str:
    """A decimal without exponent, trailing zeros or a negative zero."""
    text = f"{number + 0:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _round(value: str, unit: float) -> str:
    step = Decimal(str(unit))
    return plain((read_number(value) / step).quantize(Decimal(1), ROUND_HALF_EVEN) * step)


def _cap(value: str, bound: float, *, top: bool) -> str:
    number, edge = read_number(value), Decimal(str(bound))
    return plain(min(number, edge) if top else max(number, edge))


def _band(value: str, width: float, start: float) -> str:
    return interval(read_number(value), Decimal(str(width)), Decimal(str(start)))


def _mask(value: str, keep: int, character: str) -> str:
    # The masked part has a fixed length: the length of a name or number tells people apart.
    return value[:keep] + character * 3
