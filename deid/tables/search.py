"""Find the heights of the hierarchies that lose least and satisfy the models: an exact full-domain search.

Works on distinct combinations with weights, never on rows. The loss of a column is its NCP: the mean over its cells of
the NCP of the value written, a suppressed row counting 1. The loss of a node is the weighted mean of its columns'
(objective ``ncp``) or their weighted geometric mean after adding 1 (objective ``loss``, ARX's Loss with equal weights).
Without suppression it is a sum over columns of one term each (logarithms for the second), a lower bound that rises up
the lattice; so nodes are visited by rising bound and the search ends when the bound reaches the best loss found. Where
merging good classes keeps them good (k, l), too much suppression at a node condemns every node below it: chains to the
top are bisected to condemn much at once. t-closeness is not of that kind once rows are left out, since the whole table
moves; but a distance is convex, so a class far from the whole says how many of its rows every node below must leave out
at least (``deid.tables.judging``), and that condemns too. The budget counts nodes evaluated; when it ends, the best so
far is returned and says so. A lattice too large to hold is walked down from the top and then searched around the place
reached.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from deid.errors import ModelError
from deid.tables.judging import ROUND, Chosen, Evaluator, Node, Problem

TINY = 1e-11  # sums in another order differ by less
GRID_LIMIT = 4_000_000  # nodes; above it the lattice is not held, and the search walks down from the top


def search(problem: Problem, budget: int) -> Chosen:
    """The best node within the suppression limit. Raises ModelError when even the top is not enough."""
    evaluator = Evaluator(problem, max(budget, 1))
    low = tuple(axis.fixed if axis.fixed is not None else 0 for axis in problem.axes)
    top = tuple(axis.fixed if axis.fixed is not None else axis.height - 1 for axis in problem.axes)
    if math.isinf(evaluator.judge(top).loss) and problem.wanted.monotone:
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
    if math.isinf(evaluator.judge(node).loss):
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
        # What must be added to the bound of each node, infinite where the node is condemned.
        self.more = np.zeros(self.shape)
        self.steps = [np.diff(bounds).tolist() for bounds in evaluator.bounds]

    def run(self) -> Chosen | None:
        """Visit by rising bound; None when nothing is allowed."""
        best = (self.evaluator.judge(self.top).loss, self.top)
        optimal = True
        bounds = self._bounds()
        more = self.more.reshape(-1)
        for place in np.argsort(bounds, kind="stable").tolist():
            if bounds[place] >= best[0]:
                break
            if bounds[place] + more[place] >= best[0] + TINY:
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
        return np.round(grid, ROUND).reshape(-1)

    def _probe(self, node: Node) -> tuple[float, Node]:
        """Judge the node; when it is condemned, bisect a chain to the top so that as much as possible falls with it."""
        best = (self._judge(node), node)
        if not self._condemns(node):
            return best  # good, or bad in a way that says nothing of the nodes below: no chain from here condemns any
        chain = self._chain(node)
        low, high = 0, len(chain)
        while high - low > 1 and not self.evaluator.spent:
            middle = (low + high) // 2
            loss = self._judge(chain[middle])
            best = min(best, (loss, chain[middle]))
            # The highest that still condemns, not the lowest allowed: t-closeness has nodes of neither kind.
            low, high = (middle, high) if self._condemns(chain[middle]) else (low, middle)
        return best

    def _condemns(self, node: Node) -> bool:
        return self.evaluator.judge(node).certain > self.evaluator.problem.limit

    def _judge(self, node: Node) -> float:
        certain, loss, more = self.evaluator.judge(node)
        below = tuple(slice(0, level - least + 1) for level, least in zip(node, self.low, strict=True))
        if certain > self.evaluator.problem.limit:
            self.more[below] = math.inf
        elif more > 0:
            np.maximum(self.more[below], more, out=self.more[below])
        return loss

    def _chain(self, node: Node) -> list[Node]:
        """From the node to the top, each time up the cheapest axis that is still open."""
        chain, at = [node], list(node)
        open_ = [axis for axis in range(len(at)) if at[axis] < self.top[axis]]
        while open_:
            axis = min(open_, key=lambda one: (self.steps[one][at[one]], -one))
            at[axis] += 1
            if at[axis] == self.top[axis]:
                open_.remove(axis)
            chain.append(tuple(at))
        return chain


class _Walk:
    """For a lattice too large to hold: down from the top, then steps sideways, until nothing better is near."""

    def __init__(self, evaluator: Evaluator, low: Node, top: Node) -> None:
        self.evaluator, self.low, self.top = evaluator, low, top

    def run(self) -> Chosen | None:
        """The best place reached; None when nothing is allowed."""
        loss, node = self.evaluator.judge(self.top).loss, self.top
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
            if round(self.evaluator.bound(node), ROUND) < best[0]:
                best = min(best, (self.evaluator.judge(node).loss, node))
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
