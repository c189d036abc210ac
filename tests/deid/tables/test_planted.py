"""Every kind of identifier at every place of a container is found in a naive release, and none is in ours."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deid.leakcheck import check
from deid.recipe import load_recipe
from deid.tables.standalone import deidentify
from tests.deid.tables.planting import CSV, KINDS, PARQUET

PLACES = {f"parquet: {name}": make for name, make in PARQUET.items()} | {
    f"csv: {name}": make for name, make in CSV.items()
}
# A value of the source written by its public rule is one; fifty others must not be.
OTHERS = 50


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_planted_is_found_and_nothing_else(kind: str, place: str) -> None:
    value, others = KINDS[kind](7), [KINDS[kind](number) for number in range(8, 8 + OTHERS)]
    data = PLACES[place](value)
    name = "release.parquet" if place.startswith("parquet") else "release.csv"
    found = check(io.BytesIO(data), name=name, source_identifiers=[value, *others], show_values=True)
    values = {one.value for one in found if one.kind == "source-identifier"}
    assert values == {value}


def test_the_places_and_kinds_are_at_least_sixty() -> None:
    assert len(PLACES) * len(KINDS) >= 230


RECIPE = (
    "recipe: r\nversion: 1\nkind: table\ntier: open\ncolumns:\n"
    "  hospital number: {role: identifier, transform: pseudonym}\n"
    + "".join(f"  {kind}: {{role: identifier, transform: drop}}\n" for kind in KINDS if kind not in {"hospital number", "postcode", "birth date"})
    + "  postcode: {role: quasi, transform: {generalise: {prefix: [4, 2]}}}\n"
    "  birth date: {role: quasi, transform: {generalise: {dates: [year, 10-years]}}}\n"
    "  diagnosis: {role: sensitive}\n  note: {role: text, transform: drop}\n"
    "models: [{k-anonymity: {k: 4}}]\nsuppression-limit: 0.2\nsearch: {method: local-recoding}\n"
)  # fmt: skip


def people(count: int = 200) -> dict[str, list[str]]:
    made = {kind: [make(number) for number in range(count)] for kind, make in KINDS.items()}
    made["note"] = [f"{made['name'][number]} {made['telephone'][number]}" for number in range(count)]
    made["diagnosis"] = ["=1+1" if number % 5 == 0 else f"I{number % 4}0" for number in range(count)]
    return made


def as_parquet(columns: dict[str, list[str]]) -> bytes:
    """Written as badly as it gets: dictionaries with unused values, statistics, pandas metadata."""
    held, table = io.BytesIO(), pa.table({name: pa.array(cells).dictionary_encode() for name, cells in columns.items()})
    pq.write_table(table.replace_schema_metadata({"pandas": columns["name"][3]}), held)
    return held.getvalue()


def as_csv(columns: dict[str, list[str]]) -> bytes:
    rows = [",".join(columns), *(",".join(f'"{cell}"' for cell in row) for row in zip(*columns.values(), strict=True))]
    return "\ufeff{}\n".format("\n".join(rows)).encode()


def forms(value: str) -> list[bytes]:
    """The ways a value could stand in a file, hashes and other encodings too."""
    plain = value.encode()
    hashes = [getattr(hashlib, name)(plain).hexdigest().encode() for name in ("md5", "sha1", "sha256")]
    return [plain, value.encode("gb18030"), value.encode("utf-16-le"), value.encode("utf-16-be"), *hashes]


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("source", [as_parquet, as_csv])
def test_none_of_them_is_in_our_release(source: object, form: str, tmp_path: Path) -> None:
    columns, sink = people(), io.BytesIO()
    assert callable(source)
    recipe = load_recipe(RECIPE.encode(), files={}.__getitem__)
    report = deidentify(recipe, io.BytesIO(source(columns)), sink, key=b"k" * 32, form=form)
    assert report["leakcheck"] == {"clean": True, "findings": 0}
    path = tmp_path / f"o.{form}"
    path.write_bytes(sink.getvalue())
    reader = "read_parquet(?)" if form == "parquet" else "read_csv(?, all_varchar=true)"
    cells = duckdb.execute(f"select * from {reader}", [str(path)]).fetchall()  # noqa: S608 -- one of two words
    everything = sink.getvalue() + "\n".join(str(cell) for row in cells for cell in row).encode()
    assert len(cells) > 100
    for kind in KINDS:
        for value in columns[kind]:
            assert not any(form in everything for form in forms(value)), kind
    assert not any(line.split(b",")[-1].startswith(b"=") for line in sink.getvalue().splitlines())
