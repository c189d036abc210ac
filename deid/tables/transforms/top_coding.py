"""Top coding: a number above a bound becomes the bound.

GB/T 37964-2019, Annex A: generalisation, top coding (顶层编码).
"""

from __future__ import annotations

from decimal import Decimal

from deid.tables.values import plain, read_number


def top_code(value: str, bound: float) -> str:
    """The number or the bound, whichever is less. Raises UnreadableError where it is no number."""
    return plain(min(read_number(value), Decimal(str(bound))))
