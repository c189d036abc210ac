"""Local suppression: a rare value is emptied.

GB/T 37964-2019, Annex A: suppression, local suppression (局部抑制).
"""

from __future__ import annotations

import numpy as np

from deid.tables.columnar import Column, Value, recode


def suppress_rare(column: Column, below: int) -> Column:
    """Values that fewer than ``below`` permitted rows hold become missing."""
    counts = np.bincount(column.codes, minlength=len(column.values)).tolist()
    kept: list[Value] = [value if count >= below else None for value, count in zip(column.values, counts, strict=True)]
    return recode(column.codes, kept)
