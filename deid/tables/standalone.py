"""De-identify a table on its own, without a gateway: everybody in it is permitted, one key makes all names.

    report = deidentify(recipe, source, sink, key=secret)

From the key and the participant's id in the source comes the pseudonym (BLAKE2b keyed, RFC 7693); from the key and the
pseudonym come the days of date shifts and the seed of what is drawn (HMAC-SHA256, RFC 2104): equal table, recipe and
key, equal bytes; another key, other names in another order. Rows are ordered by pseudonym, so the order is keyed. The
file that would leave is searched for every value of every direct identifier of the source, dropped columns too; what
is found stops it. Nothing is written to the sink before all this.
"""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from deid.errors import DeidError, TableError
from deid.leakcheck import check
from deid.recipe import Recipe
from deid.shifts import days_of
from deid.tables.changing import People
from deid.tables.core import make_core
from deid.tables.delimited import csv_bytes
from deid.tables.reading import column_names, read_texts
from deid.tables.suspects import suspects
from deid.tables.transforms.pseudonyms import keyed_names

FORMS = ("parquet", "csv")
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
    identifiers = _identifiers(recipe, content)
    held = io.BytesIO()
    people = People(
        names=lambda ids: pseudonyms(key, ids), shifts=_Derived(lambda code: _days(key, code)), seeds=_seeds(key)
    )
    once = _Once(content)
    del content
    outcome = make_core(recipe, once, held, people=people, told=told)
    output = held.getvalue()
    told("looking for leaks")
    values = suspects(output, identifiers)
    grave = check(io.BytesIO(output), name="table.parquet", source_identifiers=values)
    if form == "csv":
        told("writing CSV")
        output = csv_bytes(output)
        outcome.report["output"] |= {"bytes": len(output), "digest": f"sha256:{hashlib.sha256(output).hexdigest()}"}
        grave = check(io.BytesIO(output), name="table.csv", source_identifiers=values)
    found, grave = grave, [one for one in grave if one.severity == "high"]
    if grave:
        places = ", ".join(sorted({one.where for one in grave})[:5])
        raise DeidError(f"table: a direct identifier is in the file that would leave ({places})", code="leak_found")
    sink.write(output)
    return {**outcome.report, "leakcheck": {"clean": not found, "findings": len(found)}}


class _Once(io.BytesIO):
    """What is read to its end in one go and held no longer."""

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.close()
        return content


def _identifiers(recipe: Recipe, content: bytes) -> list[Any]:
    """Every direct identifier the table has, each as an Arrow array of text."""
    there = column_names(content, recipe.input)
    named = [rule.name for rule in recipe.columns if rule.role == "identifier" and rule.name in there]
    person = next(
        rule.name for rule in recipe.columns if rule.leaves and any(step.name == "pseudonym" for step in rule.steps)
    )
    if person not in named:
        raise TableError(
            f"table: the recipe names column {person!r}, which the table does not have", code="table_column_missing"
        )
    return read_texts(content, columns=named, form=recipe.input)


def pseudonyms(key: bytes, ids: Any) -> Any:
    """An Arrow array of names made from the key, one for each id."""
    return keyed_names(_derive(key, "pseudonym", ""), ids)


class _Derived(Mapping[str, Any]):
    """What is derived from the key for each name when it is asked for, and held for nobody."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self.make = make

    def __getitem__(self, code: str) -> Any:
        return self.make(code)

    def __contains__(self, code: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _seeds(key: bytes) -> Mapping[str, bytes]:
    return _Derived(lambda code: _derive(key, "seed", code))


def _days(key: bytes, one: str) -> int:
    return days_of(_derive(key, "days", one))


def _derive(key: bytes, purpose: str, one: str) -> bytes:
    return hmac.digest(key, f"tongguan table {purpose}\0{one}".encode(), "sha256")
