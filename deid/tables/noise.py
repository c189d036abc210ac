"""Noise: a number moves by a Laplace amount and is rounded. GB/T 37964-2019: randomisation, noise addition."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal

from deid.tables.columnar import Column, Value
from deid.tables.measures import Floats
from deid.tables.values import plain, read_number


def add_noise(column: Column, drawn: Floats, scale: float, unit: float) -> Column:
    """Each number plus Laplace noise of this scale, rounded to a multiple of ``unit``; a missing one stays missing."""
    step = Decimal(str(unit))
    cells: list[Value] = []
    for value, chance in zip(column.cells(), drawn.tolist(), strict=True):
        if value is None:
            cells.append(None)
            continue
        away = chance - 0.5
        moved = -scale * math.copysign(math.log1p(-2 * min(abs(away), 0.5 - 1e-12)), away)
        noisy = read_number(value) + Decimal(str(moved))
        cells.append(plain((noisy / step).quantize(Decimal(1), ROUND_HALF_EVEN) * step))
    return Column.of(cells)
