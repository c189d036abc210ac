"""PRAM, post-randomisation: a value stays, or is drawn anew from the column. GB/T 37964-2019: randomisation.

The new value follows the shares of the values among the permitted rows, so the shares stay the same in expectation
(invariant PRAM; Gouweleeuw 1998).
"""

from __future__ import annotations

import numpy as np

from deid.tables.columnar import Column, recode
from deid.tables.measures import Floats


def post_randomise(column: Column, stays: Floats, drawn: Floats, chance: float) -> Column:
    """Each value with this chance as it was, else a value drawn by the shares of the column."""
    shares = np.cumsum(np.bincount(column.codes, minlength=len(column.values))) / len(column.codes)
    other = np.minimum(np.searchsorted(shares, drawn, side="right"), len(column.values) - 1)
    return recode(np.where(stays < chance, column.codes, other), column.values)
