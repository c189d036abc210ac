"""Judge one node of the lattice: what it suppresses, what it loses, and what that says of the nodes below it.

A node is judged on the smallest table that is fine enough for it: where a node leaves few classes, its classes are kept
as a table of their own (a *part*), and every node above it is judged on that. A part stands on one combination of each
of its rows: hierarchies are trees, so whatever lies above is the same for all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from deid.tables.classes import Classes, Floats, Wanted, combine, good_classes, group
from deid.tables.columnar import Codes, Mask
from deid.tables.hierarchy import Axis
from deid.tables.judging_kernel import Kernel, Packed, known, pack
from deid.tables.measures import SLACK, Sensitive, holds, measure

ROUND = 12  # decimals of a loss: two sums of the same numbers in another order must not differ
STEPS = 16  # parts of the range in which a share can lie
MOST_VALUES = 16  # of a column whose shares are followed one by one
_PARTS = 64  # parts kept at once
_WORTH = 3  # a part is kept where it is this many times smaller than the one it came from

Node = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The height of each combination on each axis, what is suppressed, and the loss of each column.

    ``evaluated`` counts lattice nodes; it is None where there was no lattice.
    """

    levels: tuple[Codes, ...]
    bad: Mask
    losses: tuple[float, ...]
    optimal: bool
    evaluated: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Distinct combinations (``base[q][i]``, base code of axis q) with weights, the axes and what is wanted."""

    axes: tuple[Axis, ...]
    base: tuple[Codes, ...]
    weights: Codes
    wanted: Wanted
    limit: int
    objective: str = "ncp"

    def __len__(self) -> int:
        return len(self.weights)

    def keys(self, node: Node, kept: Mask | None = None) -> Codes:
        """One number for each combination (of those kept), equal where the node makes them equal."""
        codes = [axis.codes[level][base] for axis, level, base in zip(self.axes, node, self.base, strict=True)]
        if kept is not None:
            codes = [one[kept] for one in codes]
        sizes = [len(axis.labels[level]) for axis, level in zip(self.axes, node, strict=True)]
        return combine(codes, sizes, len(codes[0]))

    def classes(self, node: Node) -> Classes:
        """The classes of the node."""
        of, count = group(self.keys(node))
        return Classes(of=of, count=count, weights=self.weights)

    def above(self, classes: Classes) -> Problem:
        """The same problem for nodes above the one whose classes are given, on one combination of each kind."""
        keys, size = classes.of, classes.count
        for column in self.wanted.sensitive:
            keys, size = keys * column.count + column.codes, size * column.count
        of, count = group(keys)
        first = np.zeros(count, np.int64)
        first[of] = np.arange(len(of))
        population = self.wanted.population
        if population is not None:
            people = np.bincount(of, population.weights, count).astype(np.int64)
            population = replace(population, weights=people)
        sensitive = tuple(column.of(first) for column in self.wanted.sensitive)
        return replace(
            self,
            base=tuple(base[first] for base in self.base),
            weights=np.bincount(of, self.weights, count).astype(np.int64),
            wanted=replace(self.wanted, sensitive=sensitive, population=population),
        )


class Judged(NamedTuple):
    """Of one node: rows it and every node below must suppress, its loss, what those rows add to any loss below.

    ``loss`` is infinite where the suppression limit is passed.
    """

    certain: int
    loss: float
    more: float


class Evaluator:
    """Judges nodes; counts them against the budget and remembers each answer."""

    def __init__(self, problem: Problem, budget: int) -> None:
        self.problem = problem
        self.budget = budget
        self.seen: dict[Node, Judged] = {}
        self.total = int(problem.weights.sum())
        self.shares = np.array([axis.weight for axis in problem.axes]) / sum(axis.weight for axis in problem.axes)
        self.losses: list[Floats] = [
            np.array([(cost[base] * problem.weights).sum() / self.total for cost in axis.cost])
            for axis, base in zip(problem.axes, problem.base, strict=True)
        ]
        self.bounds = [share * self.term(loss) for share, loss in zip(self.shares, self.losses, strict=True)]
        self._parts: list[Problem] = [problem]
        self._packed: dict[int, Packed] = {}
        self._kernel = self._make_kernel() if known(problem.axes, problem.wanted, len(problem)) else None
        self._floors = np.zeros((1, len(problem.axes)), np.int64)

    def term(self, loss: Floats) -> Floats:
        """What a column's loss adds to the sum that is made small."""
        return loss if self.problem.objective == "ncp" else np.log1p(loss)

    @property
    def spent(self) -> bool:
        """True when the budget is used up."""
        return len(self.seen) >= self.budget

    def bound(self, node: Node) -> float:
        """The loss of the node if nothing were suppressed."""
        return float(sum(bounds[level] for bounds, level in zip(self.bounds, node, strict=True)))

    def judge(self, node: Node) -> Judged:
        """What the node and every node below it must suppress and lose by it, and the node's own loss."""
        if node not in self.seen:
            at = self._part(node)
            self.seen[node] = self._in_kernel(at, node) if self._kernel else self._in_python(at, node)
        return self.seen[node]

    def choose(self, node: Node, *, optimal: bool) -> Chosen:
        """The node as an answer."""
        classes = self.problem.classes(node)
        bad: Mask = ~good_classes(classes, self.problem.wanted)[classes.of]
        return Chosen(
            levels=tuple(np.full(len(bad), level, np.int64) for level in node),
            bad=bad,
            losses=tuple(self._losses(self.problem, node, bad).tolist()),
            optimal=optimal,
            evaluated=len(self.seen),
        )

    def _part(self, node: Node) -> int:
        """The smallest table that is fine enough for the node."""
        fits = np.flatnonzero((self._floors <= node).all(axis=1)).tolist()
        return min(fits, key=lambda at: len(self._parts[at]))

    def _keep(self, part: Problem, node: Node, classes: Classes) -> None:
        """Keep what lies above the node as a table of its own, where that is much smaller."""
        if len(self._parts) < _PARTS and classes.count * _WORTH < len(part):
            smaller = part.above(classes)
            if len(smaller) * _WORTH < len(part):
                self._parts.append(smaller)
                self._floors = np.vstack([self._floors, node])

    def _make_kernel(self) -> Kernel:
        wanted, weights = self.problem.wanted, self.problem.weights
        whole = [np.bincount(column.codes, weights, column.count) / self.total for column in wanted.sensitive]
        return Kernel(self.problem.axes, wanted, whole, self.problem.limit, self.total)

    def _in_kernel(self, at: int, node: Node) -> Judged:
        part = self._parts[at]
        if at not in self._packed:
            self._packed[at] = pack(part.base, part.weights, part.wanted)
        assert self._kernel is not None  # noqa: S101 -- asked by the only caller
        found = self._kernel.judge(self._packed[at], node)
        if len(self._parts) < _PARTS and found.classes * _WORTH < len(part):
            self._keep(part, node, part.classes(node))
        certain = math.ceil(found.certain - 1e-6)
        if found.suppressed < 0:
            return Judged(certain, math.inf, 0.0)
        more = self._added(node, found.more) if found.more.any() else 0.0
        if found.suppressed > part.limit or found.suppressed == self.total or not found.close:
            return Judged(certain, math.inf, more)
        return Judged(certain, self._rounded(node, found.gone if found.suppressed else None), more)

    def _in_python(self, at: int, node: Node) -> Judged:
        """The kernel's twin, which also knows every model."""
        part = self._parts[at]
        classes = part.classes(node)
        self._keep(part, node, classes)
        return self._judge(part, node, classes)

    def _rounded(self, node: Node, gone: Floats | None) -> float:
        """The loss of the node; ``gone`` is what suppressed rows add to each column."""
        if gone is None:
            return round(self.bound(node), ROUND)
        return round(float(self.shares @ self.term(self._base(node) + gone)), ROUND)

    def _added(self, node: Node, gone: Floats) -> float:
        base = self._base(node)
        return float(self.shares @ (self.term(base + gone) - self.term(base)))

    def _losses(self, part: Problem, node: Node, bad: Mask) -> Floats:
        """The loss of each column: each cell of a suppressed row counts 1 instead of its NCP."""
        return self._base(node) + self._gone(part, node, np.flatnonzero(bad), part.weights[bad])

    def _base(self, node: Node) -> Floats:
        return np.array([at[level] for at, level in zip(self.losses, node, strict=True)])

    def _gone(self, part: Problem, node: Node, rows: Codes, gone: Floats | Codes) -> Floats:
        """What each column loses more when so many rows of these combinations are left out."""
        more = [
            ((1 - axis.cost[level][base[rows]]) * gone).sum() / self.total
            for axis, base, level in zip(part.axes, part.base, node, strict=True)
        ]
        return np.array(more)

    def _judge(self, part: Problem, node: Node, classes: Classes) -> Judged:
        good = good_classes(classes, part.wanted, relative=False)
        sure = self._sure(part, classes, good)
        certain = math.ceil(max(float(sure.sum()), self._least(part, classes, good)) - 1e-6)
        if certain > part.limit:
            return Judged(certain, math.inf, 0.0)
        more = self._more(part, node, classes, sure)
        if not part.wanted.monotone:
            good = good_classes(classes, part.wanted)
        bad = ~good[classes.of]
        suppressed = int(part.weights[bad].sum())
        if suppressed > part.limit or suppressed == self.total or _told_absent(part, bad):
            return Judged(certain, math.inf, more)
        if suppressed and not part.wanted.monotone and not _close(part, node, ~bad):
            return Judged(certain, math.inf, more)
        rows = np.flatnonzero(bad)
        gone = self._gone(part, node, rows, part.weights[rows]) if suppressed else None
        return Judged(certain, self._rounded(node, gone), more)

    def _more(self, part: Problem, node: Node, classes: Classes, sure: Floats) -> float:
        """What the rows that must go add to the loss of this node and of every node below it.

        Below, their cells cost no more than here, so leaving them out costs no less; and the terms are concave, so
        the same addition weighs no less on a smaller loss.
        """
        if not sure.any():
            return 0.0
        share = sure / np.maximum(classes.sizes, 1)
        rows = np.flatnonzero(share[classes.of])
        return self._added(node, self._gone(part, node, rows, part.weights[rows] * share[classes.of[rows]]))

    def _sure(self, part: Problem, classes: Classes, good: Mask) -> Floats:
        """Rows of each class that must go here and below: all where k or l fails, some where it is too far.

        Leaving out a share d of all rows moves the whole by at most d. A class of n rows at distance e can be made of
        classes within t of the moved whole and s rows left out only if e <= t + d + (1 - t - d) s / n, by convexity.
        """
        sizes = np.where(good, classes.sizes, 0.0)
        failed = classes.sizes - sizes
        if failed.sum() > part.limit or part.wanted.monotone:
            return failed
        moved = part.limit / self.total
        needed = np.zeros(classes.count)
        for column in part.wanted.sensitive:
            for rule in column.rules:
                reach = rule.limit + moved
                if rule.relative and reach < 1:
                    beyond = measure(rule, classes, column) - reach - SLACK
                    # With nothing to leave out, a class too far is a class too many.
                    far = (beyond > 0) * 1.0 if not part.limit else np.maximum(beyond, 0) / (1 - reach)
                    needed = np.maximum(needed, far * sizes)
        return failed + needed

    def _least(self, part: Problem, classes: Classes, good: Mask) -> float:
        """Rows that must go here and below, counted for all classes together.

        For each value, the share x of it among the rows that stay lies between (w - d) / (1 - d) and w / (1 - d). For
        one x, a class where the value's share p is over x + t must lose (p - x - t) / (1 - x - t) of its rows, one
        where it is under x - t must lose (x - t - p) / (x - t). The first falls and the second rises with x, so the
        first at the end of a part of the range and the second at its start bound both on the whole part.
        """
        failed = float(classes.sizes[~good].sum())
        moved, least = part.limit / self.total, 0.0
        if failed > part.limit or not part.limit:
            return failed
        for column in part.wanted.sensitive:
            for rule in column.rules:
                if rule.kind == "equal" and column.count <= MOST_VALUES:
                    least = max(least, _least_of(rule.limit, moved, classes, good, column))
        return failed + least


def _least_of(t: float, moved: float, classes: Classes, good: Mask, column: Sensitive) -> float:
    whole = np.bincount(column.codes, classes.weights, column.count) / classes.weights.sum()
    cells = np.bincount(classes.of * column.count + column.codes, classes.weights, classes.count * column.count)
    sizes = classes.sizes[good, None]
    shares = cells.reshape(-1, column.count)[good] / sizes
    most = 0.0
    for share, all_ in zip(shares.T, whole.tolist(), strict=True):
        low, high = max((all_ - moved) / (1 - moved), 0.0), min(all_ / (1 - moved), 1.0)
        top = low + (high - low) * np.arange(STEPS + 1) / STEPS + t
        p, q, bottom = share[:, None] - SLACK, share[:, None] + SLACK, top - 2 * t
        over = np.where((p > top) & (top < 1), (p - top) / np.where(top < 1, 1 - top, 1), 0) * sizes
        under = np.where(q < bottom, (bottom - q) / np.where(bottom > 0, bottom, 1), 0) * sizes
        most = max(most, float((over.sum(axis=0)[1:] + under.sum(axis=0)[:-1]).min()))
    return most


def _told_absent(part: Problem, bad: Mask) -> bool:
    """Where a least presence is wanted: whether somebody of the population is seen not to be in the table."""
    population = part.wanted.population
    return population is not None and population.least > 0 and bool((population.weights[bad] > 0).any())


def _close(part: Problem, node: Node, kept: Mask) -> bool:
    """Whether t-closeness holds among the rows kept: leaving rows out moves the whole table's distribution too."""
    kept = kept & (part.weights > 0)
    if not kept.any():
        return False
    of, count = group(part.keys(node, kept))
    classes = Classes(of=of, count=count, weights=part.weights[kept])
    return all(
        holds(rule, classes, column.of(kept)).all()
        for column in part.wanted.sensitive
        for rule in column.rules
        if rule.relative
    )
