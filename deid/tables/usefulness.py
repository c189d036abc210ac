"""What the table is still good for: how far each column's shares moved, and how far pairs of columns hang together.

``marginals`` is, for each column, half the L1 distance between the shares of its values as written before and after: 0
is untouched, 1 means that no value leaves as it was. ``correlations`` is Cramér's V of each pair before and after (0
independent, 1 one decides the other), on at most the first 50,000 rows by internal code; columns of one value or of
more than 1,000 have none.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from deid.tables.classes import group
from deid.tables.columnar import Codes, Column

MOST_ROWS = 50_000
MOST_VALUES = 1_000
MOST_COLUMNS = 12


def usefulness(before: Mapping[str, Column], after: Mapping[str, Column]) -> dict[str, Any]:
    """Marginals and correlations of the columns both have."""
    names = [name for name in before if name in after]
    counted = names[:MOST_COLUMNS]
    old, new = ({name: _dense(table[name]) for name in counted} for table in (before, after))
    pairs = []
    for first, second in itertools.combinations(counted, 2):
        was, now = _cramers_v(old[first], old[second]), _cramers_v(new[first], new[second])
        if was is not None and now is not None:
            pairs.append({"columns": [first, second], "before": round(was, 6), "after": round(now, 6)})
    return {
        "marginals": {name: round(moved(before[name], after[name]), 6) for name in names},
        "correlations": pairs,
    }


def moved(before: Column, after: Column) -> float:
    """Half the L1 distance between the shares of values."""
    was = dict(zip(before.values, _shares(before), strict=True))
    now = dict(zip(after.values, _shares(after), strict=True))
    return sum(abs(was.get(value, 0.0) - now.get(value, 0.0)) for value in {**was, **now}) / 2


def cramers_v(first: Column, second: Column) -> float | None:
    """Cramér's V without correction for bias; None where it is not defined or too large to count."""
    return _cramers_v(_dense(first), _dense(second))


def _cramers_v(first: tuple[Codes, int], second: tuple[Codes, int]) -> float | None:
    (a, rows), (b, columns) = first, second
    if min(rows, columns) < 2 or max(rows, columns) > MOST_VALUES:
        return None
    table = np.bincount(a * columns + b, minlength=rows * columns).reshape(rows, columns).astype(np.float64)
    wanted = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    square = float(((table - wanted) ** 2 / wanted).sum())
    return float(np.sqrt(min(square / table.sum() / (min(rows, columns) - 1), 1.0)))


def _dense(column: Column) -> tuple[Codes, int]:
    return group(column.codes[:MOST_ROWS])


def _shares(column: Column) -> list[float]:
    found: list[float] = (np.bincount(column.codes, minlength=len(column.values)) / len(column.codes)).tolist()
    return found
