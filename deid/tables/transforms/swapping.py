"""Swapping: people trade values with somebody near in rank.

GB/T 37964-2019, Annex A: randomisation, permutation (置换).

The people who trade are drawn; in the order of their values each trades with the next, so a number moves little and
every value that was there is there as often (rank swapping; Moore 1996). It is done twice: among people drawn for good,
then among people drawn for this participant set, so releases over many sets give back the first trade's value at most.
"""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np

from deid.tables.columnar import Codes, Column, recode
from deid.tables.draws import Drawn
from deid.tables.measures import Floats
from deid.tables.values import UnreadableError, read_number


def swap(column: Column, drawn: Drawn, share: float) -> Column:
    """This share of people, drawn, trade values in pairs once or twice; an odd one keeps theirs."""
    half = 1 - math.sqrt(1 - share)  # who trades in neither of two rounds: (1 - half)² = 1 - share
    return _trade(_trade(column, drawn.own, half), drawn.of_set, half)


def _trade(column: Column, drawn: Floats, share: float) -> Column:
    traders = np.flatnonzero(drawn < share)
    order = traders[np.lexsort((drawn[traders], _ranks(column)[column.codes[traders]]))]
    pairs = order[: len(order) // 2 * 2]
    codes = column.codes.copy()
    codes[pairs[::2]], codes[pairs[1::2]] = column.codes[pairs[1::2]], column.codes[pairs[::2]]
    return recode(codes, column.values)


def _ranks(column: Column) -> Codes:
    """Numbers by size where all are numbers, else the order of the text."""
    try:
        keys = [Decimal("-Infinity") if value is None else read_number(value) for value in column.values]
    except UnreadableError:
        return np.arange(len(column.values))
    rank = np.empty(len(keys), np.int64)
    rank[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
    return rank
