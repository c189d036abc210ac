"""The sieve lets through every identifier the leak check would find in a table, and next to none of the others."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable

import pyarrow as pa
import pytest

from deid import native
from deid.leakcheck import check
from deid.tables.suspects import suspects
from tests.deid.tables.planting import KINDS, PARQUET, written

SHORT: dict[str, Callable[[int], str]] = {
    "two letters": lambda n: "abcdefghij"[n // 10 % 10] + "klmnopqrst"[n % 10],
    "five digits": lambda n: f"{10000 + n}",
    "five letters": lambda n: f"ward{'abcdefghij'[n % 10]}",
    "seven letters": lambda n: f"bed-{100 + n}",
    "one character": lambda n: "伟芳娜敏静秀强磊"[n % 8],
}
EVERY = {**KINDS, **SHORT}
OURS = ("a cell", "inside a cell", "a compressed page", "pandas metadata", "key-value metadata", "a column's name")
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "hashed": lambda value: hashlib.sha256(value.encode()).hexdigest(),
    "hashed inside": lambda value: f"x{hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()}9",
}


@pytest.fixture(params=["kernel", "twin"])
def _either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "has_measure", request.param == "kernel")


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize("place", OURS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", EVERY)
def test_what_the_check_finds_with_every_value_it_finds_with_the_suspects(kind: str, form: str, place: str) -> None:
    values = [EVERY[kind](number) for number in range(60)]
    data = PARQUET[place](FORMS[form](values[7]))
    kept = suspects(data, [pa.chunked_array([pa.array([f" {value} " for value in values])])])
    found = [
        {(one.where, one.value) for one in check(io.BytesIO(data), name="table.parquet", source_identifiers=looked, show_values=True)}
        for looked in (values, kept)
    ]  # fmt: skip
    assert found[0] == found[1]


def test_a_column_of_as_many_values_as_rows_is_sieved_too() -> None:
    draw = random.Random(1)
    values = [f"ZY{number:07d}" for number in range(3000)]
    cells = [f"{draw.random()}" for _ in values]
    cells[2999] = f"as {values[17]}"
    assert suspects(written(pa.table({"id": cells})), [pa.chunked_array([values])]) >= {values[17]}


def test_next_to_nothing_is_suspect_in_a_clean_table() -> None:
    values = [KINDS[kind](number) for kind in KINDS for number in range(500)]
    table = pa.table({"id": [f"P{number:016d}" for number in range(2000)], "age": [f"{n % 90}" for n in range(2000)]})
    assert len(suspects(written(table), [pa.chunked_array([values])])) == 0
