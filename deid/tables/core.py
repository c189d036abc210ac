"""Make the core view of a table of people, or refuse and leave nothing.

The order is the safety argument:
1. read only the columns the recipe lists;
2. keep only the rows of permitted participants, and forget every value that occurred in other rows;
3. order the rows by internal code, so that the order of the source does not survive;
4. change the values of each column;
5. find the heights of the hierarchies (or take them as written), suppress what the models cannot protect;
6. write the file into memory, open it again and measure it;
7. only then write to the sink.
A step that raises leaves the sink untouched. Names of recipients, keys and limits of the tiers are not here.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from deid.columns import ColumnRule, Step
from deid.errors import TableError
from deid.recipe import Recipe
from deid.risk import assess_table, measure_table, read_released
from deid.tables.anonymise import Anonymised, anonymise
from deid.tables.columnar import Column, Table, Value
from deid.tables.promises import prove
from deid.tables.reading import read_table
from deid.tables.values import UnreadableError, change_of, shift_date
from deid.tables.writing import arrow_table, parquet_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOutcome:
    """The report (INTERFACES, Report), the internal codes that are in the core, and the judged columns."""

    report: dict[str, Any]
    participants: tuple[str, ...]
    quasi: tuple[str, ...]
    sensitive: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """The permitted participants: source id to internal code, and days to shift dates by for each code."""

    codes: Mapping[str, str] = field(repr=False)
    shifts: Mapping[str, int] = field(default_factory=dict, repr=False)


def core_table(
    recipe: Recipe,
    source: BinaryIO,
    sink: BinaryIO,
    *,
    participants: Mapping[str, str],
    shifts: Mapping[str, int] | None = None,
) -> TableOutcome:
    """Write the core view as Parquet, participant column first, rows ordered by internal code; return the report.

    ``participants`` maps source ids to internal codes and holds permitted people only. ``shifts`` maps internal codes
    to days, needed where the recipe shifts dates. Raises TableError, RecipeError or ModelError with nothing written.
    """
    people = People(codes=participants, shifts=shifts or {})
    _refuse_shared_codes(people)
    content = source.read()
    rules = [rule for rule in recipe.columns if rule.leaves]
    table, records = read_table(io.BytesIO(content), columns=[rule.name for rule in rules], form=recipe.input)
    person = next(rule.name for rule in rules if any(step.name == "pseudonym" for step in rule.steps))
    kept = _permitted(table, person, people)
    changed = {rule.name: _change(rule, kept, person, people) for rule in rules}
    done = anonymise(recipe, changed, kept.rows, _population(recipe, rules))
    codes = [str(code) for code in done.columns[person].cells()]
    output, rows = _write(rules, person, done)
    report = {
        "recipe": recipe.summary,
        "input": {
            "records": records,
            "participants": len(kept.rows),
            "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        },
        "output": {
            "records": rows,
            "participants": rows,
            "digest": f"sha256:{hashlib.sha256(output).hexdigest()}",
            "bytes": len(output),
        },
        "removed": {
            "not_permitted": records - len(kept.rows),
            "suppressed": done.suppressed,
            "permitted_without_row": len(people.codes) - len(kept.rows),
        },
        **_measured(recipe, changed, output, done),
    }
    sink.write(output)
    return TableOutcome(
        report=report,
        participants=tuple(codes),
        quasi=tuple(recipe.leaving("quasi")),
        sensitive=tuple(recipe.leaving("sensitive")),
    )


def _refuse_shared_codes(people: People) -> None:
    if not people.codes:
        raise TableError("table: no participant is permitted, so there is nothing to release", code="table_empty")
    if len(set(people.codes.values())) != len(people.codes):
        raise TableError("participants: two people share one internal code", code="names_invalid")


def _permitted(table: Table, person: str, people: People) -> Table:
    """Rows of permitted people, the person column already as internal codes, ordered by code."""
    column = table.columns[person]
    missing = [code for code, value in enumerate(column.values) if value is None]
    if missing:
        row = column.first_row(missing[0], table.rows)
        raise TableError(f"table, column {person!r}, data row {row}: no participant id", code="table_value")
    named = [None if value is None else people.codes.get(value) for value in column.values]
    allowed = np.array([name is not None for name in named], np.bool_)[column.codes]
    rows = np.flatnonzero(allowed)
    if not len(rows):
        raise TableError(
            "table: no row belongs to a permitted participant; check that the ids are those of the sample sheet",
            code="table_no_permitted_row",
        )
    counted = np.bincount(column.codes[rows], minlength=len(column.values))
    if counted.max() > 1:
        row = int(table.rows[rows][np.flatnonzero(column.codes[rows] == counted.argmax())[1]])
        raise TableError(
            f"table, column {person!r}, data row {row}: a participant stands in a second row; "
            "a table of people has one row for each",
            code="table_duplicate_participant",
        )
    codes = np.array([named[code] for code in column.codes[rows].tolist()])
    ordered = rows[np.argsort(codes)]
    return Table(
        columns={
            name: column.map(lambda value: people.codes.get(value or "")).take(ordered)
            if name == person
            else at.take(ordered)
            for name, at in table.columns.items()
        },
        rows=table.rows[ordered],
    )


def _change(rule: ColumnRule, table: Table, person: str, people: People) -> Column:
    column = table.columns[rule.name]
    if rule.missing == "refuse" and None in column.values:
        row = column.first_row(column.values.index(None), table.rows)
        raise TableError(
            f"table, column {rule.name!r}, data row {row}: no value; fill it, or write `missing: keep` in the recipe",
            code="table_missing_value",
        )
    for step in rule.steps:
        if step.name == "date-shift":
            column = _shift(column, table, rule.name, people, table.columns[person])
        elif step.name != "pseudonym":
            column = _map(column, step, table, rule.name)
    return column


def _map(column: Column, step: Step, table: Table, name: str) -> Column:
    change = change_of(step)

    def one(value: Value) -> Value:
        try:
            return None if value is None else change(value)
        except UnreadableError as error:
            row = column.first_row(column.values.index(value), table.rows)
            raise TableError(
                f"table, column {name!r}, data row {row}: {error} is expected", code="table_value"
            ) from None

    return column.map(one)


def _shift(column: Column, table: Table, name: str, people: People, persons: Column) -> Column:
    """Each person's own number of days, so that their intervals stay true."""
    moved: list[Value] = []
    for row, (value, code) in enumerate(zip(column.cells(), persons.cells(), strict=True)):
        if value is not None and code not in people.shifts:
            raise TableError(
                "participants: a date is to be shifted but someone has no number of days", code="names_invalid"
            )
        try:
            moved.append(None if value is None else shift_date(value, people.shifts[str(code)]))
        except UnreadableError as error:
            place = int(table.rows[row])
            raise TableError(
                f"table, column {name!r}, data row {place}: {error} is expected", code="table_value"
            ) from None
    return Column.of(moved)


def _write(rules: list[ColumnRule], person: str, done: Anonymised) -> tuple[bytes, int]:
    order = [person, *(rule.name for rule in rules if rule.name != person)]
    types = {rule.name: rule.type for rule in rules}
    table = arrow_table({name: done.columns[name] for name in order}, types)
    return parquet_bytes(table), int(table.num_rows)


def _population(recipe: Recipe, rules: list[ColumnRule]) -> dict[str, Column] | None:
    """The quasi-identifiers of the population the models name, changed like the table's; None where none is named."""
    named = next((model.file for model in recipe.models if model.of_population), None)
    if named is None:
        return None
    quasi = [rule for rule in rules if rule.role == "quasi"]
    try:
        table, _ = read_table(io.BytesIO(recipe.files[named]), columns=[rule.name for rule in quasi], form=recipe.input)
        return {rule.name: _change(rule, table, "", People(codes={})) for rule in quasi}
    except TableError as error:
        raise TableError(str(error).replace("table", "population", 1), code=error.code) from None


def _measured(recipe: Recipe, before: Mapping[str, Column], output: bytes, done: Anonymised) -> dict[str, Any]:
    """Models, risk and utility; ``after`` is measured on the very bytes that were written."""
    quasi, sensitive = recipe.leaving("quasi"), recipe.leaving("sensitive")
    if not quasi:
        return {}
    after = assess_table(io.BytesIO(output), quasi=quasi, sensitive=sensitive)
    columns = read_released(io.BytesIO(output), wanted=[*quasi, *sensitive])
    return {
        "models": prove(recipe, columns, done.population),
        "risk": {"before": measure_table(before, quasi=quasi, sensitive=sensitive), "after": after},
        "utility": done.utility
        | {"discernibility": after["discernibility"] + done.suppressed * len(next(iter(before.values())).codes)},
    }
