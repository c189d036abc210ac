"""What every model was promised and what the written bytes have; a broken promise stops the release.

The search said that the models hold. Here each is measured once more on columns read back from the file, by the
definitions and not by the search's shortcuts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deid.errors import DeidError
from deid.models import Model
from deid.recipe import Recipe
from deid.tables.classes import Classes, combine, group
from deid.tables.columnar import Codes, Column, recode
from deid.tables.measures import Rule, measure
from deid.tables.protected import protect

SLACK = 1e-9


def prove(recipe: Recipe, columns: Mapping[str, Column], population: Mapping[str, Column]) -> dict[str, Any]:
    """``{model: {"wanted", "reached"}}`` of columns as released. Raises DeidError when a model is not met."""
    names = [model.name for model in recipe.models]
    answer = {}
    for model in recipe.models:
        # A model asked of two columns needs two entries; the plain name is kept where one is asked.
        name = model.name if names.count(model.name) == 1 else f"{model.name} {model.measure} {model.column}"
        wanted = model.c if model.measure == "recursive" else model.wanted
        reached = _reached(recipe, model, columns, population)
        if not _enough(model, reached):
            raise DeidError(f"table: {name} was promised but the written file does not have it", code="model_not_met")
        answer[name] = {"wanted": wanted, "reached": reached}
    return answer


def _enough(model: Model, reached: float) -> bool:
    if model.measure == "recursive":
        return reached < model.c
    if model.name in {"t-closeness", "delta-presence"}:
        return reached <= model.wanted + SLACK
    return reached >= model.wanted - SLACK


def _reached(recipe: Recipe, model: Model, columns: Mapping[str, Column], population: Mapping[str, Column]) -> float:
    quasi = recipe.leaving("quasi")
    if model.of_population:
        return _against(model, [columns[name] for name in quasi], [population[name] for name in quasi])
    classes = _classes([columns[name] for name in quasi])
    if model.column is None:
        return int(classes.sizes.min())
    rule = Rule(kind=model.measure, limit=model.wanted, c=model.c)
    found = measure(rule, classes, protect(recipe, model.column, columns[model.column]))
    if model.name == "t-closeness" or model.measure == "recursive":
        return round(float(found.max()), 12)
    return int(found.min()) if model.measure == "distinct" else round(float(found.min()), 9)


def _classes(columns: list[Column]) -> Classes:
    rows = len(columns[0].codes)
    of, count = group(combine([column.codes for column in columns], [len(column.values) for column in columns], rows))
    return Classes(of=of, count=count, weights=np.ones(rows, np.int64))


def journalist(released: list[Column], people: list[Column]) -> dict[str, float]:
    """Risk for one who knows only that somebody is in the population: one over the people each row could be."""
    here, there = _counted(released, people)
    return {
        "journalist_max": float(1 / max(there[here > 0].min(), 1)),
        "journalist_mean": float((here[here > 0] / np.maximum(there[here > 0], 1)).sum() / here.sum()),
    }


def _against(model: Model, released: list[Column], people: list[Column]) -> float:
    """The fewest people of the population, or the largest presence, over the classes released."""
    here, there = _counted(released, people)
    if model.name == "k-map":
        return int(there[here > 0].min())
    if model.least > 0 and (here[there > 0] / there[there > 0] < model.least - SLACK).any():
        raise DeidError("table: delta-presence was promised but somebody is seen to be absent", code="model_not_met")
    return float((here[here > 0] / np.maximum(there[here > 0], 1)).max())


def _counted(released: list[Column], people: list[Column]) -> tuple[Codes, Codes]:
    """Rows released and people of the population in each class of either."""
    rows = len(released[0].codes)
    both = [
        recode(np.concatenate([mine.codes, theirs.codes + len(mine.values)]), [*mine.values, *theirs.values])
        for mine, theirs in zip(released, people, strict=True)
    ]
    classes = _classes(both)
    return np.bincount(classes.of[:rows], minlength=classes.count), np.bincount(
        classes.of[rows:], minlength=classes.count
    )
