"""De-identify a table on its own, without a gateway: everybody in it is permitted, one key makes all names.

    report = deidentify(recipe, source, sink, key=secret)

From the key and the participant's id in the source come the pseudonym, the days of date shifts and the seed of what is
drawn (HMAC-SHA256, RFC 2104): equal table, recipe and key, equal bytes; another key, other names in another order. Rows
are ordered by pseudonym, so the order is keyed. The file that would leave is searched for every value of every direct
identifier of the source, dropped columns too; what is found stops it. Nothing is written to the sink before all this.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
from collections.abc import Callable
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from deid.errors import DeidError, TableError
from deid.leakcheck import check
from deid.recipe import Recipe
from deid.tables.core import People, make_core
from deid.tables.delimited import csv_bytes
from deid.tables.reading import column_names, read_table

FORMS = ("parquet", "csv")
LONGEST_SHIFT = 182  # days either way
SHORTEST_KEY = 32
Told = Callable[[str], None]


def deidentify(
    recipe: Recipe,
    source: BinaryIO,
    sink: BinaryIO,
    *,
    key: bytes,
    form: str = "parquet",
    told: Told = lambda _: None,
) -> dict[str, Any]:
    """Write the de-identified table and return the report (INTERFACES, Report). ``told`` hears each stage.

    Raises DeidError (TableError, RecipeError, ModelError, LeakCheckError) with nothing written.
    """
    if len(key) < SHORTEST_KEY:
        raise DeidError(f"key: at least {SHORTEST_KEY} bytes are needed", code="key_short")
    if recipe.kind != "table" or form not in FORMS:
        raise DeidError("task: a table recipe and the form parquet or csv are expected", code="kind_unknown")
    content = source.read()
    told("looking for direct identifiers")
    identifiers, ids = _identifiers(recipe, content)
    held = io.BytesIO()
    outcome = make_core(recipe, io.BytesIO(content), held, people=_people(recipe, ids, key), told=told)
    output = held.getvalue()
    if form == "csv":
        told("writing CSV")
        output = csv_bytes(pq.read_table(pa.BufferReader(output)))
        outcome.report["output"] |= {"bytes": len(output), "digest": f"sha256:{hashlib.sha256(output).hexdigest()}"}
    told("looking for leaks")
    found = check(io.BytesIO(output), name=f"table.{form}", source_identifiers=identifiers)
    grave = [one for one in found if one.severity == "high"]
    if grave:
        places = ", ".join(sorted({one.where for one in grave})[:5])
        raise DeidError(f"table: a direct identifier is in the file that would leave ({places})", code="leak_found")
    sink.write(output)
    return {**outcome.report, "leakcheck": {"clean": not found, "findings": len(found)}}


def _identifiers(recipe: Recipe, content: bytes) -> tuple[set[str], list[str]]:
    """Every value of every direct identifier the table has, and the participants' ids."""
    there = column_names(content, recipe.input)
    named = [rule.name for rule in recipe.columns if rule.role == "identifier" and rule.name in there]
    person = next(
        rule.name for rule in recipe.columns if rule.leaves and any(step.name == "pseudonym" for step in rule.steps)
    )
    if person not in named:
        raise TableError(
            f"table: the recipe names column {person!r}, which the table does not have", code="table_column_missing"
        )
    table, ids = read_table(io.BytesIO(content), columns=named, form=recipe.input, person=person)
    people = list(dict.fromkeys(one for one in ids.to_pylist() if one is not None))
    values = {value for column in table.columns.values() for value in column.values if value is not None}
    return values | set(people), people


def _people(recipe: Recipe, ids: list[str], key: bytes) -> People:
    codes = {one: _pseudonym(key, one) for one in ids}
    steps = {step.name for rule in recipe.columns for step in rule.steps}
    days = {codes[one]: _days(key, one) for one in ids} if "date-shift" in steps else {}
    seeds = {codes[one]: _derive(key, "seed", one) for one in ids}
    return People(codes=codes, shifts=days, seeds=seeds)


def _pseudonym(key: bytes, one: str) -> str:
    """Sixteen characters of base32, 80 bits: two of a hundred million people share one by a chance below 1e-8."""
    return "P" + base64.b32encode(_derive(key, "pseudonym", one)[:10]).decode()


def _days(key: bytes, one: str) -> int:
    drawn = int.from_bytes(_derive(key, "days", one)[:8], "big") % (2 * LONGEST_SHIFT)
    return drawn - LONGEST_SHIFT + (drawn >= LONGEST_SHIFT)  # never 0: everybody's dates move


def _derive(key: bytes, purpose: str, one: str) -> bytes:
    return hmac.digest(key, f"tongguan table {purpose}\0{one}".encode(), "sha256")
