"""How diverse and how close each class is: the measures behind l-diversity and t-closeness, one number per class.

Distinct l is a count; entropy l is exp of the entropy (Machanavajjhala 2007, 3.1); recursive (c,l) holds where the
commonest value is rarer than c times all from the l-th commonest on, so its measure is that ratio. t-closeness is the
earth mover's distance between a class and the whole table: equal (half the L1 distance), ordered (values in order,
neighbours 1/(m-1) apart), hierarchical (values as far apart as the level where they meet; Li 2007, 5.1-5.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from deid.tables.columnar import Codes, Mask

Floats = npt.NDArray[np.float64]
SLACK = 1e-12
_CELLS = 1 << 22  # cells of a dense block of classes by values


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing wanted of every class: ``kind`` is a measure, ``limit`` l or t, ``c`` that of recursive diversity."""

    kind: str
    limit: float
    c: float = 0.0

    @property
    def relative(self) -> bool:
        """True where classes are held against the whole table, which moves when rows are left out."""
        return self.kind in {"equal", "ordered", "hierarchical"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitive:
    """One protected column: codes in the order of its values, what is wanted, and for a tree the code at each level."""

    name: str
    codes: Codes
    count: int
    rules: tuple[Rule, ...] = ()
    tree: Codes | None = None

    def of(self, kept: Mask | Codes) -> Sensitive:
        """The same column for these combinations only."""
        return replace(self, codes=self.codes[kept])


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """Rows in classes: the class of each combination, how many classes, the weight of each combination."""

    of: Codes
    count: int
    weights: Codes

    @property
    def sizes(self) -> Floats:
        """Rows in each class."""
        found: Floats = np.bincount(self.of, self.weights, self.count).astype(np.float64)
        return found


def holds(rule: Rule, classes: Classes, column: Sensitive) -> Mask:
    """For each class, whether it satisfies the rule."""
    found = measure(rule, classes, column)
    fine: Mask = found >= rule.limit
    if rule.relative:
        fine = found <= rule.limit + SLACK
    elif rule.kind == "recursive":
        fine = found < rule.c
    elif rule.kind == "entropy":
        fine = np.log(np.maximum(found, 1)) >= np.log(rule.limit) - SLACK
    return fine


def measure(rule: Rule, classes: Classes, column: Sensitive) -> Floats:
    """The measure of each class; for recursive diversity the ratio that must stay below c."""
    measures: dict[str, Callable[[], Floats]] = {
        "distinct": lambda: distinct(classes, column),
        "entropy": lambda: entropy(classes, column),
        "recursive": lambda: recursive(classes, column, int(rule.limit)),
        "equal": lambda: equal(classes, column),
        "ordered": lambda: ordered(classes, column),
        "hierarchical": lambda: hierarchical(classes, column),
    }
    return measures[rule.kind]()


def _pairs(classes: Classes, column: Sensitive) -> tuple[Codes, Codes, Floats]:
    """Class, value and rows of each pair of class and value that occurs, by class."""
    keys = classes.of * column.count + column.codes
    if classes.count * column.count <= 4 * len(keys):  # few enough to count without sorting
        pairs = np.flatnonzero(np.bincount(keys))
        rows: Floats = np.bincount(keys, classes.weights).astype(np.float64)[pairs]
        return pairs // column.count, pairs % column.count, rows
    pairs, place = np.unique(keys, return_inverse=True)
    rows = np.bincount(place, classes.weights, len(pairs)).astype(np.float64)
    return pairs // column.count, pairs % column.count, rows


def distinct(classes: Classes, column: Sensitive) -> Floats:
    """How many different values each class holds."""
    of_class, _, _ = _pairs(classes, column)
    return np.bincount(of_class, minlength=classes.count).astype(np.float64)


def entropy(classes: Classes, column: Sensitive) -> Floats:
    """exp of the entropy of the values of each class."""
    of_class, _, rows = _pairs(classes, column)
    share = rows / classes.sizes[of_class]
    found: Floats = np.exp(np.bincount(of_class, -share * np.log(share), classes.count))
    return found


def recursive(classes: Classes, column: Sensitive, least: int) -> Floats:
    """Rows of the commonest value over those from the ``least``-th commonest on; infinite where there are none."""
    of_class, _, rows = _pairs(classes, column)
    order = np.lexsort((-rows, of_class))
    of_class, rows = of_class[order], rows[order]
    starts = np.flatnonzero(np.r_[True, of_class[1:] != of_class[:-1]])
    rank = np.arange(len(rows)) - np.repeat(starts, np.diff(np.r_[starts, len(rows)]))
    tail = np.bincount(of_class, np.where(rank >= least - 1, rows, 0.0), classes.count)
    found, most = np.full(classes.count, np.inf), np.zeros(classes.count)
    most[of_class[starts]] = rows[starts]
    np.divide(most, tail, out=found, where=tail > 0)
    return found


def equal(classes: Classes, column: Sensitive) -> Floats:
    """Half the sum of |class share - whole share| over the values."""
    whole = _whole(classes, column)
    of_class, of_value, rows = _pairs(classes, column)
    share = rows / classes.sizes[of_class]
    # Values absent from a class add their whole share: 1 minus the shares present.
    there = np.bincount(of_class, np.abs(share - whole[of_value]), classes.count)
    absent = 1.0 - np.bincount(of_class, whole[of_value], classes.count)
    found: Floats = (there + absent) / 2
    return found


def ordered(classes: Classes, column: Sensitive) -> Floats:
    """The mean over the steps between neighbours of how much must cross each."""
    if column.count < 2:
        return np.zeros(classes.count)
    return np.concatenate(
        [np.abs(np.cumsum(extra, axis=1)).sum(axis=1) / (column.count - 1) for extra in _extras(classes, column)]
    )


def hierarchical(classes: Classes, column: Sensitive) -> Floats:
    """What moves through each group of the tree, weighted by the height of the group."""
    assert column.tree is not None  # noqa: S101 -- a rule of this kind is only made with a tree
    return np.concatenate([_through(extra, column.tree) for extra in _extras(classes, column)])


def _through(extra: Floats, tree: Codes) -> Floats:
    total = np.zeros(len(extra))
    steps = len(tree) - 1
    for level in range(1, len(tree)):
        under, first = np.unique(tree[level - 1], return_index=True)
        groups, up = np.unique(tree[level][first], return_inverse=True)
        much, little = np.zeros((len(extra), len(groups))), np.zeros((len(extra), len(groups)))
        for child in range(len(under)):
            much[:, up[child]] += np.maximum(extra[:, child], 0)
            little[:, up[child]] += np.maximum(-extra[:, child], 0)
        total += level / steps * np.minimum(much, little).sum(axis=1)
        extra = much - little
    return total


def _extras(classes: Classes, column: Sensitive) -> Iterator[Floats]:
    """Class share minus whole share, dense, some classes at a time."""
    whole, sizes = _whole(classes, column), classes.sizes
    of_class, of_value, rows = _pairs(classes, column)
    step = max(_CELLS // column.count, 1)
    for low in range(0, classes.count, step):
        high = min(low + step, classes.count)
        first, last = np.searchsorted(of_class, (low, high))
        block = np.zeros((high - low, column.count))
        block[of_class[first:last] - low, of_value[first:last]] = rows[first:last]
        yield block / np.maximum(sizes[low:high, None], 1) - whole


def _whole(classes: Classes, column: Sensitive) -> Floats:
    found: Floats = np.bincount(column.codes, classes.weights, column.count) / classes.weights.sum()
    return found
