"""Local recoding: every class gets its own heights, so far less is lost than with one height for a whole column.

Everybody who is equal at the top of all hierarchies starts in one class (one class in all, where hierarchies end in one
group); a class that cannot satisfy the models even so is suppressed. Then ``deid.tables.splitting`` cuts. At the end
each class climbs each hierarchy to the lowest group that holds all its values: a value written always stands on the
ladder of the value it replaces. Two classes that end with equal values are one class, larger than was asked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deid.tables.classes import Classes, combine, good_classes, group
from deid.tables.columnar import Codes, Mask
from deid.tables.hierarchy import Axis
from deid.tables.judging import Chosen, Problem
from deid.tables.measures import Floats, Sensitive, holds
from deid.tables.search import not_met
from deid.tables.splitting import Protected, Splitting, Tree, split


def recode_locally(problem: Problem) -> Chosen:
    """The height of each combination on each axis. Raises ModelError when too many classes fail at the very top."""
    bounds = [_allowed_levels(axis) for axis in problem.axes]
    codes = [
        axis.codes[levels[-1]][base] for axis, base, levels in zip(problem.axes, problem.base, bounds, strict=True)
    ]
    sizes = [len(axis.labels[levels[-1]]) for axis, levels in zip(problem.axes, bounds, strict=True)]
    parts, count = group(combine(codes, sizes, len(problem.weights)))
    kept = _kept(problem, parts, count)
    order = np.flatnonzero(kept)[np.argsort(parts[kept], kind="stable")]
    trees, ranks = [], []
    for axis, base, levels in zip(problem.axes, problem.base, bounds, strict=True):
        tree, rank = _tree(axis, levels)
        trees.append(tree)
        ranks.append(rank[base[order]])
    starts = np.flatnonzero(np.r_[True, np.diff(parts[order]) != 0, True])
    protected = [_protect(column.of(order), problem.weights[order]) for column in problem.wanted.sensitive]
    task = Splitting(
        ranks=np.stack([*ranks, *(column.codes[order] for column in problem.wanted.sensitive)], axis=1),
        weights=problem.weights[order],
        quasi=tuple(trees),
        sensitive=tuple(protected),
        parts=starts,
        k=problem.wanted.k,
    )
    classes, made = split(task)
    by_class = np.argsort(classes, kind="stable")
    starts = np.searchsorted(classes[by_class], np.arange(made))
    heights = [_heights(tree, rank[by_class], starts)[classes] for tree, rank in zip(trees, ranks, strict=True)]
    return _chosen(problem, bounds, heights, order)


def _allowed_levels(axis: Axis) -> Sequence[int]:
    return range(axis.height) if axis.fixed is None else (axis.fixed,)


def _kept(problem: Problem, parts: Codes, count: int) -> Mask:
    """Combinations whose starting class satisfies the models, also against what is left. Raises ModelError."""
    kept = np.ones(len(parts), np.bool_)
    while kept.any():
        classes = Classes(of=parts[kept], count=count, weights=problem.weights[kept])
        good = good_classes(classes, problem.wanted, relative=False)
        for column in problem.wanted.sensitive:
            for rule in column.rules:
                if rule.relative:
                    good &= holds(rule, classes, column.of(kept))
        again = kept & good[parts]
        if problem.weights[~again].sum() > problem.limit:
            break
        if (again == kept).all():
            return kept
        kept = again
    raise not_met(problem)


def _tree(axis: Axis, levels: Sequence[int]) -> tuple[Tree, Codes]:
    """The axis in the order of its tree, and the rank of each base value in that order."""
    order = np.lexsort([axis.codes[level] for level in levels])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    costs = np.stack([axis.cost[level][order] for level in levels]) * axis.weight
    groups = np.stack([axis.codes[level][order] for level in levels])
    if levels[0] == 0:
        groups[0] = np.arange(len(order))
    return Tree(levels=groups, costs=costs), rank


def _protect(column: Sensitive, weights: Codes) -> Protected:
    levels = np.arange(column.count)[None, :] if column.tree is None else column.tree
    whole = np.bincount(column.codes, weights, column.count) / weights.sum()
    return Protected(tree=Tree(levels=levels, costs=np.zeros(levels.shape)), whole=whole, rules=column.rules)


def _heights(tree: Tree, ranks: Codes, starts: Codes) -> Codes:
    """The lowest level at which each class is one group; ``ranks`` lie class by class."""
    first, last = np.minimum.reduceat(ranks, starts), np.maximum.reduceat(ranks, starts)
    height = np.zeros(len(starts), np.int64)
    for level in range(len(tree.levels) - 1):
        height[(height == level) & (tree.levels[level, first] != tree.levels[level, last])] += 1
    return height


def _chosen(problem: Problem, bounds: Sequence[Sequence[int]], heights: Sequence[Codes], order: Codes) -> Chosen:
    total = int(problem.weights.sum())
    bad = np.ones(len(problem.weights), np.bool_)
    bad[order] = False
    levels, losses = [], []
    for axis, base, allowed, height in zip(problem.axes, problem.base, bounds, heights, strict=True):
        level = np.full(len(bad), allowed[-1], np.int64)
        level[order] = np.asarray(allowed)[height]
        cost: Floats = np.stack(axis.cost)[level, base]
        losses.append(float((np.where(bad, 1.0, cost) * problem.weights).sum() / total))
        levels.append(level)
    return Chosen(levels=tuple(levels), bad=bad, losses=tuple(losses), optimal=False, evaluated=None)
