"""From changed columns to the released ones: build the axes, choose the node, generalise, suppress.

Two models of one kind on different columns are both kept. Columns outside the quasi-identifiers climb only to a
level the recipe fixes. The suppression limit is a share of the permitted rows, rounded down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deid.errors import ModelError
from deid.recipe import Recipe
from deid.tables.classes import Sensitive, Wanted, combine, group
from deid.tables.columnar import Codes, Column, Mask, recode
from deid.tables.hierarchy import Axis, Place, build_axis
from deid.tables.search import Evaluator, Found, Problem, levels_by_column, not_met, search


@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymised:
    """Columns with the suppressed rows gone, how many those were, and what was lost."""

    columns: dict[str, Column]
    suppressed: int
    utility: dict[str, Any]


def anonymise(recipe: Recipe, columns: Mapping[str, Column], rows: Codes) -> Anonymised:
    """Generalise and suppress until the recipe's models hold. Raises ModelError or TableError."""
    rules = {rule.name: rule for rule in recipe.columns}
    axes = {
        name: build_axis(Place(name=name, column=column, rows=rows), rules[name].generalise, recipe.files)
        for name, column in columns.items()
        if rules[name].role == "quasi" or rules[name].generalise
    }
    quasi = [axes[name] for name in recipe.leaving("quasi")]
    released = {
        name: column
        if name not in axes or rules[name].role == "quasi"
        else at_level(axes[name], column, axes[name].fixed or 0)
        for name, column in columns.items()
    }
    if not quasi:
        return Anonymised(columns=released, suppressed=0, utility={})
    problem, combination = _problem(recipe, quasi, released)
    found = (
        search(problem, recipe.search.budget_nodes) if recipe.search.method == "full-domain" else _as_written(problem)
    )
    bad: Mask = Evaluator(problem, 1).bad(found.node)[combination]
    if bad.all():
        raise ModelError(
            "table: the models would suppress every row; use coarser hierarchies or fewer quasi-identifiers"
        )
    for axis, level in zip(quasi, found.node, strict=True):
        released[axis.name] = at_level(axis, released[axis.name], level)
    kept = ~bad
    return Anonymised(
        columns={name: column.take(kept) for name, column in released.items()},
        suppressed=found.suppressed,
        utility=_utility(quasi, found),
    )


def at_level(axis: Axis, column: Column, level: int) -> Column:
    """The column with each value replaced by the one above it at this level."""
    return recode(axis.codes[level][column.codes], axis.labels[level])


def _problem(recipe: Recipe, axes: Sequence[Axis], columns: Mapping[str, Column]) -> tuple[Problem, Codes]:
    """The search problem over distinct combinations, and the combination of each row."""
    sensitive = [columns[name] for name in recipe.leaving("sensitive")]
    parts = [columns[axis.name] for axis in axes] + sensitive
    total = len(parts[0].codes)
    combination, count = group(combine([part.codes for part in parts], [len(part.values) for part in parts], total))
    first = np.zeros(count, np.int64)
    first[combination[::-1]] = np.arange(total - 1, -1, -1)
    problem = Problem(
        axes=tuple(axes),
        base=tuple(columns[axis.name].codes[first] for axis in axes),
        weights=np.bincount(combination, minlength=count),
        wanted=_wanted(recipe, columns, first),
        limit=math.floor(recipe.suppression_limit * total + 1e-9),
    )
    return problem, combination


def _wanted(recipe: Recipe, columns: Mapping[str, Column], first: Codes) -> Wanted:
    k = max([int(model.wanted) for model in recipe.models if model.name == "k-anonymity"], default=1)
    protected = []
    for name in recipe.leaving("sensitive"):
        mine = [model for model in recipe.models if model.column == name]
        protected.append(
            Sensitive(
                name=name,
                codes=columns[name].codes[first],
                count=len(columns[name].values),
                wanted_l=max([int(model.wanted) for model in mine if model.name == "l-diversity"], default=1),
                wanted_t=min([model.wanted for model in mine if model.name == "t-closeness"], default=1.0),
            )
        )
    return Wanted(k=k, sensitive=tuple(protected))


def _as_written(problem: Problem) -> Found:
    node = tuple(axis.fixed or 0 for axis in problem.axes)
    evaluator = Evaluator(problem, 1)
    loss = evaluator.judge(node)[1]
    if math.isinf(loss):
        raise not_met(problem)
    suppressed = int(problem.weights[evaluator.bad(node)].sum())
    return Found(node=node, loss=loss, suppressed=suppressed, optimal=False, evaluated=1)


def _utility(axes: Sequence[Axis], found: Found) -> dict[str, Any]:
    return {
        "ncp": found.loss,
        "levels": levels_by_column(axes, found.node),
        "optimal": found.optimal,
        "nodes_evaluated": found.evaluated,
    }
