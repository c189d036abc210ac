"""From changed columns to the released ones: build the axes, choose the heights, generalise, suppress.

Two models of one kind on different columns are both kept. Columns outside the quasi-identifiers climb only to a
level the recipe fixes. The suppression limit is a share of the permitted rows, rounded down. A population (k-map,
delta-presence) climbs the same hierarchies beside the rows and never leaves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from deid.recipe import Recipe
from deid.tables.classes import Population, Wanted, combine, group
from deid.tables.columnar import Codes, Column, Mask, Value, recode
from deid.tables.hierarchy import Axis, Place, build_axis
from deid.tables.judging import Chosen, Problem
from deid.tables.local import recode_locally
from deid.tables.protected import protect
from deid.tables.search import as_written, search
from deid.tables.transforms.record_suppression import kept_records

FIRST = 1000.0  # how much more a column counts that the researcher wants first


@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymised:
    """Columns without the suppressed rows, how many those were, what was lost, rows kept, the population changed."""

    columns: dict[str, Column]
    suppressed: int
    utility: dict[str, Any]
    kept: Mask
    population: dict[str, Column] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Combinations:
    """Distinct combinations of quasi-identifiers and sensitive values."""

    of: Codes
    first: Codes
    weights: Codes
    population: Codes | None
    everybody: Codes


def anonymise(
    recipe: Recipe, columns: Mapping[str, Column], rows: Codes, population: Mapping[str, Column] | None = None
) -> Anonymised:
    """Generalise and suppress until the recipe's models hold. Raises ModelError or TableError.

    ``population`` holds the quasi-identifiers of the population, changed like the table's.
    """
    rules = {rule.name: rule for rule in recipe.columns}
    both = {name: _joined(column, (population or {}).get(name)) for name, column in columns.items()}
    axes = {
        name: replace(
            build_axis(
                Place(name=name, column=column, rows=_padded(rows, column)), rules[name].generalise, recipe.files
            ),
            weight=rules[name].weight * (FIRST if name in recipe.search.first else 1),
        )
        for name, column in both.items()
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
        everybody = np.ones(len(rows), np.bool_)
        return Anonymised(columns=released, suppressed=0, utility={}, kept=everybody)
    judged = both | {name: released[name] for name in recipe.leaving("sensitive")}
    found = _combinations(recipe, quasi, judged, rows)
    problem = _problem(recipe, quasi, judged, found)
    chosen = _choose(recipe, problem)
    kept = kept_records(chosen.bad, found.of)
    people: dict[str, Column] = {}
    for axis, levels in zip(quasi, chosen.levels, strict=True):
        released[axis.name] = _climbed(axis, both[axis.name], levels[found.of], len(rows))
        if population is not None:
            climbed = _climbed(axis, both[axis.name], levels[found.everybody], len(found.everybody))
            people[axis.name] = climbed.take(np.arange(len(rows), len(found.everybody)))
    return Anonymised(
        columns={name: column.take(kept) for name, column in released.items()},
        suppressed=int((~kept).sum()),
        utility=_utility(recipe, problem, chosen),
        kept=kept,
        population=people,
    )


def at_level(axis: Axis, column: Column, level: int) -> Column:
    """The column with each value replaced by the one above it at this level."""
    return recode(axis.codes[level][column.codes], axis.labels[level])


def _climbed(axis: Axis, column: Column, levels: Codes, rows: int) -> Column:
    """The column with each cell at its own level."""
    offsets = np.cumsum([0, *(len(labels) for labels in axis.labels)])
    labels: list[Value] = [label for at in axis.labels for label in at]
    return recode(offsets[levels] + np.stack(axis.codes)[levels, column.codes[:rows]], labels)


def _joined(column: Column, other: Column | None) -> Column:
    """The table's cells and, after them, the population's."""
    if other is None:
        return column
    values = [*column.values, *other.values]
    return recode(np.concatenate([column.codes, other.codes + len(column.values)]), values)


def _padded(rows: Codes, column: Column) -> Codes:
    """Source rows; a person of the population stands in row 0."""
    return np.concatenate([rows, np.zeros(len(column.codes) - len(rows), np.int64)])


def _combinations(recipe: Recipe, axes: Sequence[Axis], columns: Mapping[str, Column], rows: Codes) -> _Combinations:
    quasi = [columns[axis.name] for axis in axes]
    total, everybody = len(rows), len(quasi[0].codes)
    parts = [(column.codes, len(column.values)) for column in quasi]
    for name in recipe.leaving("sensitive"):
        beside = np.zeros(everybody, np.int64)
        beside[:total] = columns[name].codes + 1
        parts.append((beside, len(columns[name].values) + 1))
    of, count = group(combine([codes for codes, _ in parts], [size for _, size in parts], everybody))
    first = np.zeros(count, np.int64)
    first[of[::-1]] = np.arange(everybody - 1, -1, -1)
    return _Combinations(
        of=of[:total],
        first=first,
        weights=np.bincount(of[:total], minlength=count),
        population=np.bincount(of[total:], minlength=count) if everybody > total else None,
        everybody=of,
    )


def _problem(recipe: Recipe, axes: Sequence[Axis], columns: Mapping[str, Column], found: _Combinations) -> Problem:
    """The search problem over distinct combinations."""
    k = max([int(model.wanted) for model in recipe.models if model.name == "k-anonymity"], default=1)
    total = int(found.weights.sum())
    # A combination only the population has stands behind the last row; any sensitive value will do, its weight is 0.
    places = np.where(found.first < total, found.first, 0)
    sensitive = tuple(protect(recipe, name, columns[name], places) for name in recipe.leaving("sensitive"))
    return Problem(
        axes=tuple(axes),
        base=tuple(columns[axis.name].codes[found.first] for axis in axes),
        weights=found.weights,
        wanted=Wanted(k=k, sensitive=sensitive, population=_population(recipe, found)),
        limit=math.floor(recipe.suppression_limit * total + 1e-9),
        objective=recipe.search.objective,
    )


def _population(recipe: Recipe, found: _Combinations) -> Population | None:
    if found.population is None:
        return None
    presence = [model for model in recipe.models if model.name == "delta-presence"]
    return Population(
        weights=found.population,
        k=max([int(model.wanted) for model in recipe.models if model.name == "k-map"], default=1),
        least=max([model.least for model in presence], default=0.0),
        most=min([model.wanted for model in presence], default=1.0),
    )


def _choose(recipe: Recipe, problem: Problem) -> Chosen:
    if recipe.search.method == "full-domain":
        return search(problem, recipe.search.budget_nodes)
    return recode_locally(problem) if recipe.search.method == "local-recoding" else as_written(problem)


def _utility(recipe: Recipe, problem: Problem, chosen: Chosen) -> dict[str, Any]:
    """Losses as the field defines them: NCP is the plain mean, ARX's Loss the geometric one, whatever was weighted."""
    names = [axis.name for axis in problem.axes]
    found: dict[str, Any] = {
        "ncp": sum(chosen.losses) / len(names),
        "arx_loss": math.expm1(sum(math.log1p(loss) for loss in chosen.losses) / len(names)),
        "ncp_of_column": dict(zip(names, chosen.losses, strict=True)),
        "optimal": chosen.optimal,
    }
    if recipe.search.method != "local-recoding":
        found["levels"] = {name: int(levels[0]) for name, levels in zip(names, chosen.levels, strict=True)}
    if chosen.evaluated is not None:
        found["nodes_evaluated"] = chosen.evaluated
    return found
