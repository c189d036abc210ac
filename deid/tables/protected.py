"""What the recipe wants of one sensitive column, ready to be measured: its rules, its values in their order or tree.

An ordered distance needs an order: numbers by size, dates by day, anything else is refused, since the order of letters
means nothing. A hierarchical distance needs a hierarchy file that lists every value and ends in one group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deid.errors import RecipeError, TableError
from deid.models import Model
from deid.recipe import Recipe
from deid.tables.columnar import Codes, Column, Value
from deid.tables.measures import Rule, Sensitive
from deid.tables.transforms.hierarchy_files import read_hierarchy
from deid.tables.values import UnreadableError, read_date, read_number


def protect(recipe: Recipe, name: str, column: Column, places: Codes | None = None) -> Sensitive:
    """The column at these places (all of them when none are given). Raises TableError where the values do not fit."""
    mine = [model for model in recipe.models if model.column == name]
    measures = {model.measure: model for model in mine}
    if "ordered" in measures and "hierarchical" in measures:
        raise RecipeError("models", f"column {name!r}: either an ordered or a hierarchical distance")
    tree, rank = None, np.arange(len(column.values))
    if "ordered" in measures:
        rank = _rank(name, column.values)
    elif "hierarchical" in measures:
        tree, rank = _tree(name, column.values, recipe, measures["hierarchical"])
    codes = rank[column.codes if places is None else column.codes[places]]
    rules = tuple(Rule(kind=model.measure, limit=model.wanted, c=model.c) for model in mine)
    return Sensitive(name=name, codes=codes, count=len(column.values), rules=rules, tree=tree)


def _rank(name: str, values: Sequence[Value]) -> Codes:
    """The place of each value in order; a missing value comes first."""
    for read in (read_number, read_date):
        try:
            keys = [(value is not None, read(value)) if value is not None else (False, None) for value in values]
        except UnreadableError:
            continue
        # Two spellings of one number are two values; which comes first between them moves nothing but their order.
        order = sorted(range(len(keys)), key=lambda at: (keys[at][0], keys[at][1] or 0, values[at] or ""))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return rank
    raise TableError(
        f"table, column {name!r}: an ordered distance needs numbers or dates; use equal or hierarchical",
        code="table_value",
    )


def _tree(name: str, values: Sequence[Value], recipe: Recipe, model: Model) -> tuple[Codes, Codes]:
    """The group of each value at each level, values in the order of the tree, and the rank of each value."""
    ladders = read_hierarchy(recipe.files[str(model.file)], str(model.file))
    missing = [value for value in values if value is None or value not in ladders]
    if missing:
        raise TableError(
            f"table, column {name!r}: the hierarchy of its distance has no line for {len(missing)} of its values",
            code="table_hierarchy_misses",
        )
    chosen = [ladders[str(value)] for value in values]
    if len({ladder[-1] for ladder in ladders.values()}) != 1:
        raise RecipeError(f"hierarchy {model.file}", "its last level must be one group to give a distance")
    levels = np.stack([Column.of([ladder[level] for ladder in chosen]).codes for level in range(len(chosen[0]))])
    order = np.lexsort(levels)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    tree = levels[:, order]
    tree[0] = np.arange(len(order))
    return tree, rank
