"""Local recoding: every class gets its own heights, so far less is lost than with one height for a whole column.

Everybody who is equal at the top of all hierarchies starts in one class (one class in all, where hierarchies end in one
group); a class that cannot satisfy the models even so is suppressed. Then ``deid.tables.splitting`` cuts. At the end
each class climbs each hierarchy to the lowest group that holds all its values: a value written always stands on the
ladder of the value it replaces. Two classes that end with equal values are one class, larger than was asked. People of
a population (k-map, delta-presence) go with the classes and widen them: whoever is counted fits the values written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deid.tables.classes import Classes, Population, Wanted, combine, good_classes, group
from deid.tables.columnar import Codes, Mask
from deid.tables.hierarchy import Axis
from deid.tables.judging import ROUND, Chosen, Problem
from deid.tables.measures import Floats, Rule, Sensitive
from deid.tables.search import not_met
from deid.tables.splitting import Protected, Ranks, Splitting, Tree, split


def recode_locally(problem: Problem) -> Chosen:
    """The height of each combination on each axis. Raises ModelError when too many classes fail at the very top."""
    bounds = [_allowed_levels(axis) for axis in problem.axes]
    sizes = [len(axis.labels[levels[-1]]) for axis, levels in zip(problem.axes, bounds, strict=True)]
    codes = (
        axis.codes[levels[-1]][base] for axis, base, levels in zip(problem.axes, problem.base, bounds, strict=True)
    )
    parts, count = group(combine(codes, sizes, len(problem.weights)))
    kept = _kept(problem, parts, count)
    order = np.flatnonzero(kept)[np.argsort(parts[kept], kind="stable")] if count > 1 else np.flatnonzero(kept)
    starts = np.flatnonzero(np.r_[True, np.diff(parts[order]) != 0, True])
    del parts
    people = problem.wanted.population
    held = len(problem.wanted.sensitive) + (people is not None)
    rows: Ranks = np.empty((len(order), len(problem.axes) + held + 2), np.int32)
    trees = []
    for at, (axis, base, levels) in enumerate(zip(problem.axes, problem.base, bounds, strict=True)):
        tree, rank = _tree(axis, levels)
        trees.append(tree)
        rows[:, at] = rank[base[order]]
    for at, column in enumerate(problem.wanted.sensitive, start=len(trees)):
        rows[:, at] = column.codes[order]
    rows[:, -2], rows[:, -1] = problem.weights[order], order
    protected = [_protect(column.of(order), problem.weights[order]) for column in problem.wanted.sensitive]
    if people is not None:
        rows[:, -3] = people.weights[order]
        protected.append(_people(people, int(rows[:, -3].max())))
    del order
    task = Splitting(rows=rows, quasi=tuple(trees), sensitive=tuple(protected), parts=starts, k=problem.wanted.k)
    return _chosen(problem, bounds, task, split(task))


def _allowed_levels(axis: Axis) -> Sequence[int]:
    return range(axis.height) if axis.fixed is None else (axis.fixed,)


def _kept(problem: Problem, parts: Codes, count: int) -> Mask:
    """Combinations whose starting class satisfies the models, also against what is left. Raises ModelError."""
    kept = np.ones(len(parts), np.bool_)
    while kept.any():
        classes = Classes(of=parts[kept], count=count, weights=problem.weights[kept])
        again = kept & good_classes(classes, _of(problem.wanted, kept))[parts]
        if problem.weights[~again].sum() > problem.limit:
            break
        if (again == kept).all():
            return kept
        kept = again
    raise not_met(problem)


def _of(wanted: Wanted, kept: Mask) -> Wanted:
    """What is wanted, over these combinations only."""
    people = wanted.population
    return replace(
        wanted,
        sensitive=tuple(column.of(kept) for column in wanted.sensitive),
        population=None if people is None else replace(people, weights=people.weights[kept]),
    )


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


def _people(population: Population, most: int) -> Protected:
    """People of the population as a column whose value is their number."""
    levels = np.zeros((1, most + 1), np.int64)
    rule = Rule(kind="people", limit=population.k, c=population.most)
    return Protected(tree=Tree(levels=levels, costs=np.zeros(levels.shape)), whole=np.zeros(most + 1), rules=(rule,))


def _heights(tree: Tree, ranks: Ranks, starts: Codes) -> Codes:
    """The lowest level at which each class is one group; ``ranks`` lie class by class."""
    first, last = np.minimum.reduceat(ranks, starts), np.maximum.reduceat(ranks, starts)
    height = np.zeros(len(starts), np.int64)
    for level in range(len(tree.levels) - 1):
        height[(height == level) & (tree.levels[level, first] != tree.levels[level, last])] += 1
    return height


def _chosen(problem: Problem, bounds: Sequence[Sequence[int]], task: Splitting, starts: Codes) -> Chosen:
    """What each class climbs, written to its combinations; the rest is suppressed."""
    total, order = int(problem.weights.sum()), task.rows[:, -1]
    sizes = np.diff(np.append(starts, len(order)))
    bad = np.ones(len(problem.weights), np.bool_)
    bad[order] = False
    gone = int(problem.weights[bad].sum())
    levels, losses = [], []
    for at, (axis, allowed, tree) in enumerate(zip(problem.axes, bounds, task.quasi, strict=True)):
        ranks = np.ascontiguousarray(task.rows[:, at])
        height = np.repeat(_heights(tree, ranks, starts), sizes)
        level = np.full(len(bad), allowed[-1], np.int8)
        level[order] = np.asarray(allowed, np.int8)[height]
        base = problem.base[at][order]
        cost: Floats = np.stack(axis.cost)[level[order], base]
        losses.append(round(float(((cost * task.weights).sum() + gone) / total), ROUND))
        levels.append(level)
    return Chosen(levels=tuple(levels), bad=bad, losses=tuple(losses), optimal=False, evaluated=None)
