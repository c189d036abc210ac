"""Equivalence classes: which rows look alike, and whether each class satisfies the models.

Rows enter as distinct combinations with weights. A class is good when it has at least k rows, at least l distinct
sensitive values (l-diversity, distinct) and a sensitive distribution within t of the whole table's (t-closeness,
equal distance, that is half the L1 distance). Rows of a class that is not good are suppressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deid.tables.columnar import Codes, Mask

Floats = npt.NDArray[np.float64]
_ROOM = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitive:
    """One protected column with what is wanted of every class; 1 and 1.0 want nothing."""

    name: str
    codes: Codes
    count: int
    wanted_l: int = 1
    wanted_t: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The models a result must satisfy."""

    k: int
    sensitive: tuple[Sensitive, ...] = ()

    @property
    def monotone(self) -> bool:
        """True when merging good classes gives a good class; t-closeness breaks this once rows are suppressed."""
        return all(column.wanted_t >= 1.0 for column in self.sensitive)


def group(keys: Codes) -> tuple[Codes, int]:
    """Class number of each key, dense, and the number of classes."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.empty(len(keys), np.bool_)
    starts[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=starts[1:])
    classes = np.empty(len(keys), np.int64)
    classes[order] = np.cumsum(starts) - 1
    return classes, int(starts.sum())


def combine(columns: Sequence[Codes], sizes: Sequence[int], rows: int) -> Codes:
    """One integer key for each row, equal exactly where all columns are; re-ranked before it could overflow."""
    keys = np.zeros(rows, np.int64)
    room = 1
    for codes, size in zip(columns, sizes, strict=True):
        if room * max(size, 1) >= _ROOM:
            keys, room = group(keys)
        keys = keys * max(size, 1) + codes
        room *= max(size, 1)
    return keys


def good_classes(classes: Codes, count: int, weights: Codes, wanted: Wanted, *, with_t: bool = True) -> Mask:
    """For each class, whether it satisfies the models."""
    sizes = np.bincount(classes, weights, count)
    good: Mask = sizes >= wanted.k
    for column in wanted.sensitive:
        if column.wanted_l > 1:
            good &= distinct_values(classes, count, column.codes, column.count) >= column.wanted_l
        if with_t and column.wanted_t < 1.0:
            good &= distances(classes, count, column, weights) <= column.wanted_t + 1e-12
    return good


def distinct_values(classes: Codes, count: int, codes: Codes, values: int) -> Codes:
    """How many different values each class holds."""
    pairs = np.unique(classes * values + codes)
    return np.bincount(pairs // values, minlength=count)


def distances(classes: Codes, count: int, column: Sensitive, weights: Codes) -> Floats:
    """Earth mover's distance, equal ground distance: half the sum of |class share - whole share| over the values."""
    sizes = np.bincount(classes, weights, count)
    whole = np.bincount(column.codes, weights, column.count) / weights.sum()
    pairs, place = np.unique(classes * column.count + column.codes, return_inverse=True)
    of_class, of_value = pairs // column.count, pairs % column.count
    share = np.bincount(place, weights, len(pairs)) / sizes[of_class]
    # Values absent from a class add their whole share: 1 minus the shares present.
    present = np.bincount(of_class, np.abs(share - whole[of_value]), count)
    absent = 1.0 - np.bincount(of_class, whole[of_value], count)
    result: Floats = (present + absent) / 2
    return result
