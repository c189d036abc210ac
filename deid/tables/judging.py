"""Judge one node of the lattice: what it suppresses, what it loses, and what that says of the nodes below it.

A node is judged on the smallest table that is fine enough for it: where a node leaves few classes, its classes are kept
as a table of their own (a *part*), and every node above it is judged on that. A part stands on one combination of each
of its rows: hierarchies are trees, so whatever lies above is the same for all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from deid.tables.classes import Classes, Floats, Wanted, combine, good_classes, group
from deid.tables.columnar import Codes, Mask
from deid.tables.hierarchy import Axis
from deid.tables.measures import SLACK, holds, measure

ROUND = 12  # decimals of a loss: two sums of the same numbers in another order must not differ
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


class Evaluator:
    """Judges nodes; counts them against the budget and remembers each answer."""

    def __init__(self, problem: Problem, budget: int) -> None:
        self.problem = problem
        self.budget = budget
        self.seen: dict[Node, tuple[int, float]] = {}
        self.total = int(problem.weights.sum())
        self.shares = np.array([axis.weight for axis in problem.axes]) / sum(axis.weight for axis in problem.axes)
        self.losses: list[Floats] = [
            np.array([(cost[base] * problem.weights).sum() / self.total for cost in axis.cost])
            for axis, base in zip(problem.axes, problem.base, strict=True)
        ]
        self.bounds = [share * self.term(loss) for share, loss in zip(self.shares, self.losses, strict=True)]
        self._parts: list[Problem] = [problem]
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

    def judge(self, node: Node) -> tuple[int, float]:
        """Rows this node and every node below it must suppress, and the loss; infinite where the limit is passed."""
        if node not in self.seen:
            part = self._part(node)
            classes = part.classes(node)
            if len(self._parts) < _PARTS and classes.count * _WORTH < len(part):
                self._keep(part.above(classes), node, len(part))
            self.seen[node] = self._judge(part, node, classes)
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

    def _keep(self, smaller: Problem, node: Node, size: int) -> None:
        if len(smaller) * _WORTH < size:
            self._parts.append(smaller)
            self._floors = np.vstack([self._floors, node])

    def _part(self, node: Node) -> Problem:
        fits = np.flatnonzero((self._floors <= node).all(axis=1)).tolist()
        return min((self._parts[at] for at in fits), key=len)

    def _losses(self, part: Problem, node: Node, bad: Mask) -> Floats:
        """The loss of each column: each cell of a suppressed row counts 1 instead of its NCP."""
        gone = part.weights[bad]
        more = [
            ((1 - axis.cost[level][base[bad]]) * gone).sum() / self.total
            for axis, base, level in zip(part.axes, part.base, node, strict=True)
        ]
        whole: Floats = np.array([at[level] for at, level in zip(self.losses, node, strict=True)]) + np.array(more)
        return whole

    def _judge(self, part: Problem, node: Node, classes: Classes) -> tuple[int, float]:
        good = good_classes(classes, part.wanted, relative=False)
        certain = self._certain(part, classes, good)
        if certain > part.limit:
            return certain, math.inf
        if not part.wanted.monotone:
            good = good_classes(classes, part.wanted)
        bad = ~good[classes.of]
        suppressed = int(part.weights[bad].sum())
        if suppressed > part.limit or suppressed == self.total or _told_absent(part, bad):
            return certain, math.inf
        if suppressed and not part.wanted.monotone and not _close(part, node, ~bad):
            return certain, math.inf
        if not suppressed:
            return certain, round(self.bound(node), ROUND)
        return certain, round(float(self.shares @ self.term(self._losses(part, node, bad))), ROUND)

    def _certain(self, part: Problem, classes: Classes, good: Mask) -> int:
        """Rows of classes that fail k or l, and what closeness must cost in the others.

        Leaving out a share d of all rows moves the whole by at most d. A class of n rows at distance e can be made of
        classes within t of the moved whole and s rows left out only if e <= t + d + (1 - t - d) s / n, by convexity.
        """
        sizes = np.where(good, classes.sizes, 0.0)
        certain = float(classes.sizes.sum() - sizes.sum())
        if certain > part.limit or part.wanted.monotone:
            return int(certain)
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
        return math.ceil(certain + float(needed.sum()) - 1e-6)


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
