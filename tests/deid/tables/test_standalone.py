"""The library on its own: keyed names and order, nothing written when refused, nothing of the source in the file, CSV and page."""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import io
import random
import re
import tracemalloc
from collections import Counter, defaultdict
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import deid.tables
from deid.errors import DeidError
from deid.tables import deidentify, load_recipe, risk_page
from deid.tables.columnar import Column
from deid.tables.copying import copy_table
from deid.tables.core import core_table
from deid.tables.delimited import csv_bytes
from deid.tables.standalone import pseudonyms
from deid.tables.usefulness import cramers_v, moved

KEY = b"k" * 32
RECIPE = (
    "recipe: r\nversion: 1\nkind: table\ntier: open\ncolumns:\n  id: {role: identifier, transform: pseudonym}\n"
    "  name: {role: identifier, transform: drop}\n  phone: {role: identifier, transform: drop}\n"
    "  age: {role: quasi, transform: {generalise: {intervals: [5, 10, 20]}}}\n"
    "  sex: {role: quasi, transform: {generalise: {all-or-nothing: true}}}\n"
    "  visit: {role: insensitive, transform: date-shift}\n  note: {role: sensitive}\n"
    "models: [{k-anonymity: {k: 4}}]\nsuppression-limit: 0.1\nsearch: {method: METHOD}\n"
)


def rows_of(count: int = 120) -> list[list[str]]:
    draw = random.Random(5)
    return [
        [
            f"H{n:05d}",
            draw.choice("李王张") + draw.choice("伟芳娜敏"),
            f"1390000{n:04d}",
            str(draw.randint(18, 80)),
            draw.choice("MF"),
            f"2024-0{draw.randint(1, 9)}-15",
            draw.choice(["I10", "E11", "-2", "=1+1"]),
        ]
        for n in range(count)
    ]


def source_of(rows: list[list[str]]) -> bytes:
    return "\n".join(",".join(row) for row in [["id", "name", "phone", "age", "sex", "visit", "note"], *rows]).encode()


def run(source: bytes, method: str = "full-domain", **more: Any) -> tuple[dict[str, Any], bytes]:
    recipe, sink = load_recipe(RECIPE.replace("METHOD", method).encode(), files={}.__getitem__), io.BytesIO()
    return deidentify(recipe, io.BytesIO(source), sink, **{"key": KEY, **more}), sink.getvalue()


def table_of(output: bytes) -> list[dict[str, Any]]:
    return pq.read_table(io.BytesIO(output)).to_pylist()


@pytest.mark.parametrize("method", ["full-domain", "local-recoding"])
def test_equal_input_and_key_give_equal_bytes_whatever_the_order_and_the_rest_of_the_file(method: str) -> None:
    rows = rows_of()
    _, first = run(source_of(rows), method)
    draw = random.Random(9)
    for _ in range(5):
        changed = [[row[0], f"某{draw.random()}", str(draw.randrange(10**11)), *row[3:]] for row in rows]
        draw.shuffle(changed)
        assert run(source_of(changed), method)[1] == first
    people = [row["id"] for row in table_of(first)]
    assert people == sorted(people)
    other = [row["id"] for row in table_of(run(source_of(rows), method, key=b"K" * 32)[1])]
    assert not set(people) & set(other)


def test_two_keys_give_two_orders_and_a_linker_by_values_is_right_as_often_as_the_report_says() -> None:
    """An independent linker: for each row of one project's copy a random row of the other's with equal values."""
    rows = rows_of(300)
    people = {row[0]: f"c{at:06d}" for at, row in enumerate(rows)}
    sink = io.BytesIO()
    recipe = load_recipe(RECIPE.replace("METHOD", "full-domain").encode(), files={}.__getitem__)
    days = {code: at % 3 for at, code in enumerate(people.values())}
    outcome = core_table(recipe, io.BytesIO(source_of(rows)), sink, participants=people, shifts=days)
    copies = []
    for project in "AB":
        numbers = random.Random(project).sample(range(10**6), len(outcome.participants))
        names = {code: f"{project}{number}" for code, number in zip(outcome.participants, numbers, strict=True)}
        copied = io.BytesIO()
        copy_table(io.BytesIO(sink.getvalue()), copied, names=names)
        back = {name: code for code, name in names.items()}
        copies.append([(back[row.pop("id")], tuple(row.values())) for row in table_of(copied.getvalue())])
    assert [code for code, _ in copies[0]] != [code for code, _ in copies[1]]
    at_values = defaultdict(list)
    for code, values in copies[1]:
        at_values[values].append(code)
    sure = sum(at_values[values] == [code] for code, values in copies[0])
    expected = sum(1 / len(at_values[values]) for _, values in copies[0]) / len(copies[0])
    assert outcome.report["risk"]["after"]["linkable_by_values"] == pytest.approx(expected)
    assert outcome.report["risk"]["after"]["row_uniques"] == sure
    draw, right = random.Random(1), 0
    for _ in range(40):
        right += sum(draw.choice(at_values[values]) == code for code, values in copies[0])
    assert right / 40 / len(copies[0]) == pytest.approx(expected, abs=0.03)


def test_no_direct_identifier_of_the_source_is_in_the_file_and_one_that_slips_in_stops_it() -> None:
    rows = rows_of()
    report, output = run(source_of(rows))
    assert report["leakcheck"] == {"clean": True, "findings": 0}
    for row in rows:
        for value in row[:3]:
            assert value.encode() not in output
    rows[7][6] = rows[30][2]  # somebody's telephone number in a column that leaves
    with pytest.raises(DeidError, match="a direct identifier is in the file") as caught:
        run(source_of(rows))
    assert caught.value.code == "leak_found"
    assert rows[30][2] not in str(caught.value)


def test_whatever_is_refused_writes_nothing() -> None:
    rows = rows_of()
    bad = [
        (source_of([*rows, ["H1", "x"]]), {}),
        (source_of([*rows, rows[0]]), {}),
        (source_of([[*rows[0][:3], "old", *rows[0][4:]], *rows[1:]]), {}),
        (source_of(rows).replace(b"id,name", b"ID,name"), {}),
        (source_of(rows), {"key": b"short"}),
        (source_of(rows), {"form": "xlsx"}),
        (b"", {}),
    ]
    recipe = load_recipe(RECIPE.replace("METHOD", "full-domain").encode(), files={}.__getitem__)
    for source, more in bad:
        sink = io.BytesIO()
        with pytest.raises(DeidError):
            deidentify(recipe, io.BytesIO(source), sink, **{"key": KEY, **more})
        assert sink.getvalue() == b""


def test_names_are_a_keyed_hash_of_the_id_worked_out_by_hand() -> None:
    ids = [f"H{n}" for n in range(70_000)]  # more than are made at once
    made = pseudonyms(KEY, pa.array(ids)).to_pylist()
    secret = hmac.new(KEY, b"tongguan table pseudonym\0", "sha256").digest()
    for at in (0, 1, 65_535, 65_536, 69_999):
        drawn = hashlib.blake2b(ids[at].encode(), digest_size=10, key=secret).digest()
        assert made[at] == "P" + base64.b32encode(drawn).decode()
    assert len(set(made)) == len(ids)
    assert pseudonyms(KEY, pa.array([], pa.string())).to_pylist() == []


def test_dates_move_by_the_same_days_for_one_person_and_never_by_none() -> None:
    rows = rows_of(60)
    told: list[str] = []
    _, output = run(source_of(rows), told=told.append)
    made = pseudonyms(KEY, pa.array([row[0] for row in rows])).to_pylist()
    names = dict(zip(made, (row[5] for row in rows), strict=True))
    days = [(date.fromisoformat(row["visit"]) - date.fromisoformat(names[row["id"]])).days for row in table_of(output)]
    assert all(0 < abs(one) <= 182 for one in days)
    assert len(set(days)) > 20
    assert told[0] == "looking for direct identifiers"
    assert told[-1] == "looking for leaks"
    assert len(told) >= 5


def test_csv_is_safe_to_open_in_a_spreadsheet_and_holds_the_same_cells() -> None:
    rows = rows_of()
    _, parquet = run(source_of(rows))
    report, text = run(source_of(rows), form="csv")
    read = list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    assert report["output"]["bytes"] == len(text)
    assert not any(re.match(r"[=+@\t\r]|-(?![0-9])", cell) for row in read for cell in row.values())
    assert [{**row, "note": row["note"].removeprefix("'")} for row in read] == table_of(parquet)
    table = pa.table({"=a": ["-1", "-x", "+8613", None, "@", "a,b", 'say "no"', "\tx"]})
    held = io.BytesIO()
    pq.write_table(table, held)
    assert csv_bytes(held.getvalue()).decode().split("\n")[:5] == ["'=a", "-1", "'-x", "+8613", '""']


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.words: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.outside += [value or "" for name, value in attrs if name in {"src", "href", "action"}]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_stands_alone_runs_nothing_and_escapes_names() -> None:
    report, _ = run(source_of(rows_of()))
    report["utility"]["marginals"]["<script>alert(1)</script>"] = 0.5
    page = Page()
    page.feed(risk_page(report))
    assert page.tags["script"] == 0
    assert page.outside == []
    assert page.tags["svg"] >= 3
    assert page.tags["rect"] > 10
    assert str(report["risk"]["after"]["k"]) in page.words
    assert "http" not in "".join(page.words)


def test_the_measures_of_use_are_those_worked_out_by_hand() -> None:
    first, second = Column.of(list("aabb")), Column.of(list("xxyy"))
    assert cramers_v(first, second) == pytest.approx(1)
    assert cramers_v(first, Column.of(list("xyxy"))) == pytest.approx(0)
    assert cramers_v(first, Column.of(list("xxxx"))) is None
    table = np.array([[3, 1], [2, 4]])
    cells = [(a, b) for a in range(2) for b in range(2) for _ in range(table[a, b])]
    wanted = np.outer(table.sum(1), table.sum(0)) / 10
    v = cramers_v(Column.of([str(a) for a, _ in cells]), Column.of([str(b) for _, b in cells]))
    assert v == pytest.approx(float(np.sqrt(((table - wanted) ** 2 / wanted).sum() / 10)))
    assert moved(Column.of(list("aabb")), Column.of(list("aaab"))) == pytest.approx(0.25)
    assert moved(Column.of(list("ab")), Column.of(list("xy"))) == 1


def test_every_documented_name_is_there() -> None:
    for name in deid.tables.__all__:
        assert getattr(deid.tables, name) is not None
    with pytest.raises(AttributeError):
        _ = deid.tables.nothing


def test_the_text_of_the_source_is_held_no_longer_than_it_is_read(tmp_path: Path) -> None:
    """A column of 8 MB that is dropped: from the search on, less than that is held beyond what was there before."""
    source = tmp_path / "wide.csv"
    wide = [[*row, "x" * 2_000] for row in rows_of(4_000)]
    source.write_bytes(source_of(wide).replace(b"visit,note", b"visit,note,more", 1))
    held: dict[str, int] = {}
    recipe = load_recipe(RECIPE.replace("METHOD", "local-recoding").encode(), files={}.__getitem__)
    tracemalloc.start()
    try:
        with source.open("rb") as opened:
            before = tracemalloc.get_traced_memory()[0]

            def told(stage: str) -> None:
                held[stage] = tracemalloc.get_traced_memory()[0] - before

            deidentify(recipe, opened, io.BytesIO(), key=KEY, told=told)
    finally:
        tracemalloc.stop()
    assert held["looking for direct identifiers"] > 8_000_000
    assert max(held["changing values"], held["finding classes"], held["looking for leaks"]) < 6_000_000


@pytest.mark.parametrize("method", ["full-domain", "local-recoding"])
def test_columns_read_two_at_a_time_change_neither_a_byte_nor_the_report(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    source = source_of(rows_of(400))
    alone = run(source, method)
    monkeypatch.setattr("deid.abreast.WORTH", 1)
    assert run(source, method) == alone


def test_columns_read_two_at_a_time_hide_no_identifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deid.abreast.WORTH", 1)
    rows = rows_of()
    rows[7][6] = rows[90][1]  # a name in the column that stays
    with pytest.raises(DeidError) as raised:
        run(source_of(rows))
    assert raised.value.code == "leak_found"
