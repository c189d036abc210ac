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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyarrow as pa

from deid.columns import ColumnRule
from deid.errors import TableError
from deid.recipe import Recipe
from deid.risk import assess_columns, measure_table, read_released
from deid.tables.anonymise import Anonymised, anonymise
from deid.tables.changing import People, change_column, dice_of
from deid.tables.columnar import Column
from deid.tables.draws import draw
from deid.tables.permitted import Permitted, everybody, permitted
from deid.tables.promises import journalist, prove
from deid.tables.reading import read_content, read_table
from deid.tables.transforms.dropping import undropped
from deid.tables.transforms.sampling import sample
from deid.tables.uniqueness import population_uniques
from deid.tables.usefulness import usefulness
from deid.tables.writing import core_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOutcome:
    """The report (INTERFACES, Report), the internal codes that are in the core, and the judged columns."""

    report: dict[str, Any]
    codes: Any = field(repr=False)
    quasi: tuple[str, ...]
    sensitive: tuple[str, ...]

    @property
    def participants(self) -> tuple[str, ...]:
        """The internal codes as text; ``codes`` is the Arrow array they stand in."""
        return tuple(self.codes.to_pylist())


def core_table(
    recipe: Recipe,
    source: BinaryIO,
    sink: BinaryIO,
    *,
    participants: Mapping[str, str],
    shifts: Mapping[str, int] | None = None,
    seeds: Mapping[str, bytes] | None = None,
) -> TableOutcome:
    """Write the core view as Parquet, participant column first, rows ordered by internal code; return the report.

    ``participants`` maps source ids to internal codes and holds permitted people only. ``shifts`` maps internal codes
    to days, needed where the recipe shifts dates; ``seeds`` maps them to secret bytes, needed where it draws values.
    Raises TableError, RecipeError or ModelError with nothing written.
    """
    people = People(codes=participants, shifts=shifts or {}, seeds=seeds or {})
    return make_core(recipe, source, sink, people=people)


def make_core(
    recipe: Recipe, source: BinaryIO, sink: BinaryIO, *, people: People, told: Callable[[str], None] = lambda _: None
) -> TableOutcome:
    """``core_table`` for people already put together; ``told`` hears each stage of long work."""
    _refuse_shared_codes(people)
    told("reading")
    content = source.read()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    rules = undropped(recipe.columns)
    person = next(rule.name for rule in rules if any(step.name == "pseudonym" for step in rule.steps))
    allowed, records = _allowed(recipe, content, person, people)
    del content  # the text of millions of rows is held no longer than it is read
    others = [rule for rule in rules if rule.name != person]
    kept = _sampled(recipe, allowed, people)
    told("changing values")
    dice = dice_of(recipe, allowed, kept, people)
    changed = {rule.name: change_column(rule, kept, people, dice) for rule in others}
    told("finding classes")
    done = anonymise(recipe, changed, kept.table.rows, _population(recipe, others))
    codes = kept.codes.filter(pa.array(done.kept))
    told("writing and measuring")
    output = _write(others, person, codes, done)
    report = {
        "recipe": recipe.summary,
        "input": {
            "records": records,
            "participants": len(allowed.codes),
            "digest": digest,
        },
        "output": {
            "records": len(codes),
            "participants": len(codes),
            "digest": f"sha256:{hashlib.sha256(output).hexdigest()}",
            "bytes": len(output),
        },
        "removed": {
            "not_permitted": records - len(allowed.codes),
            "suppressed": done.suppressed,
            "permitted_without_row": 0 if people.names else len(people.codes) - len(allowed.codes),
        }
        | ({"not_sampled": len(allowed.codes) - len(kept.codes)} if recipe.sample < 1 else {}),
        **_measured(recipe, changed, output, done),
    }
    sink.write(output)
    return TableOutcome(
        report=report,
        codes=codes,
        quasi=tuple(recipe.leaving("quasi")),
        sensitive=tuple(recipe.leaving("sensitive")),
    )


def _allowed(recipe: Recipe, content: bytes, person: str, people: People) -> tuple[Permitted, int]:
    """The permitted rows, and how many rows there were."""
    names = [rule.name for rule in undropped(recipe.columns)]
    table, ids = read_content(content, columns=names, form=recipe.input, person=person)
    if people.names is not None:
        return everybody(table, ids, person, people.names), len(ids)
    return permitted(table, ids, person, people.codes), len(ids)


def _refuse_shared_codes(people: People) -> None:
    if people.names is not None:
        return  # one to one by what they promise
    if not people.codes:
        raise TableError("table: no participant is permitted, so there is nothing to release", code="table_empty")
    if len(set(people.codes.values())) != len(people.codes):
        raise TableError("participants: two people share one internal code", code="names_invalid")


def _sampled(recipe: Recipe, allowed: Permitted, people: People) -> Permitted:
    if recipe.sample == 1:
        return allowed
    rows = sample(draw(people.seeds, allowed.codes, "sample"), recipe.sample)
    return Permitted(table=allowed.table.take(rows), codes=allowed.codes.take(pa.array(rows)))


def _write(rules: list[ColumnRule], person: str, codes: Any, done: Anonymised) -> bytes:
    types = {rule.name: rule.type for rule in rules}
    return core_bytes(person, codes, {rule.name: done.columns[rule.name] for rule in rules}, types)


def _population(recipe: Recipe, rules: list[ColumnRule]) -> dict[str, Column] | None:
    """The quasi-identifiers of the population the models name, changed like the table's; None where none is named."""
    named = next((model.file for model in recipe.models if model.of_population), None)
    if named is None:
        return None
    quasi = [rule for rule in rules if rule.role == "quasi"]
    try:
        table, _ = read_table(io.BytesIO(recipe.files[named]), columns=[rule.name for rule in quasi], form=recipe.input)
        everybody = Permitted(table=table, codes=pa.array([], pa.string()))
        return {rule.name: change_column(rule, everybody, People(), None) for rule in quasi}
    except TableError as error:
        raise TableError(str(error).replace("table", "population", 1), code=error.code) from None


def _measured(recipe: Recipe, before: Mapping[str, Column], output: bytes, done: Anonymised) -> dict[str, Any]:
    """Models, risk and utility; ``after`` is measured on the very bytes that were written."""
    quasi, sensitive = recipe.leaving("quasi"), recipe.leaving("sensitive")
    if not quasi:
        return {}
    columns = read_released(io.BytesIO(output), wanted=[*quasi, *sensitive])
    after = assess_columns(columns, quasi=quasi, sensitive=sensitive)
    if done.population:
        after |= journalist([columns[name] for name in quasi], [done.population[name] for name in quasi])
    earlier = measure_table(before, quasi=quasi, sensitive=sensitive)
    if recipe.population_size is not None:
        for found in (earlier, after):
            found["population_uniques"] = _alone(found, recipe.population_size)
    return {
        "models": prove(recipe, columns, done.population),
        "risk": {"before": earlier, "after": after},
        "utility": done.utility
        | usefulness(before, columns)
        | {"discernibility": after["discernibility"] + done.suppressed * len(next(iter(before.values())).codes)},
    }


def _alone(found: Mapping[str, Any], people: int) -> dict[str, float]:
    sizes = {one["size"]: one["classes"] for one in found["theta"]}
    try:
        return population_uniques(sizes, people)
    except ValueError:
        raise TableError(
            f"table: population-size {people} is below the rows of the table; correct it in the recipe",
            code="table_value",
        ) from None
