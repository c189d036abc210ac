"""Equivalence classes: which rows look alike, and whether each class satisfies the models.

Rows enter as distinct combinations with weights. A class is good when it has at least k rows, every protected column
is diverse and close enough in it (``deid.tables.measures``), and, where a population is given, the people it could be
are many enough (k-map) and its share among them is not too telling (delta-presence). Rows of a class that is not good
are suppressed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deid.tables.columnar import Codes, Mask
from deid.tables.measures import Classes, Floats, Sensitive, holds

__all__ = ["Classes", "Floats", "Population", "Sensitive", "Wanted", "combine", "good_classes", "group"]
_ROOM = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """People of the population at each combination, and what is wanted: k-map's k, the least and largest presence."""

    weights: Codes
    k: int = 1
    least: float = 0.0
    most: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The models a result must satisfy."""

    k: int
    sensitive: tuple[Sensitive, ...] = ()
    population: Population | None = None

    @property
    def monotone(self) -> bool:
        """True when merging good classes gives a good class; t-closeness breaks this once rows are suppressed."""
        return not any(rule.relative for column in self.sensitive for rule in column.rules)


def group(keys: Codes) -> tuple[Codes, int]:
    """Class number of each key, dense, and the number of classes."""
    if len(keys) and (room := int(keys.max()) + 1) <= 8 * len(keys):  # few enough to number without sorting
        there = np.zeros(room, np.bool_)
        there[keys] = True
        numbers = np.cumsum(there) - 1
        return numbers[keys], int(numbers[-1]) + 1
    order = np.argsort(keys)  # not stable: equal keys get one number in any order
    ordered = keys[order]
    starts = np.empty(len(keys), np.bool_)
    starts[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
    np.cumsum(starts, out=ordered)
    ordered -= 1
    classes = np.empty(len(keys), np.int64)
    classes[order] = ordered
    return classes, int(starts.sum())


def combine(columns: Iterable[Codes], sizes: Sequence[int], rows: int) -> Codes:
    """One integer key for each row, equal exactly where all columns are; re-ranked before it could overflow."""
    keys = np.zeros(rows, np.int64)
    room = 1
    for codes, size in zip(columns, sizes, strict=True):
        if room * max(size, 1) >= _ROOM:
            keys, room = group(keys)
        keys *= max(size, 1)
        keys += codes
        room *= max(size, 1)
    return keys


def good_classes(classes: Classes, wanted: Wanted, *, relative: bool = True) -> Mask:
    """For each class, whether it satisfies the models; ``relative=False`` leaves t-closeness out."""
    sizes = classes.sizes
    good: Mask = sizes >= wanted.k
    ours = classes.weights > 0
    people = (
        classes if wanted.population is None else replace(classes, of=classes.of[ours], weights=classes.weights[ours])
    )
    for column in wanted.sensitive:
        at = column if wanted.population is None else column.of(ours)
        for rule in column.rules:
            if relative or not rule.relative:
                good &= holds(rule, people, at)
    if wanted.population is not None:
        good &= _hidden(classes, sizes, wanted.population)
    return good


def _hidden(classes: Classes, sizes: Floats, population: Population) -> Mask:
    """Which classes the population hides: nobody counts as permitted who is not in the population."""
    people = np.bincount(classes.of, population.weights, classes.count)
    presence = sizes / np.maximum(people, 1)
    good: Mask = (people >= population.k) & (sizes <= people)
    good &= (presence >= population.least - 1e-12) & (presence <= population.most + 1e-12)
    return good
