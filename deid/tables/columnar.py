"""A table as the transforms see it: each column is integer codes into its distinct values.

Values are transformed once per distinct value, not once per row; ``None`` is a missing value. ``rows`` keeps the
1-based data row of the source so that an error can name the place. Distinct values are always in sorted order and
only those that occur: a value of a row that was left out must not survive here, nor decide an order (ARCHITECTURE
section 4, invariant 10). Codes are 32 bits wide: a table of ten million rows is held as its columns.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.signedinteger[Any]]
Mask = npt.NDArray[np.bool_]
Value = str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """``codes[i]`` is the place of row i's value in ``values``."""

    codes: Codes
    values: tuple[Value, ...]

    @staticmethod
    def of(cells: Sequence[Value]) -> Column:
        """A column from its cells."""
        values = tuple(_in_order(set(cells)))
        place = {value: code for code, value in enumerate(values)}
        return Column(codes=np.fromiter((place[cell] for cell in cells), np.int32, len(cells)), values=values)

    def take(self, rows: Codes | Mask) -> Column:
        """These rows only, with only the values that still occur."""
        if rows.dtype == np.bool_ and rows.all():
            return self
        return recode(self.codes[rows], self.values)

    def map(self, change: Callable[[Value], Value]) -> Column:
        """Every distinct value changed once."""
        return recode(self.codes, [change(value) for value in self.values])

    def cells(self) -> list[Value]:
        """The column written out, one entry per row."""
        return [self.values[code] for code in self.codes.tolist()]

    def first_row(self, code: int, rows: Codes) -> int:
        """The lowest source row at which a code stands."""
        return int(rows[self.codes == code].min())


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns of equal length and the data row of the source each row came from."""

    columns: dict[str, Column]
    rows: Codes

    def take(self, rows: Codes | Mask) -> Table:
        """These rows only, in this order."""
        return Table(columns={name: column.take(rows) for name, column in self.columns.items()}, rows=self.rows[rows])


def recode(codes: Codes, values: Sequence[Value]) -> Column:
    """Merge equal values, drop those that do not occur, and put the rest in sorted order."""
    used = np.flatnonzero(np.bincount(codes, minlength=len(values)))
    kept = _in_order([values[code] for code in used.tolist()])
    if len(kept) == len(used) and all(map(operator.is_, kept, (values[code] for code in used.tolist()))):
        if len(used) == len(values):  # nothing to change: the same codes, not a copy of them
            return Column(codes=codes.astype(np.int32, copy=False), values=tuple(kept))
        moved = np.full(len(values), -1, np.int32)
        moved[used] = np.arange(len(kept))
    else:
        moved = np.full(len(values), -1, np.int32)
        place = {value: code for code, value in enumerate(kept)}
        moved[used] = [place[values[code]] for code in used.tolist()]
    return Column(codes=moved[codes], values=tuple(kept))


def _in_order(values: Iterable[Value]) -> list[Value]:
    """The different values, sorted, a missing one first; values that come in order cost one pass."""
    listed = list(values)
    there: list[Value] = [value for value, _ in itertools.groupby(sorted(one for one in listed if one is not None))]
    return [None, *there] if len(there) < len(listed) and None in listed else there
