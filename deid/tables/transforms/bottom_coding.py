"""Bottom coding: a number below a bound becomes it.

GB/T 37964-2019, Annex A: generalisation, bottom coding (底层编码).
"""

from __future__ import annotations

from decimal import Decimal

from deid.tables.values import plain, read_number


def bottom_code(value: str, bound: float) -> str:
    """The number or the bound, whichever is greater. Raises UnreadableError where it is no number."""
    return plain(max(read_number(value), Decimal(str(bound))))
