"""Find the heights of the hierarchies that lose least and satisfy the models: an exact full-domain search.

Works on distinct combinations with weights, never on rows. The loss of a column is its NCP: the mean over its cells of
the NCP of the value written, a suppressed row counting 1. The loss of a node is the weighted mean of its columns'
(objective ``ncp``) or their weighted geometric mean after adding 1 (objective ``loss``, ARX's Loss with equal weights).
Without suppression it is a sum over columns of one term each (logarithms for the second), a lower bound that rises up
the lattice; so nodes are visited by rising bound and the search ends when the bound reaches the best loss found. Where
merging good classes keeps them good (k, l), too much suppression at a node condemns every node below it: chains to the
top are bisected to condemn much at once. The budget counts nodes evaluated; when it ends, the best so far is returned
and says so. A lattice too large to hold is walked down from the top and then searched around the place reached.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deid.errors import ModelError
from deid.tables.classes import Classes, Floats, Wanted, combine, good_classes, group
from deid.tables.columnar import Codes, Mask
from deid.tables.hierarchy import Axis
from deid.tables.measures import holds

GRID_LIMIT = 4_000_000  # nodes; above it the lattice is not held, and the search walks down from the top
_ROUND = 12  # decimals of a loss: two sums of the same numbers in another order must not differ

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


class Evaluator:
    """Judges nodes; counts them against the budget and remembers each answer."""

    def __init__(self, problem: Problem, budget: int) -> None:
        self.problem = problem
        self.budget = budget
        self.seen: dict[Node, tuple[int, float]] = {}
        self._codes = [
            [codes[base] for codes in axis.codes] for axis, base in zip(problem.axes, problem.base, strict=True)
        ]
        self._sizes = [[len(labels) for labels in axis.labels] for axis in problem.axes]
        self._costs = [
            [cost[base] for cost in axis.cost] for axis, base in zip(problem.axes, problem.base, strict=True)
        ]
        self.total = int(problem.weights.sum())
        self.shares = np.array([axis.weight for axis in problem.axes]) / sum(axis.weight for axis in problem.axes)
        self.losses: list[Floats] = [
            np.array([(cost * problem.weights).sum() / self.total for cost in costs]) for costs in self._costs
        ]
        self.bounds = [share * self.term(loss) for share, loss in zip(self.shares, self.losses, strict=True)]

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
        """Rows suppressed by k and l alone, and the whole loss; infinite loss where the limit is passed."""
        if node not in self.seen:
            self.seen[node] = self._judge(node)
        return self.seen[node]

    def bad(self, node: Node, *, relative: bool = True) -> Mask:
        """For each combination, whether the node suppresses it."""
        of, count = group(self._keys(node))
        classes = Classes(of=of, count=count, weights=self.problem.weights)
        result: Mask = ~good_classes(classes, self.problem.wanted, relative=relative)[of]
        return result

    def column_losses(self, node: Node, bad: Mask) -> Floats:
        """The loss of each column: each cell of a suppressed row counts 1 instead of its NCP."""
        gone = self.problem.weights[bad]
        more = [((1 - at[level][bad]) * gone).sum() / self.total for at, level in zip(self._costs, node, strict=True)]
        whole: Floats = np.array([at[level] for at, level in zip(self.losses, node, strict=True)]) + np.array(more)
        return whole

    def choose(self, node: Node, *, optimal: bool) -> Chosen:
        """The node as an answer."""
        bad = self.bad(node)
        return Chosen(
            levels=tuple(np.full(len(bad), level, np.int64) for level in node),
            bad=bad,
            losses=tuple(self.column_losses(node, bad).tolist()),
            optimal=optimal,
            evaluated=len(self.seen),
        )

    def _judge(self, node: Node) -> tuple[int, float]:
        bad = self.bad(node, relative=False)
        suppressed = certain = int(self.problem.weights[bad].sum())
        if certain <= self.problem.limit and not self.problem.wanted.monotone:
            bad = self.bad(node)
            suppressed = int(self.problem.weights[bad].sum())
            if not self._close(node, ~bad):
                return certain, math.inf
        if suppressed > self.problem.limit or suppressed == self.total or self._told_absent(bad):
            return certain, math.inf
        if not suppressed:
            return certain, round(self.bound(node), _ROUND)
        return certain, round(float(self.shares @ self.term(self.column_losses(node, bad))), _ROUND)

    def _told_absent(self, bad: Mask) -> bool:
        """Where a least presence is wanted: whether somebody of the population is seen not to be in the table."""
        population = self.problem.wanted.population
        return population is not None and population.least > 0 and bool((population.weights[bad] > 0).any())

    def _close(self, node: Node, kept: Mask) -> bool:
        """Whether t-closeness holds among the rows kept: leaving rows out moves the whole table's distribution too."""
        kept = kept & (self.problem.weights > 0)
        if not kept.any():
            return False
        of, count = group(self._keys(node)[kept])
        classes = Classes(of=of, count=count, weights=self.problem.weights[kept])
        return all(
            holds(rule, classes, column.of(kept)).all()
            for column in self.problem.wanted.sensitive
            for rule in column.rules
            if rule.relative
        )

    def _keys(self, node: Node) -> Codes:
        codes = [at[level] for at, level in zip(self._codes, node, strict=True)]
        sizes = [at[level] for at, level in zip(self._sizes, node, strict=True)]
        return combine(codes, sizes, len(self.problem.weights))


def search(problem: Problem, budget: int) -> Chosen:
    """The best node within the suppression limit. Raises ModelError when even the top is not enough."""
    evaluator = Evaluator(problem, max(budget, 1))
    low = tuple(axis.fixed if axis.fixed is not None else 0 for axis in problem.axes)
    top = tuple(axis.fixed if axis.fixed is not None else axis.height - 1 for axis in problem.axes)
    if math.isinf(evaluator.judge(top)[1]) and problem.wanted.monotone:
        raise not_met(problem)
    size = math.prod(high - least + 1 for least, high in zip(low, top, strict=True))
    found = _Lattice(evaluator, low, top).run() if size <= GRID_LIMIT else _Walk(evaluator, low, top).run()
    if found is None:
        raise not_met(problem)
    return found


def as_written(problem: Problem) -> Chosen:
    """The node the recipe fixed. Raises ModelError when it is not enough."""
    node = tuple(axis.fixed or 0 for axis in problem.axes)
    evaluator = Evaluator(problem, 1)
    if math.isinf(evaluator.judge(node)[1]):
        raise not_met(problem)
    return evaluator.choose(node, optimal=False)


def not_met(problem: Problem) -> ModelError:
    """The sentence that says what to change."""
    return ModelError(
        f"table: no generalisation satisfies the models with at most {problem.limit} rows suppressed; "
        "raise suppression-limit, add coarser levels to the hierarchies, drop a quasi-identifier, or lower the models"
    )


class _Lattice:
    """Exact search over a lattice small enough to hold one bound and one flag for each node."""

    def __init__(self, evaluator: Evaluator, low: Node, top: Node) -> None:
        self.evaluator, self.low, self.top = evaluator, low, top
        self.shape = tuple(high - least + 1 for least, high in zip(low, top, strict=True))
        self.condemned = np.zeros(self.shape, np.bool_)

    def run(self) -> Chosen | None:
        """Visit by rising bound; None when nothing is allowed."""
        best = (self.evaluator.judge(self.top)[1], self.top)
        optimal = True
        bounds = self._bounds()
        flat = self.condemned.reshape(-1)
        for place in np.argsort(bounds, kind="stable").tolist():
            if bounds[place] >= best[0]:
                break
            if flat[place]:
                continue
            if self.evaluator.spent:
                optimal = False
                break
            node = tuple(
                int(at) + least for at, least in zip(np.unravel_index(place, self.shape), self.low, strict=True)
            )
            best = min(best, self._probe(node))
        loss, node = best
        return None if math.isinf(loss) else self.evaluator.choose(node, optimal=optimal)

    def _bounds(self) -> npt.NDArray[np.float64]:
        grid = np.zeros(self.shape)
        for axis, (bounds, least) in enumerate(zip(self.evaluator.bounds, self.low, strict=True)):
            shape = [1] * len(self.shape)
            shape[axis] = self.shape[axis]
            grid = grid + bounds[least : least + self.shape[axis]].reshape(shape)
        return np.round(grid, _ROUND).reshape(-1)

    def _probe(self, node: Node) -> tuple[float, Node]:
        """Judge the node; when it is condemned, bisect a chain to the top so that as much as possible falls with it."""
        best = (self._judge(node), node)
        if not math.isinf(best[0]) or not self.evaluator.problem.wanted.monotone:
            return best
        chain = self._chain(node)
        low, high = 0, len(chain)
        while high - low > 1 and not self.evaluator.spent:
            middle = (low + high) // 2
            loss = self._judge(chain[middle])
            best = min(best, (loss, chain[middle]))
            low, high = (middle, high) if math.isinf(loss) else (low, middle)
        return best

    def _judge(self, node: Node) -> float:
        certain, loss = self.evaluator.judge(node)
        if certain > self.evaluator.problem.limit:
            below = tuple(slice(0, level - least + 1) for level, least in zip(node, self.low, strict=True))
            self.condemned[below] = True
        return loss

    def _chain(self, node: Node) -> list[Node]:
        """From the node to the top, each time up the cheapest axis that is still open."""
        chain = [node]
        while node != self.top:
            ups = [
                (*node[:axis], node[axis] + 1, *node[axis + 1 :])
                for axis in range(len(node))
                if node[axis] < self.top[axis]
            ]
            node = min(ups, key=lambda up: (round(self.evaluator.bound(up), _ROUND), up))
            chain.append(node)
        return chain


class _Walk:
    """For a lattice too large to hold: down from the top, then steps sideways, until nothing better is near."""

    def __init__(self, evaluator: Evaluator, low: Node, top: Node) -> None:
        self.evaluator, self.low, self.top = evaluator, low, top

    def run(self) -> Chosen | None:
        """The best place reached; None when nothing is allowed."""
        loss, node = self.evaluator.judge(self.top)[1], self.top
        while True:
            best = self._least(self._downs(node), (loss, node))
            if best[1] == node and not math.isinf(loss):
                best = self._least(self._sideways(node), (loss, node))
            if best[1] == node:
                break
            loss, node = best
        return None if math.isinf(loss) else self.evaluator.choose(node, optimal=False)

    def _least(self, nodes: Iterator[Node], best: tuple[float, Node]) -> tuple[float, Node]:
        for node in nodes:
            if self.evaluator.spent:
                break
            # A node whose loss without suppression is no better cannot be better with it.
            if round(self.evaluator.bound(node), _ROUND) < best[0]:
                best = min(best, (self.evaluator.judge(node)[1], node))
        return best

    def _downs(self, node: Node) -> Iterator[Node]:
        for axis in range(len(node)):
            if node[axis] > self.low[axis]:
                yield (*node[:axis], node[axis] - 1, *node[axis + 1 :])

    def _sideways(self, node: Node) -> Iterator[Node]:
        """One column up, another one or two levels down, or two others one level down each."""
        for up in range(len(node)):
            if node[up] == self.top[up]:
                continue
            raised = (*node[:up], node[up] + 1, *node[up + 1 :])
            for once in self._downs(raised):
                if once[up] == node[up]:
                    continue
                yield once
                yield from (twice for twice in self._downs(once) if twice[up] != node[up])
