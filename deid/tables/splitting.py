"""Split people into classes for local recoding: cut the group that loses least, again and again, while the models hold.

Mondrian's way (LeFevre 2006) over the trees of the hierarchies. Everybody starts in one class. A class is cut on one
column between the children of the lowest group that holds all its values: a run of children from the left goes one
way, or one child alone does. Of all cuts that leave both sides within the models, the one that lowers the loss of that
column most is made, a little preferred when it is even; then each side is cut in turn, the left one first. People of a
population are combinations of weight 0 whose number stands in a column of the kind ``people``; they stay with the class
they fall into, and a side with nobody of the table is cut off freely, since nothing of it leaves. Values
stand as ranks in the order of their tree, so a group is a range of ranks. No randomness, no clock: equal input,
equal classes.

``split`` runs the kernel where it was compiled and the twin below where not; both do the same arithmetic in the same
order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deid import native
from deid.tables.columnar import Codes, Mask
from deid.tables.measures import SLACK, Floats, Rule

Ranks = npt.NDArray[np.int32]

KINDS = ("distinct", "entropy", "recursive", "equal", "ordered", "hierarchical", "people")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One column: the group of each value at each level (levels x values), and what a row at that level costs."""

    levels: Codes
    costs: Floats

    def meet(self, first: int, last: int) -> int:
        """The lowest level at which two values are in one group."""
        return int(np.argmax(self.levels[:, first] == self.levels[:, last]))

    def cost(self, first: int, last: int) -> float:
        """The loss of a row whose class spans these values."""
        return float(self.costs[self.meet(first, last), first])


@dataclass(frozen=True, slots=True, kw_only=True)
class Protected:
    """One sensitive column: its tree (one level where it has none), shares in the whole table, and the rules."""

    tree: Tree
    whole: Floats
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Splitting:
    """The combinations and what is wanted.

    ``rows`` has a line for each combination: the rank of its value in each column (quasi-identifiers first), its weight
    and its own number. ``parts`` are the offsets of the classes to start from; combinations lie part by part.
    """

    rows: Ranks
    quasi: tuple[Tree, ...]
    sensitive: tuple[Protected, ...]
    parts: Codes
    k: int

    @property
    def peopled(self) -> bool:
        """Whether people of a population are among the rows."""
        return any(rule.kind == "people" for column in self.sensitive for rule in column.rules)

    @property
    def ranks(self) -> Ranks:
        """The ranks alone."""
        return self.rows[:, :-2]

    @property
    def weights(self) -> Ranks:
        """The weights alone."""
        return self.rows[:, -2]


@dataclass(frozen=True, slots=True, order=True)
class _Cut:
    """A cut of one column: ranks first to last go left; ordered by what it gains, then by place."""

    loss: float
    axis: int
    first: int
    last: int


def split(task: Splitting) -> Codes:
    """Where each class starts; ``task.rows`` lie class by class afterwards."""
    return _in_kernel(task) if native.has_tables else split_in_python(task)


def _in_kernel(task: Splitting) -> Codes:
    starts = np.empty(len(task.rows), np.int32)
    trees = [*task.quasi, *(column.tree for column in task.sensitive)]
    rules = [(at, rule) for at, column in enumerate(task.sensitive) for rule in column.rules]
    made = native._tables.split(
        task.rows,
        starts,
        np.array([(tree.levels.shape[1], len(tree.levels)) for tree in trees], np.int32),
        np.concatenate([tree.levels.reshape(-1) for tree in trees]).astype(np.int32),
        np.concatenate([tree.costs.reshape(-1) for tree in trees]),
        np.concatenate([np.zeros(0), *(column.whole for column in task.sensitive)]),
        np.array([(at, KINDS.index(rule.kind)) for at, rule in rules], np.int32),
        np.array([(rule.limit, rule.c) for _, rule in rules], np.float64),
        task.parts.astype(np.int64),
        len(task.quasi),
        task.k,
    )
    return starts[:made].astype(np.int64)


def split_in_python(task: Splitting) -> Codes:
    """The kernel's twin."""
    order: list[Codes] = []
    starts, at = [], 0
    for low, high in zip(task.parts[:-1].tolist(), task.parts[1:].tolist(), strict=True):
        stack = [np.arange(low, high)]
        while stack:
            rows = stack.pop()
            cut = _best(task, rows)
            if cut is None:
                order.append(rows)
                starts.append(at)
                at += len(rows)
                continue
            left = _left(task, rows, cut)
            stack += [rows[~left], rows[left]]
    task.rows[:] = task.rows[np.concatenate(order)]
    return np.array(starts, np.int64)


def _left(task: Splitting, rows: Codes, cut: _Cut) -> Mask:
    at = task.ranks[rows, cut.axis]
    left: Mask = (at >= cut.first) & (at <= cut.last)
    return left


def _best(task: Splitting, rows: Codes) -> _Cut | None:
    total = int(task.weights[rows].sum())
    if not total:
        return None
    cuts = [cut for axis in range(len(task.quasi)) for cut in _candidates(task, rows, axis, total)]
    return next((cut for cut in sorted(cuts) if _allowed(task, rows, cut)), None)


def _candidates(task: Splitting, rows: Codes, axis: int, total: int) -> Iterator[_Cut]:
    tree = task.quasi[axis]
    values, place = np.unique(task.ranks[rows, axis], return_inverse=True)
    counts = np.bincount(place, task.weights[rows], len(values)).astype(np.int64)
    first, last = int(values[0]), int(values[-1])
    level = tree.meet(first, last)
    if not level:
        return
    groups = tree.levels[level - 1, values]
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    whole, left = total * tree.cost(first, last), 0
    for number, start in enumerate(starts[:-1].tolist()):
        stop = int(starts[number + 1])
        size = int(counts[start:stop].sum())
        left += size
        low, high, after = int(values[start]), int(values[stop - 1]), int(values[stop])
        parts = left * tree.cost(first, high) + (total - left) * tree.cost(after, last)
        if _enough(task, left, total):
            yield _Cut(-_score(whole - parts, left, total), axis, first, high)
        if start and _enough(task, size, total):
            parts = size * tree.cost(low, high) + (total - size) * tree.cost(first, last)
            yield _Cut(-_score(whole - parts, size, total), axis, low, high)


def _enough(task: Splitting, size: int, total: int) -> bool:
    least = min(size, total - size)
    return least >= task.k or (least == 0 and task.peopled)


def _score(gain: float, size: int, total: int) -> float:
    # The second part only decides between cuts that gain alike, and lets a cut without gain prepare the next one.
    return gain / total + 1e-6 * (min(size, total - size) / total)


def _allowed(task: Splitting, rows: Codes, cut: _Cut) -> bool:
    left = _left(task, rows, cut)
    for at, column in enumerate(task.sensitive, start=len(task.quasi)):
        for side in (rows[~left], rows[left]):
            total = int(task.weights[side].sum())
            if not total:  # where nobody of the table is, nothing leaves
                continue
            if any(rule.kind == "people" for rule in column.rules):
                if not all(_hidden(rule, total, int(task.ranks[side, at].sum())) for rule in column.rules):
                    return False
                continue
            size = len(column.whole)
            counts = np.bincount(task.ranks[side, at], task.weights[side], size).astype(np.int64)
            if not all(_holds(rule, counts.tolist(), column) for rule in column.rules):
                return False
    return True


def _hidden(rule: Rule, total: int, people: int) -> bool:
    return people >= rule.limit and total <= people and total / people <= rule.c + SLACK


def _holds(rule: Rule, counts: list[int], column: Protected) -> bool:
    total = sum(counts)
    there = [count for count in counts if count]
    if rule.kind == "distinct":
        return len(there) >= rule.limit
    if rule.kind == "entropy":
        return sum(-(count / total) * math.log(count / total) for count in there) >= math.log(rule.limit) - SLACK
    if rule.kind == "recursive":
        falling = sorted(counts, reverse=True)
        return len(there) >= rule.limit and falling[0] < rule.c * sum(falling[int(rule.limit) - 1 :])
    extra = [count / total - share for count, share in zip(counts, column.whole.tolist(), strict=True)]
    return _moved(rule.kind, extra, column.tree) <= rule.limit + SLACK


def _moved(kind: str, extra: list[float], tree: Tree) -> float:
    if kind == "equal":
        return sum(abs(one) for one in extra) / 2
    if kind == "ordered":
        run = total = 0.0
        for one in extra:
            run += one
            total += abs(run)
        return total / (len(extra) - 1) if len(extra) > 1 else 0.0
    total, steps = 0.0, len(tree.levels) - 1
    for level in range(1, len(tree.levels)):
        under, over = tree.levels[level - 1].tolist(), tree.levels[level].tolist()
        much, little = dict.fromkeys(over, 0.0), dict.fromkeys(over, 0.0)
        for lower, upper in dict(zip(under, over, strict=True)).items():
            much[upper] += max(extra[lower], 0.0)
            little[upper] += max(-extra[lower], 0.0)
        for group in dict.fromkeys(over):
            total += level / steps * min(much[group], little[group])
            extra[group] = much[group] - little[group]
    return total
