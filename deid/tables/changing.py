"""Change the columns of permitted rows as a recipe says, step by step; what a step cannot read is refused by row.

Steps on one value see one distinct value at a time and nothing else, so their result can never depend on another
participant. Missing values are not passed to them. Steps on a whole column see the permitted rows and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deid.columns import DRAWN, WHOLE, ColumnRule, Step
from deid.errors import TableError
from deid.recipe import Recipe
from deid.tables.columnar import Column, Table, Value
from deid.tables.draws import Dice, participant_set
from deid.tables.permitted import Permitted
from deid.tables.transforms.bottom_coding import bottom_code
from deid.tables.transforms.date_shift import shift_date
from deid.tables.transforms.dates import cut_date
from deid.tables.transforms.intervals import interval_of
from deid.tables.transforms.local_suppression import suppress_rare
from deid.tables.transforms.masking import mask
from deid.tables.transforms.micro_aggregation import micro_aggregate
from deid.tables.transforms.noise import add_noise
from deid.tables.transforms.pram import post_randomise
from deid.tables.transforms.prefixes import prefix_of
from deid.tables.transforms.rounding import round_value
from deid.tables.transforms.swapping import swap
from deid.tables.transforms.top_coding import top_code
from deid.tables.values import UnreadableError, plain, read_number

Change = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """The permitted participants: source id to internal code; for each code days to shift dates and a seed.

    Where everybody in the table is permitted, ``names`` makes the codes of an Arrow array of ids instead.
    """

    codes: Mapping[str, str] = field(default_factory=dict, repr=False)
    names: Callable[[Any], Any] | None = field(default=None, repr=False)
    shifts: Mapping[str, int] = field(default_factory=dict, repr=False)
    seeds: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def dice_of(recipe: Recipe, allowed: Permitted, kept: Permitted, people: People) -> Dice | None:
    """What draws for the rows kept, for the set of all permitted people with a row; None where nothing is drawn."""
    if not any(step.name in DRAWN for rule in recipe.columns for step in rule.steps):
        return None
    return Dice(seeds=people.seeds, codes=kept.codes, set_digest=participant_set(allowed.codes))


def change_column(rule: ColumnRule, kept: Permitted, people: People, dice: Dice | None) -> Column:
    """One column after its steps. Raises TableError with column and row, never a value.

    Without dice (a population beside the table) nothing is drawn: who has no seed is refused.
    """
    column = kept.table.columns[rule.name]
    if rule.missing == "refuse" and None in column.values:
        row = column.first_row(column.values.index(None), kept.table.rows)
        raise TableError(
            f"table, column {rule.name!r}, data row {row}: no value; fill it, or write `missing: keep` in the recipe",
            code="table_missing_value",
        )
    dice = dice or Dice(seeds=people.seeds, codes=kept.codes, set_digest="")
    for step in rule.steps:
        if step.name == "date-shift":
            column = _shift(column, kept, rule.name, people)
        elif step.name in WHOLE:
            column = _perturb(column, step, kept.table, rule.name, dice)
        else:
            column = _map(column, _change_of(step), kept.table, rule.name)
    return column


def _change_of(step: Step) -> Change:
    """The function of one step on one value."""
    settings = step.settings
    made: dict[str, Change] = {
        "round": lambda value: round_value(value, settings),
        "top": lambda value: top_code(value, settings),
        "bottom": lambda value: bottom_code(value, settings),
        "interval": lambda value: interval_of(value, *settings),
        "prefix": lambda value: prefix_of(value, settings),
        "mask": lambda value: mask(value, *settings),
        "date": lambda value: cut_date(value, settings),
    }
    return made[step.name]


def _perturb(column: Column, step: Step, table: Table, name: str, dice: Dice) -> Column:
    """The steps that look at the whole column; a value they cannot read is refused with its row, as everywhere."""
    if step.name in {"noise", "micro-aggregate"}:
        column = _map(column, lambda value: plain(read_number(value)), table, name)
    if step.name == "noise":
        return add_noise(column, dice.throw(f"noise 0 {name}"), *step.settings)
    if step.name == "pram":
        return post_randomise(column, dice.throw(f"pram 0 {name}"), dice.throw(f"pram 1 {name}"), step.settings)
    if step.name == "swap":
        return swap(column, dice.throw(f"swap 0 {name}"), step.settings)
    return (micro_aggregate if step.name == "micro-aggregate" else suppress_rare)(column, step.settings)


def _map(column: Column, change: Change, table: Table, name: str) -> Column:
    def one(value: Value) -> Value:
        try:
            return None if value is None else change(value)
        except UnreadableError as error:
            row = column.first_row(column.values.index(value), table.rows)
            raise TableError(
                f"table, column {name!r}, data row {row}: {error} is expected", code="table_value"
            ) from None

    return column.map(one)


def _shift(column: Column, kept: Permitted, name: str, people: People) -> Column:
    """Each person's own number of days, so that their intervals stay true."""
    moved: list[Value] = []
    for row, (value, code) in enumerate(zip(column.cells(), kept.codes.to_pylist(), strict=True)):
        if value is not None and code not in people.shifts:
            raise TableError(
                "participants: a date is to be shifted but someone has no number of days", code="names_invalid"
            )
        try:
            moved.append(None if value is None else shift_date(value, people.shifts[code]))
        except UnreadableError as error:
            place = int(kept.table.rows[row])
            raise TableError(
                f"table, column {name!r}, data row {place}: {error} is expected", code="table_value"
            ) from None
    return Column.of(moved)
