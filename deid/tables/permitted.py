"""Whose rows may be used: the permitted participants', in the order of their internal codes, and nobody else's.

The order of the source does not survive, and a value that occurred only in other people's rows is forgotten here
(ARCHITECTURE section 4, invariant 10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from deid.errors import TableError
from deid.tables.columnar import Codes, Table
from deid.tables.reading import MISSING
from deid.tables.transforms.row_order import rising


@dataclass(frozen=True, slots=True, kw_only=True)
class Permitted:
    """Rows of permitted people and, row by row, their internal codes (an Arrow array of text, rising)."""

    table: Table
    codes: Any


def permitted(table: Table, ids: Any, person: str, people: Mapping[str, str]) -> Permitted:
    """The rows of the people in ``people`` (source id to internal code). Raises TableError with the data row."""
    _refuse_nameless(table, ids, person)
    found = pc.index_in(ids, value_set=pa.array(list(people), pa.string()))
    rows = np.flatnonzero(pc.is_valid(found).to_numpy(zero_copy_only=False))
    if not len(rows):
        raise TableError(
            "table: no row belongs to a permitted participant; check that the ids are those of the sample sheet",
            code="table_no_permitted_row",
        )
    numbers = found.drop_null().to_numpy().astype(np.int64)
    _refuse_second_row(table, rows, numbers, person)
    codes = pa.array(list(people.values()), pa.string()).take(pa.array(numbers))
    order = rising(codes)
    return Permitted(table=table.take(rows[order]), codes=codes.take(pa.array(order)))


def everybody(table: Table, ids: Any, person: str, names: Callable[[Any], Any]) -> Permitted:
    """All rows, where nobody is left out: ``names`` makes the internal codes of an array of ids, one to one."""
    if not len(ids):
        raise TableError("table: has a header and no row; check that it is the right file", code="table_empty")
    _refuse_nameless(table, ids, person)
    codes = names(ids)
    rows = rising(codes)
    codes = codes.take(pa.array(rows))
    twice = pc.equal(codes.slice(1), codes.slice(0, len(codes) - 1))
    if (at := pc.index(twice, True).as_py()) >= 0:
        raise _second_row(int(table.rows[rows[at : at + 2].max()]), person)
    return Permitted(table=table.take(rows), codes=codes)


def _refuse_nameless(table: Table, ids: Any, person: str) -> None:
    nameless = pc.or_kleene(pc.is_null(ids), pc.is_in(ids, value_set=pa.array(sorted(MISSING))))
    if (row := pc.index(nameless, True).as_py()) >= 0:
        raise TableError(
            f"table, column {person!r}, data row {int(table.rows[row])}: no participant id", code="table_value"
        )


def _refuse_second_row(table: Table, rows: Codes, numbers: Codes, person: str) -> None:
    counted = np.bincount(numbers)
    if counted.max() > 1:
        raise _second_row(int(table.rows[rows][np.flatnonzero(numbers == counted.argmax())[1]]), person)


def _second_row(row: int, person: str) -> TableError:
    return TableError(
        f"table, column {person!r}, data row {row}: a participant stands in a second row; "
        "a table of people has one row for each",
        code="table_duplicate_participant",
    )
