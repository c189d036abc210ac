"""Noise: a number moves by a drawn amount and is rounded.

GB/T 37964-2019, Annex A: randomisation, noise addition (噪声添加).

The amount is the sum of two Laplace numbers of scale / √2: one the person's own for good, one of this participant set.
Its variance is that of Laplace noise of the scale, 2 scale². However many releases over other sets are averaged, the
first stays, Laplace noise of scale / √2.
"""

from __future__ import annotations

import math
from decimal import Decimal

from deid.tables.columnar import Column, Value
from deid.tables.draws import Drawn
from deid.tables.transforms.rounding import round_number
from deid.tables.values import read_number


def add_noise(column: Column, drawn: Drawn, scale: float, unit: float) -> Column:
    """Each number moved and rounded to a multiple of ``unit``; a missing one stays missing."""
    half = scale / math.sqrt(2)
    cells: list[Value] = []
    for value, own, of_set in zip(column.cells(), drawn.own.tolist(), drawn.of_set.tolist(), strict=True):
        if value is None:
            cells.append(None)
            continue
        moved = half * (_laplace(own) + _laplace(of_set))
        cells.append(round_number(read_number(value) + Decimal(str(moved)), unit))
    return Column.of(cells)


def _laplace(chance: float) -> float:
    """The Laplace number of scale 1 at this quantile."""
    away = chance - 0.5
    return -math.copysign(math.log1p(-2 * min(abs(away), 0.5 - 1e-12)), away)
