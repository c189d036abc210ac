"""PRAM, post-randomisation: a value stays or is drawn anew.

GB/T 37964-2019, Annex A: nearest to randomisation (随机化技术).

The new value follows the shares of the values among the permitted rows, so the shares stay the same in expectation
(invariant PRAM; Gouweleeuw 1998). Two such steps of chance √p are one of chance p: the first is the person's own for
good, the second this participant set's, so releases over many sets give back the first step's value at most.
"""

from __future__ import annotations

import math

import numpy as np

from deid.tables.columnar import Codes, Column, Mask, recode
from deid.tables.draws import Drawn
from deid.tables.measures import Floats


def post_randomise(column: Column, stays: Drawn, drawn: Drawn, chance: float) -> Column:
    """Each value with this chance as it was, else a value drawn by the shares of the column."""
    shares = np.cumsum(np.bincount(column.codes, minlength=len(column.values))) / len(column.codes)
    half = math.sqrt(chance)
    first = _step(column.codes, stays.own < half, drawn.own, shares)
    return recode(_step(first, stays.of_set < half, drawn.of_set, shares), column.values)


def _step(codes: Codes, stay: Mask, drawn: Floats, shares: Floats) -> Codes:
    other = np.minimum(np.searchsorted(shares, drawn, side="right"), len(shares) - 1)
    return np.where(stay, codes, other)
