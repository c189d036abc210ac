"""Rounding: a number becomes the nearest multiple of a unit.

GB/T 37964-2019, Annex A: generalisation, rounding (取整).
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from deid.tables.values import plain, read_number


def round_number(number: Decimal, unit: float) -> str:
    """The nearest multiple of ``unit``, in exact decimals; a tie goes to the even multiple."""
    step = Decimal(str(unit))
    return plain((number / step).quantize(Decimal(1), ROUND_HALF_EVEN) * step)


def round_value(value: str, unit: float) -> str:
    """The same for text. Raises UnreadableError where it is no number."""
    return round_number(read_number(value), unit)
