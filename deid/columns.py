"""What a table recipe says about each column: its role, what is done to it, and what a missing value means.

Roles are those of the field: a direct ``identifier`` never leaves as itself, a ``quasi``-identifier is judged by the
models, a ``sensitive`` value is what they protect, ``insensitive`` is neither, ``text`` is free text and never
leaves (GB/T 37964-2019 section 6; a scan of free text proves nothing). Only parsing here; the doing is in
``deid.tables``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from deid.errors import RecipeError
from deid.strict import Fields, one_key

ROLES = ("identifier", "quasi", "sensitive", "insensitive", "text")
WORDS = ("keep", "drop", "pseudonym", "date-shift")
STEPS = ("generalise", "round", "top", "bottom", "interval", "prefix", "mask", "date")
DRAWN = ("noise", "pram", "swap")  # need a seed for each person
WHOLE = (*DRAWN, "micro-aggregate", "local-suppression")  # look at the whole column of permitted rows
BUILDERS = ("file", "intervals", "prefix", "dates", "order", "places", "all-or-nothing")
DATE_UNITS = ("day", "month", "quarter", "year")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One transform of one column with its checked settings."""

    name: str
    settings: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generalise:
    """A hierarchy to climb, from a file or built; ``level`` fixes the height, None leaves it to the search."""

    builder: str
    settings: Any
    level: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRule:
    """The whole of what may happen to one column."""

    name: str
    role: str
    steps: tuple[Step, ...]
    generalise: Generalise | None
    missing: str
    type: str
    weight: float = 1.0

    @property
    def leaves(self) -> bool:
        """False when the column is dropped."""
        return not any(step.name == "drop" for step in self.steps)


def read_column(name: str, value: object, place: str) -> ColumnRule:
    """One entry of ``columns``; refuses a direct identifier or free text that would leave as itself."""
    fields = Fields(value, place)
    role = fields.choice("role", ROLES)
    written = fields.take("transform", "keep")
    listed = written if isinstance(written, list) else [written]
    if not listed:
        raise RecipeError(fields.at("transform"), "an empty list says nothing; write keep or drop")
    steps, generalise = _read_steps(listed, fields.at("transform"))
    rule = ColumnRule(
        name=name,
        role=role,
        steps=steps,
        generalise=generalise,
        missing=fields.choice("missing", ("refuse", "keep"), "refuse"),
        type=fields.choice("type", ("text", "integer", "number"), "text"),
        weight=fields.number("weight", least=1e-3, most=1e3, default=1),
    )
    fields.done()
    _refuse_unsafe(rule, place)
    return rule


def _read_steps(listed: list[Any], place: str) -> tuple[tuple[Step, ...], Generalise | None]:
    steps: list[Step] = []
    generalise: Generalise | None = None
    for number, item in enumerate(listed):
        here = f"{place}[{number}]" if len(listed) > 1 else place
        if generalise is not None:
            raise RecipeError(here, "generalise must be the last step")
        if isinstance(item, str):
            if item not in WORDS:
                raise RecipeError(here, f"{item!r} is not one of {', '.join(WORDS)}", code="recipe_unknown_key")
            if item != "keep":
                steps.append(Step(name=item))
            continue
        key, settings = one_key(item, here)
        if key == "generalise":
            generalise = _read_generalise(settings, f"{here}.generalise")
        else:
            steps.append(Step(name=key, settings=_read_settings(key, settings, here)))
    return tuple(steps), generalise


def _read_settings(key: str, settings: Any, place: str) -> Any:
    fields = Fields({key: settings}, place)
    if key == "round":
        return _positive(settings, fields.at(key))
    if key in ("top", "bottom"):
        return fields.number(key, least=-1e15, most=1e15)
    if key == "prefix":
        return fields.whole(key, least=1)
    if key == "date":
        return fields.choice(key, DATE_UNITS)
    if key == "interval":
        inner = Fields(settings, fields.at(key))
        read = (
            _positive(inner.take("width"), inner.at("width")),
            inner.number("start", least=-1e15, most=1e15, default=0),
        )
        inner.done()
        return read
    if key == "mask":
        inner = Fields(settings, fields.at(key))
        mask = (inner.whole("keep", least=0), inner.text("with", "*"))
        inner.done()
        return mask
    if key in WHOLE:
        return _read_whole(key, settings, fields.at(key))
    raise RecipeError(f"{place}.{key}", f"not one of {', '.join((*STEPS, *WHOLE))}", code="recipe_unknown_key")


def _read_whole(key: str, settings: Any, place: str) -> Any:
    inner = Fields(settings, place)
    read: Any
    if key == "noise":
        read = (_positive(inner.take("scale"), inner.at("scale")), _positive(inner.take("round"), inner.at("round")))
    elif key == "pram":
        read = inner.number("stay", least=0, most=1)
    elif key == "swap":
        read = inner.number("share", least=0, most=1)
    else:
        name = "size" if key == "micro-aggregate" else "below"
        read = inner.whole(name, least=2)
    inner.done()
    return read


def _positive(value: Any, place: str) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise RecipeError(place, "a number above 0 is expected")
    return value


def _read_generalise(settings: Any, place: str) -> Generalise:
    fields = Fields({"file": settings} if isinstance(settings, str) else settings, place)
    level = fields.whole("level", least=0, default=0) if "level" in fields.keys() else None  # noqa: SIM118 -- a method
    named = [key for key in fields.keys() if key in BUILDERS]  # noqa: SIM118
    if len(named) != 1:
        raise RecipeError(place, f"exactly one of {', '.join(BUILDERS)} is expected")
    builder = named[0]
    made = fields.take(builder)
    fields.done()
    return Generalise(builder=builder, settings=_read_builder(builder, made, f"{place}.{builder}"), level=level)


def _read_builder(builder: str, made: Any, place: str) -> Any:
    if builder == "file":
        if not isinstance(made, str) or not made:
            raise RecipeError(place, "a file name is expected")
        return made
    if builder == "order":
        return _read_order(made, place)
    if builder in {"all-or-nothing", "places"}:
        if made is not True:
            raise RecipeError(place, "only true has a meaning here")
        return True
    if not isinstance(made, list) or not made:
        raise RecipeError(place, "a list is expected, finest first")
    if builder == "intervals":
        widths = [_positive(width, place) for width in made]
        if any(wide % fine for fine, wide in itertools.pairwise(widths)):
            raise RecipeError(place, "each width must be a multiple of the one before, or classes would overlap")
        return tuple(widths)
    if builder == "prefix":
        lengths = tuple(Fields({"prefix": length}, place).whole("prefix", least=1) for length in made)
        if list(lengths) != sorted(set(lengths), reverse=True):
            raise RecipeError(place, "lengths must fall: longest prefix first")
        return lengths
    return tuple(_read_date_unit(unit, place) for unit in made)


def _read_order(made: Any, place: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Values in the order that has a meaning, and how many neighbours share a group at each level."""
    fields = Fields(made, place)
    values, sizes = fields.take("values"), fields.take("sizes")
    fields.done()
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        raise RecipeError(f"{place}.values", "a list of values as text is expected, in their order")
    if len(set(values)) != len(values):
        raise RecipeError(f"{place}.values", "a value stands twice")
    if not isinstance(sizes, list) or not sizes:
        raise RecipeError(f"{place}.sizes", "a list is expected, finest first")
    sizes = [Fields({"sizes": size}, place).whole("sizes", least=2) for size in sizes]
    if any(wide % fine for fine, wide in itertools.pairwise(sizes)):
        raise RecipeError(f"{place}.sizes", "each size must be a multiple of the one before, or groups would overlap")
    return tuple(values), tuple(sizes)


def _read_date_unit(unit: Any, place: str) -> str:
    years = unit.removesuffix("-years") if isinstance(unit, str) else ""
    if unit in DATE_UNITS or (isinstance(unit, str) and unit.endswith("-years") and years.isdigit() and int(years) > 1):
        return str(unit)
    raise RecipeError(place, f"a unit is one of {', '.join(DATE_UNITS)} or N-years")


def _refuse_unsafe(rule: ColumnRule, place: str) -> None:
    names = {step.name for step in rule.steps}
    alone = names & {"drop", "pseudonym"}
    if alone and (len(rule.steps) > 1 or rule.generalise):
        raise RecipeError(place, f"{alone.pop()} stands alone", code="recipe_unsafe")
    if rule.role == "identifier" and not names & {"drop", "pseudonym"}:
        raise RecipeError(place, "a direct identifier is dropped or replaced by a pseudonym", code="recipe_unsafe")
    if rule.role == "text" and "drop" not in names:
        raise RecipeError(place, "free text never leaves: its transform is drop", code="recipe_unsafe")
    if "pseudonym" in names and rule.role != "identifier":
        raise RecipeError(place, "a pseudonym column has the role identifier", code="recipe_unsafe")
    if rule.weight != 1 and rule.role != "quasi":
        raise RecipeError(place, "only the loss of a quasi-identifier has a weight")
    if rule.generalise and rule.role != "quasi" and rule.generalise.level is None:
        raise RecipeError(place, "outside quasi-identifiers a hierarchy needs a fixed level", code="recipe_unsafe")
    if rule.type != "text" and (rule.generalise or names & {"date", "mask", "interval", "date-shift", "prefix"}):
        raise RecipeError(place, "this transform writes text, so the type must be text")
