"""Intervals: a number becomes the interval it lies in.

GB/T 37964-2019, Annex A: generalisation (泛化技术).
"""

from __future__ import annotations

from decimal import Decimal

from deid.tables.values import plain, read_number


def interval_of(value: str, width: float, start: float = 0) -> str:
    """The half-open interval ``[low,high)`` of this width that holds the number. Raises UnreadableError."""
    number, wide, first = read_number(value), Decimal(str(width)), Decimal(str(start))
    low = ((number - first) // wide) * wide + first
    if low > number:  # Decimal's // rounds towards zero
        low -= wide
    return f"[{plain(low)},{plain(low + wide)})"
