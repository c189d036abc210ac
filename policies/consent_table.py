"""The consent table in columns: each column as distinct cells and a code per row, ids in order.

Prepared once, asked many times. A test is computed once per distinct cell, or per distinct combination of cells that
occurs, and spread over the rows. What a cell means is not here but in ``policies.consent`` and ``policies.ages``.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import compress, repeat
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
SHANGHAI = ZoneInfo("Asia/Shanghai")
NEVER, AT_ONCE, OPEN_END = -1, 0, np.iinfo(np.int32).max
COLUMNS = (
    "birth_date", "age_band", "version", "notice", "signed_on", "purposes", "diseases", "places", "recipient_kinds",
    "named_recipients", "sensitive", "provision", "cross_border", "guardian", "reconsent_due", "withdrawn_on",
    "withdrawn_recorded_at",
)  # fmt: skip
"""INTERFACES "Consent table", and the day a withdrawal was recorded."""
FLAGS_AT_MOST = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its distinct cells, and for each row the number of its cell."""

    cells: tuple[str, ...]
    codes: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentTable:
    """Rows in order of participant id. ``starts`` is the first row of each participant; None when each has one row."""

    ids: tuple[str, ...]
    columns: Mapping[str, Column]
    starts: NDArray[np.intp] | None

    @classmethod
    def of_rows(cls, ids: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> ConsentTable:
        """From terms, one mapping per id. Raises ValueError when there are not as many rows as ids."""
        return cls.of_columns(ids, {column: _pick(rows, column) for column in COLUMNS})

    @classmethod
    def of_columns(cls, ids: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> ConsentTable:
        """From columns of cells; a column that is not there is empty. Raises ValueError when lengths differ."""
        order = _order(ids)
        encoded = {name: _encode(columns.get(name), len(ids), order) for name in COLUMNS}
        named = tuple(ids) if order is None else tuple(np.asarray(ids, dtype=object)[order])
        return cls(ids=named, columns=encoded, starts=_starts(named))

    def among(self, people: Container[str]) -> ConsentTable:
        """The rows of these participants alone."""
        kept: Mask = np.fromiter((one in people for one in self.ids), dtype=np.bool_, count=len(self.ids))
        ids = tuple(compress(self.ids, kept.tolist()))
        columns = {name: Column(cells=one.cells, codes=one.codes[kept]) for name, one in self.columns.items()}
        return ConsentTable(ids=ids, columns=columns, starts=_starts(ids))

    @property
    def single(self) -> bool:
        """Whether each participant has one row."""
        return self.starts is None

    @property
    def people(self) -> int:
        """How many participants."""
        return len(self.ids) if self.starts is None else len(self.starts)

    def spread(self, names: tuple[str, ...], test: Callable[..., Any], kind: type) -> NDArray[Any]:
        """``test`` of each row's cells, called once per combination that occurs."""
        columns = [self.columns[name] for name in names]
        distinct, codes = _combined(columns)
        values: NDArray[Any] = np.fromiter((test(*cells) for cells in distinct), dtype=kind, count=len(distinct))
        return values[codes] if len(values) else np.zeros(len(self.ids), dtype=kind)

    def test(self, name: str, passes: Callable[[str], bool]) -> Mask:
        """Which rows' cell of one column passes."""
        return self.spread((name,), passes, np.bool_)

    def highest(self, values: NDArray[np.int32]) -> NDArray[np.int32]:
        """For each row the highest value among its participant's rows."""
        if self.starts is None or not len(values):
            return values
        return np.repeat(np.maximum.reduceat(values, self.starts), self._rows_each())

    def shared_with(self, rows: Mask) -> Mask:
        """The rows of every participant who has one of these rows."""
        return rows if self.starts is None else self.highest(rows.astype(np.int32)) > 0

    def people_among(self, rows: Mask) -> int:
        """How many participants have one of these rows."""
        return int(rows.sum()) if self.starts is None else int(np.logical_or.reduceat(rows, self.starts).sum())

    def ids_of(self, rows: Mask) -> tuple[str, ...]:
        """The participants of these rows, each once, in order."""
        if rows.all() and self.starts is None:
            return self.ids
        found = compress(self.ids, rows.tolist())
        return tuple(found) if self.starts is None else tuple(dict.fromkeys(found))

    def _rows_each(self) -> NDArray[np.intp]:
        return np.diff(np.append(self.starts, len(self.ids)))  # type: ignore[arg-type]  # asked only with starts


def last_of(cell: str, on: date) -> int:
    """The ordinal of a day not after ``on``; NEVER for an empty, unreadable or later one."""
    day = day_of(cell)
    return NEVER if day is None or day > on else day.toordinal()


def first_day_of(cell: str) -> int:
    """The ordinal of the legal day of a date or time; OPEN_END for an empty cell, AT_ONCE for an unreadable one."""
    if not cell:
        return OPEN_END
    day = day_of(cell)
    return AT_ONCE if day is None else day.toordinal()


def day_of(cell: str) -> date | None:
    """A date, or the day in Shanghai of a time with an offset; None when it is neither."""
    try:
        return date.fromisoformat(cell)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.astimezone(SHANGHAI).date()


def _pick(rows: Sequence[Mapping[str, Any]], column: str) -> list[Any]:
    try:
        return list(map(itemgetter(column), rows))
    except KeyError:
        return [row.get(column) for row in rows]


def _order(ids: Sequence[str]) -> NDArray[np.intp] | None:
    """The order of the ids; None when they are in order already."""
    if all(map(str.__le__, ids, ids[1:])):
        return None
    return np.asarray(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.intp)


def _starts(ids: tuple[str, ...]) -> NDArray[np.intp] | None:
    fresh = np.fromiter(map(str.__ne__, ids[1:], ids), dtype=np.bool_, count=max(len(ids) - 1, 0))
    return None if fresh.all() else np.concatenate(([0], np.flatnonzero(fresh) + 1))


def _encode(cells: Iterable[Any] | None, count: int, order: NDArray[np.intp] | None) -> Column:
    cells = repeat(None, count) if cells is None else cells
    raw = list(cells)
    if len(raw) != count:
        raise ValueError(f"a consent column has {len(raw)} cells for {count} ids")
    try:
        distinct = dict.fromkeys(raw)
    except TypeError:  # a list or a mapping is no cell; as text it matches nothing
        raw = [_text(cell) for cell in raw]
        distinct = dict.fromkeys(raw)
    numbers = {cell: number for number, cell in enumerate(distinct)}
    texts = tuple(_text(cell) for cell in numbers)
    if len(numbers) <= 1:
        return Column(cells=texts, codes=np.zeros(count, dtype=np.int32))
    codes = np.fromiter(map(numbers.__getitem__, raw), dtype=np.int32, count=count)
    return Column(cells=texts, codes=codes if order is None else codes[order])


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _combined(columns: Sequence[Column]) -> tuple[list[tuple[str, ...]], NDArray[np.int32]]:
    """Each combination of cells that occurs, and its number for each row."""
    distinct: list[tuple[str, ...]] = [(cell,) for cell in columns[0].cells]
    codes = columns[0].codes
    for column in columns[1:]:
        width = len(column.cells)
        pairs = codes.astype(np.int64) * width + column.codes
        found, codes = _renumber(pairs, len(distinct) * width)
        distinct = [(*distinct[pair // width], column.cells[pair % width]) for pair in found.tolist()]
    return distinct, codes


def _renumber(pairs: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The values that occur, and for each row the place of its value among them."""
    if size > FLAGS_AT_MOST:
        found, codes = np.unique(pairs, return_inverse=True)
        return found, codes.astype(np.int32)
    occurs = np.zeros(size, dtype=np.bool_)
    occurs[pairs] = True
    found = np.flatnonzero(occurs)
    places = np.zeros(size, dtype=np.int32)
    places[found] = np.arange(len(found), dtype=np.int32)
    return found.astype(np.int64), places[pairs]
