"""What one audience learns from several tables about the same people, from their classes alone.

A partition says, for each person of one released table, in which equivalence class they stand and which class of value
each sensitive column gives them; it holds numbers only, no value of any column. Tables are taken as linked by person,
the worst case: inside one project the pseudonyms are the same, and between projects of one institution equal values
link. A person who is missing from a table the audience holds is told from those who are in it.
Source: GB/T 42460-2023 6 (re-identification by combining with other data); ARCHITECTURE section 4, 13.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from deid.errors import TableError

Cells = tuple[int, ...]
"""One person in one table: class number, then a value number for each sensitive column."""
Partition = Mapping[str, Cells]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointRisk:
    """Smallest joint class, people alone in theirs, and the least diverse sensitive column in any joint class."""

    k: int
    uniques: int
    l: int  # noqa: E741  the model's own name


def partition_of(released: BinaryIO, *, quasi: Sequence[str], sensitive: Sequence[str]) -> dict[str, list[int]]:
    """The partition of a Parquet table whose first column names the person. Raises TableError."""
    try:
        table = pq.read_table(pa.BufferReader(released.read()))
        people = table.column(0).to_pylist()
        told = [_numbers(zip(*(table.column(name).to_pylist() for name in quasi), strict=True), table.num_rows)]
        told += [_numbers(table.column(name).to_pylist(), table.num_rows) for name in sensitive]
    except (pa.ArrowException, OSError, KeyError):
        raise TableError("released table: its classes cannot be read", code="table_unreadable") from None
    return {str(person): list(cells) for person, cells in zip(people, zip(*told, strict=True), strict=True)}


def joint_risk(released: Partition, held: Sequence[Partition]) -> JointRisk:
    """Risk of the people in ``released`` for somebody who also holds the others. An empty table has k 0."""
    joint = {person: (cells[0], *(_class(other.get(person)) for other in held)) for person, cells in released.items()}
    sizes = Counter(joint.values())
    diversity = [
        least
        for table in (released, *held)
        for column in range(1, _width(table))
        for least in [_least_diverse(joint, table, column)]
    ]
    return JointRisk(
        k=min(sizes.values(), default=0),
        uniques=sum(size == 1 for size in sizes.values()),
        l=min(diversity, default=1) if joint else 0,
    )


def _least_diverse(joint: Mapping[str, Hashable], table: Partition, column: int) -> int:
    values: dict[Hashable, set[int | None]] = defaultdict(set)
    for person, cell in joint.items():
        at = table.get(person)
        values[cell].add(None if at is None else at[column])
    return min((len(found) for found in values.values() if found != {None}), default=1)


def _class(cells: Cells | None) -> int | None:
    return None if cells is None else cells[0]


def _width(table: Partition) -> int:
    return max((len(cells) for cells in table.values()), default=0)


def _numbers(values: Iterable[Any], rows: int) -> list[int]:
    """Each value's number by first appearance, so that the number itself says nothing of the value."""
    known: dict[Any, int] = {}
    found = [known.setdefault(value, len(known)) for value in values]
    return found or [0] * rows
