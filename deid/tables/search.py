"""Find the heights of the hierarchies that lose least and satisfy the models: an exact full-domain search.

Works on distinct combinations with weights, never on rows. The loss is NCP: the mean over all cells of the NCP of
the value written, a suppressed row counting 1 in each. Without suppression it is a sum over columns, which is a
lower bound that rises up the lattice; so nodes are visited by rising bound and the search ends when the bound
reaches the best loss found. Where merging good classes keeps them good (k, l), too much suppression at a node
condemns every node below it: chains to the top are bisected to condemn much at once. The budget counts nodes
evaluated; when it ends, the best so far is returned and says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deid.errors import ModelError
from deid.tables.classes import Floats, Wanted, combine, good_classes, group
from deid.tables.columnar import Codes, Mask
from deid.tables.hierarchy import Axis

GRID_LIMIT = 4_000_000  # nodes; above it the lattice is not held, and the search walks down from the top
_ROUND = 12  # decimals of a loss: two sums of the same numbers in another order must not differ

Node = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A node of the lattice, its loss, what it suppresses, and whether it is proven best."""

    node: Node
    loss: float
    suppressed: int
    optimal: bool
    evaluated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Distinct combinations (``base[q][i]``, base code of axis q) with weights, the axes and what is wanted."""

    axes: tuple[Axis, ...]
    base: tuple[Codes, ...]
    weights: Codes
    wanted: Wanted
    limit: int


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
        self.bounds = [
            np.array([(cost * problem.weights).sum() / self.total / len(problem.axes) for cost in costs])
            for costs in self._costs
        ]

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

    def bad(self, node: Node, *, with_t: bool = True) -> Mask:
        """For each combination, whether the node suppresses it."""
        codes = [at[level] for at, level in zip(self._codes, node, strict=True)]
        sizes = [at[level] for at, level in zip(self._sizes, node, strict=True)]
        classes, count = group(combine(codes, sizes, len(self.problem.weights)))
        good = good_classes(classes, count, self.problem.weights, self.problem.wanted, with_t=with_t)
        result: Mask = ~good[classes]
        return result

    def _judge(self, node: Node) -> tuple[int, float]:
        bad = self.bad(node, with_t=False)
        suppressed = certain = int(self.problem.weights[bad].sum())
        if certain <= self.problem.limit and not self.problem.wanted.monotone:
            bad = self.bad(node)
            suppressed = int(self.problem.weights[bad].sum())
        if suppressed > self.problem.limit or suppressed == self.total:
            return certain, math.inf
        return certain, round(self.bound(node) + self._extra(node, bad), _ROUND)

    def _extra(self, node: Node, bad: Mask) -> float:
        """What suppression adds: each cell of a suppressed row counts 1 instead of its NCP."""
        costs: Floats = np.zeros(int(bad.sum()))
        for at, level in zip(self._costs, node, strict=True):
            costs += at[level][bad]
        lost = (len(self.problem.axes) - costs) * self.problem.weights[bad]
        return float(lost.sum()) / (self.total * len(self.problem.axes))


def search(problem: Problem, budget: int) -> Found:
    """The best node within the suppression limit. Raises ModelError when even the top is not enough."""
    evaluator = Evaluator(problem, max(budget, 1))
    low = tuple(axis.fixed if axis.fixed is not None else 0 for axis in problem.axes)
    top = tuple(axis.fixed if axis.fixed is not None else axis.height - 1 for axis in problem.axes)
    if math.isinf(evaluator.judge(top)[1]) and problem.wanted.monotone:
        raise not_met(problem)
    size = math.prod(high - least + 1 for least, high in zip(low, top, strict=True))
    found = _Lattice(evaluator, low, top).run() if size <= GRID_LIMIT else _walk_down(evaluator, low, top)
    if found is None:
        raise not_met(problem)
    return found


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

    def run(self) -> Found | None:
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
        return None if math.isinf(loss) else _found(self.evaluator, node, optimal=optimal)

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


def _walk_down(evaluator: Evaluator, low: Node, top: Node) -> Found | None:
    """For a lattice too large to hold: from the top, take the step down that loses least until none is allowed."""
    node, loss = top, evaluator.judge(top)[1]
    while not evaluator.spent:
        downs = [
            (*node[:axis], node[axis] - 1, *node[axis + 1 :]) for axis in range(len(node)) if node[axis] > low[axis]
        ]
        judged = [(evaluator.judge(down)[1], down) for down in downs if not evaluator.spent]
        if not judged or min(judged)[0] >= loss:
            break
        loss, node = min(judged)
    return None if math.isinf(loss) else _found(evaluator, node, optimal=False)


def _found(evaluator: Evaluator, node: Node, *, optimal: bool) -> Found:
    bad = evaluator.bad(node)
    return Found(
        node=node,
        loss=evaluator.judge(node)[1],
        suppressed=int(evaluator.problem.weights[bad].sum()),
        optimal=optimal,
        evaluated=len(evaluator.seen),
    )


def levels_by_column(axes: Sequence[Axis], node: Node) -> dict[str, int]:
    """The chosen level of each column, for the report."""
    return {axis.name: level for axis, level in zip(axes, node, strict=True)}
