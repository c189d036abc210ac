"""Sampling: only some of the permitted people leave.

GB/T 37964-2019, Annex A: statistics, sampling (数据抽样).

Who leaves is drawn from each person's own seed: nobody's place depends on who else is there, and the same people leave
again the next time, so releases cannot be pooled into the whole.
"""

from __future__ import annotations

import numpy as np

from deid.errors import TableError
from deid.tables.columnar import Codes
from deid.tables.measures import Floats


def sample(drawn: Floats, share: float) -> Codes:
    """The rows that stay. Raises TableError when the draw leaves nobody."""
    rows = np.flatnonzero(drawn < share)
    if not len(rows):
        raise TableError("table: the sample is empty; raise `sample`", code="table_empty")
    return rows
