"""Hierarchies: for each value, the ladder of ever coarser values above it.

Two sources: a file in ARX's format or a builder over the values that occur; each is a file of ``transforms``. NCP of a
value at a level is (leaves under it - 1) / (leaves - 1), leaves counted in the file, or for a builder among the values
that occur.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deid.columns import Generalise
from deid.errors import RecipeError, TableError
from deid.tables.columnar import Codes, Column, Value
from deid.tables.transforms.all_or_nothing import TOP, all_or_nothing
from deid.tables.transforms.dates import cut_date
from deid.tables.transforms.hierarchy_files import Ladder, read_hierarchy
from deid.tables.transforms.intervals import interval_of
from deid.tables.transforms.order import neighbours
from deid.tables.transforms.places import place_above
from deid.tables.transforms.prefixes import prefix_of
from deid.tables.values import UnreadableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One quasi-identifier for the search: at each level, the code, label and NCP of each base value."""

    name: str
    codes: tuple[Codes, ...]
    labels: tuple[tuple[Value, ...], ...]
    cost: tuple[npt.NDArray[np.float64], ...]
    fixed: int | None
    weight: float = 1.0

    @property
    def height(self) -> int:
        """The number of levels."""
        return len(self.codes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A column as it stands in the source, to name the place of a fault."""

    name: str
    column: Column
    rows: Codes

    def of(self, code: int) -> str:
        """Column and lowest data row of one distinct value."""
        return f"table, column {self.name!r}, data row {self.column.first_row(code, self.rows)}"


def build_axis(place: Place, rule: Generalise | None, files: Mapping[str, bytes]) -> Axis:
    """The axis of one quasi-identifier; without a hierarchy it has one level, the values themselves."""
    name, column = place.name, place.column
    if rule is None:
        return _axis(name, [(value,) for value in column.values], Counter(), 0)
    if rule.builder == "file":
        ladders = read_hierarchy(files[rule.settings], rule.settings)
        chosen = [_climb(ladders, value, code, place) for code, value in enumerate(column.values)]
        leaves: Counter[tuple[int, Value]] = Counter()
        for ladder in ladders.values():
            leaves.update(enumerate(ladder))
        domain = len(ladders)
    else:
        chosen = [_build(rule, value, code, place) for code, value in enumerate(column.values)]
        leaves = Counter(place for ladder in chosen for place in enumerate(ladder))
        domain = len(chosen)
    if rule.level is not None and rule.level >= len(chosen[0]):
        raise RecipeError(f"columns.{name}", f"level {rule.level} is above the hierarchy's last, {len(chosen[0]) - 1}")
    return _axis(name, chosen, leaves, domain, rule.level)


def _axis(
    name: str, ladders: Sequence[Ladder], leaves: Counter[tuple[int, Value]], domain: int, fixed: int | None = None
) -> Axis:
    codes, labels, costs = [], [], []
    for level in range(len(ladders[0])):
        base = [ladder[level] for ladder in ladders]
        column = Column.of(base)
        codes.append(column.codes)
        labels.append(column.values)
        width = max(domain - 1, 1)
        costs.append(np.array([max(leaves[level, value] - 1, 0) / width for value in base], np.float64))
    return Axis(name=name, codes=tuple(codes), labels=tuple(labels), cost=tuple(costs), fixed=fixed)


def _climb(ladders: Mapping[str, Ladder], value: Value, code: int, place: Place) -> Ladder:
    if value is None:
        # Missing (the recipe keeps it) stays missing on every rung but the last, where all values are one.
        first = next(iter(ladders.values()))
        whole = {ladder[-1] for ladder in ladders.values()} == {first[-1]} and len(first) > 1
        return (*(None for _ in first[:-1]), first[-1] if whole else None)
    if value not in ladders:
        raise TableError(
            f"{place.of(code)}: the hierarchy has no line for this value; add it to the hierarchy file",
            code="table_hierarchy_misses",
        )
    return ladders[value]


def _build(rule: Generalise, value: Value, code: int, place: Place) -> Ladder:
    if rule.builder == "all-or-nothing":
        return all_or_nothing(value)
    if value is None:
        return (None, *(None for _ in range(_rungs(rule))), TOP)
    try:
        if rule.builder == "places":
            return (value, *place_above(value), TOP)
        if rule.builder == "order":
            return (value, *neighbours(value, *rule.settings), TOP)
        return (value, *(_rung(rule.builder, value, setting) for setting in rule.settings), TOP)
    except UnreadableError as error:
        raise TableError(f"{place.of(code)}: {error} is expected", code="table_value") from None


def _rungs(rule: Generalise) -> int:
    if rule.builder == "places":
        return 2
    return len(rule.settings[1] if rule.builder == "order" else rule.settings)


def _rung(builder: str, value: str, setting: Any) -> str:
    if builder == "prefix":
        return prefix_of(value, setting)
    return cut_date(value, setting) if builder == "dates" else interval_of(value, setting)
