"""Values as they stand in text: numbers and dates, read and written.

A value that cannot be read as a step needs raises ``UnreadableError``, which never carries the value; the caller knows
the row.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, InvalidOperation

_DATE = re.compile(r"(\d{4})(?:[-/.](\d{1,2})[-/.](\d{1,2})|年(\d{1,2})月(\d{1,2})日|(\d{2})(\d{2}))(?:[T ].*)?\Z")


class UnreadableError(ValueError):
    """This step cannot read this value; carries what was expected, never the value."""


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


def plain(number: Decimal) -> str:
    """A decimal without exponent, trailing zeros or a negative zero."""
    text = f"{number + 0:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
