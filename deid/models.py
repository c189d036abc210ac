"""The models a table recipe may ask for, read and checked: what is wanted, of which column, measured how.

``k-anonymity`` (Sweeney 2002), ``l-diversity`` distinct, entropy and recursive (Machanavajjhala 2007), ``t-closeness``
with equal, ordered and hierarchical distance (Li 2007), ``k-map`` (Sweeney 2001) and ``delta-presence`` (Nergiz 2007).
Any combination may be asked; the same model with the same measure on the same column stands once. Only reading here;
``deid.tables.measures`` does the measuring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deid.errors import RecipeError
from deid.strict import Fields, one_key

DIVERSITIES = ("distinct", "entropy", "recursive")
DISTANCES = ("equal", "ordered", "hierarchical")
NAMES = ("k-anonymity", "l-diversity", "t-closeness", "k-map", "delta-presence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model wanted of the result.

    ``wanted`` is k, l, t or the largest presence; ``measure`` the kind of diversity or distance; ``c`` belongs to
    recursive (c,l)-diversity, ``least`` is the smallest presence, ``file`` a hierarchy or a population.
    """

    name: str
    wanted: float
    column: str | None = None
    measure: str = ""
    c: float = 0.0
    least: float = 0.0
    file: str | None = None

    @property
    def of_population(self) -> bool:
        """True for the models that compare with a population table."""
        return self.name in {"k-map", "delta-presence"}


def read_models(listed: Sequence[Mapping[str, Any]], sensitive: Sequence[str]) -> tuple[Model, ...]:
    """The ``models`` of a recipe; ``sensitive`` names the columns that may be protected. Raises RecipeError."""
    models: list[Model] = []
    for number, item in enumerate(listed):
        name, settings = one_key(item, f"models[{number}]")
        fields = Fields(settings, f"models[{number}].{name}")
        if name not in NAMES:
            raise RecipeError(f"models[{number}].{name}", "not a known model", code="recipe_unknown_key")
        model = _read(name, fields, sensitive)
        fields.done()
        if any((model.name, model.measure, model.column) == (one.name, one.measure, one.column) for one in models):
            raise RecipeError(f"models[{number}].{name}", "the same model stands twice")
        if any(one.of_population and model.of_population and one.file != model.file for one in models):
            raise RecipeError(f"models[{number}].{name}", "every model names the same population")
        models.append(model)
    return tuple(models)


def _read(name: str, fields: Fields, sensitive: Sequence[str]) -> Model:
    if name == "k-anonymity":
        return Model(name=name, wanted=fields.whole("k", least=1))
    if name == "l-diversity":
        return _read_diversity(fields, fields.choice("column", sensitive))
    if name == "t-closeness":
        return _read_closeness(fields, fields.choice("column", sensitive))
    if name == "k-map":
        return Model(name=name, wanted=fields.whole("k", least=1), file=fields.text("population"))
    least = fields.number("least", least=0, most=1, default=0)
    most = fields.number("most", least=least, most=1)
    return Model(name=name, wanted=most, least=least, file=fields.text("population"))


def _read_diversity(fields: Fields, column: str) -> Model:
    measure = fields.choice("kind", DIVERSITIES, "distinct")
    if measure == "entropy":
        wanted: float = fields.number("l", least=1, most=1e9)
    else:
        wanted = fields.whole("l", least=1)
    c = fields.number("c", least=1e-9, most=1e9) if measure == "recursive" else 0.0
    return Model(name="l-diversity", wanted=wanted, column=column, measure=measure, c=c)


def _read_closeness(fields: Fields, column: str) -> Model:
    measure = fields.choice("distance", DISTANCES, "equal")
    file = fields.text("hierarchy") if measure == "hierarchical" else None
    return Model(
        name="t-closeness", wanted=fields.number("t", least=0, most=1), column=column, measure=measure, file=file
    )
