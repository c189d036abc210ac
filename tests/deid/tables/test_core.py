"""Invariant 10 and 11 for tables, the models, and every bad input."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deid.defaults import default_recipe
from deid.errors import DeidError, ModelError, NamesError, TableError
from deid.recipe import InputForm, Recipe, load_recipe
from deid.tables.copying import copy_table
from deid.tables.core import TableOutcome, core_table
from deid.tables.reading import read_table

HEADER = [
    "participant_id",
    "name",
    "id_number",
    "phone",
    "birth_date",
    "sex",
    "district",
    "diagnosis",
    "bmi",
    "visit_date",
    "notes",
]


def people(count: int, seed: int = 7) -> list[list[str]]:
    draw = random.Random(seed)
    return [
        [
            f"H{number:04d}",
            draw.choice("李王张刘陈") + draw.choice("娜伟芳敏静"),
            f"99010119{draw.randint(40, 99)}0101{number:04d}",
            f"199{number:08d}",
            f"19{draw.randint(50, 99)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}",
            draw.choice("男女"),
            draw.choice(["深圳市南山区", "深圳市福田区", "广州市天河区", "珠海市香洲区"]),
            draw.choice(["I45.6", "I47.2", "I49.0", "E11.9"]),
            f"{draw.uniform(17, 34):.1f}",
            f"2024-{draw.randint(1, 12):02d}-11",
            f"复诊，电话 199{number:08d}",
        ]
        for number in range(count)
    ]


def csv_of(rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER, encoding: str = "utf-8") -> bytes:
    return "".join(",".join(row) + "\n" for row in [header, *rows]).encode(encoding)


def codes(rows: Sequence[Sequence[str]]) -> dict[str, str]:
    return {row[0]: f"c{abs(hash_of(row[0])):08x}" for row in rows}


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode()[-4:], "little") * 2654435761 % 2**32


def run(recipe: Recipe, source: bytes, participants: dict[str, str], **more: Any) -> tuple[TableOutcome, bytes]:
    sink = io.BytesIO()
    return core_table(recipe, io.BytesIO(source), sink, participants=participants, **more), sink.getvalue()


def small(columns: str, more: str = "", files: dict[str, bytes] | None = None) -> Recipe:
    text = f"recipe: r\nversion: 1\nkind: table\ntier: controlled\ncolumns:\n{columns}{more}"
    return load_recipe(text.encode(), files=(files or {}).__getitem__)


PERSON = "  id: {role: identifier, transform: pseudonym}\n"


def test_the_default_recipe_meets_its_models_on_the_written_bytes_as_duckdb_counts_them() -> None:
    rows = people(200)
    outcome, output = run(default_recipe("phenotype-controlled"), csv_of(rows), codes(rows))
    table = pq.read_table(io.BytesIO(output))
    assert table.column_names == ["participant_id", "birth_date", "sex", "district", "diagnosis", "bmi"]
    query = (
        "select min(n), min(l) from (select count(*) n, count(distinct diagnosis) l from released "
        "group by birth_date, sex, district, bmi)"
    )
    ((least, diverse),) = _holding(table).execute(query).fetchall()
    assert least >= 6
    assert diverse >= 2
    report = outcome.report
    assert report["models"]["k-anonymity"] == {"wanted": 6, "reached": least}
    assert report["models"]["l-diversity"] == {"wanted": 2, "reached": diverse}
    assert report["removed"]["suppressed"] <= 10
    assert (
        report["output"]["records"]
        == 200 - report["removed"]["suppressed"]
        == table.num_rows
        == len(outcome.participants)
    )
    assert table.column("participant_id").to_pylist() == sorted(outcome.participants)


def _holding(table: Any) -> Any:
    connection = duckdb.connect()
    connection.register("released", table)
    connection.execute("set threads = 1")
    return connection


def test_inv10_output_is_a_function_of_permitted_people_and_listed_columns_only() -> None:
    """Invariant 10: other people, dropped and unlisted columns, row and column order, encoding and format change no byte."""
    rows = people(160)
    permitted = codes(rows[:120])
    recipe = default_recipe("phenotype-controlled")
    _, first = run(recipe, csv_of(rows), permitted)
    draw = random.Random(3)
    for trial in range(20):
        changed = [list(row) for row in rows]
        for row in changed:
            for dropped in (1, 2, 3, 9, 10):
                row[dropped] = f"x{draw.random()}"
        for row in changed[120:]:
            row[0] = f"other{draw.random()}"
            row[4:9] = ["not a date", "?", "elsewhere", f"Z{trial}", "NaN"]
        changed = changed[: 120 + draw.randint(0, 40)]
        draw.shuffle(changed)
        order = draw.sample(range(len(HEADER)), len(HEADER))
        header = [HEADER[place] for place in order] + ["unlisted"]
        changed = [[row[place] for place in order] + [str(draw.random())] for row in changed]
        encoding = draw.choice(["utf-8", "utf-8-sig", "gb18030"])
        assert run(recipe, csv_of(changed, header, encoding), permitted)[1] == first
        table = pa.table({name: [row[at] for row in changed] for at, name in enumerate(header)})
        held = io.BytesIO()
        pq.write_table(table, held)
        assert run(recipe, held.getvalue(), permitted)[1] == first


def test_the_file_holds_no_dictionary_page_no_statistics_and_no_metadata() -> None:
    rows = people(100)
    _, output = run(default_recipe("phenotype-controlled"), csv_of(rows), codes(rows))
    file = pq.ParquetFile(io.BytesIO(output))
    assert file.metadata.metadata is None
    for place in range(file.metadata.num_columns):
        chunk = file.metadata.row_group(0).column(place)
        assert not chunk.has_dictionary_page
        assert chunk.statistics is None


def test_a_copy_is_ordered_by_pseudonym_and_changes_nothing_else() -> None:
    """Invariant 12: two projects share neither names nor row order."""
    rows = people(150)
    outcome, core = run(default_recipe("phenotype-controlled"), csv_of(rows), codes(rows))
    draw = random.Random(1)
    copies = []
    for project in "AB":
        numbers = draw.sample(range(10_000), len(outcome.participants))
        names = {code: f"{project}{number:05d}" for code, number in zip(outcome.participants, numbers, strict=True)}
        sink = io.BytesIO()
        report = copy_table(io.BytesIO(core), sink, names=names)
        table = pq.read_table(io.BytesIO(sink.getvalue())).to_pylist()
        assert report["records"] == len(table) == len(names)
        assert [row["participant_id"] for row in table] == sorted(names.values())
        back = {name: code for code, name in names.items()}
        copies.append([back[row["participant_id"]] for row in table])
        original = {row["participant_id"]: row for row in pq.read_table(io.BytesIO(core)).to_pylist()}
        for row in table:
            assert {**row, "participant_id": back[row["participant_id"]]} == original[back[row["participant_id"]]]
    assert copies[0] != copies[1]


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ({}, "names_invalid"),
        ({"c1": "P1", "c2": "p1"}, "names_collide"),
        ({"c1": "P1", "c2": "=SUM(A1)"}, "names_invalid"),
        ({"c1": "P1", "c2": "c1"}, "names_unchanged"),
        ({"c1": "P1"}, "names_invalid"),
    ],
)
def test_a_copy_refuses_names_that_mix_or_lose_people_and_writes_nothing(names: dict[str, str], code: str) -> None:
    recipe = small(PERSON + "  v: {role: insensitive}\n")
    _, core = run(recipe, b"id,v\na,1\nb,2\n", {"a": "c1", "b": "c2"})
    sink = io.BytesIO()
    with pytest.raises(NamesError) as caught:
        copy_table(io.BytesIO(core), sink, names=names)
    assert caught.value.code == code
    assert sink.getvalue() == b""


VALUE = PERSON + "  v: {role: quasi, transform: {generalise: h.csv}}\n"
FILES = {"h.csv": b"1;low;*\n2;low;*\n3;high;*\n"}
MODEL = "models: [{k-anonymity: {k: 2}}]\n"
NOT_FOUND = "secret"


@pytest.mark.parametrize(
    ("source", "code", "place"),
    [
        (b"", "table_empty", "empty"),
        (b"id,v\n", "table_no_permitted_row", "permitted"),
        (b"id,v\nx,1\n", "table_no_permitted_row", "sample sheet"),
        (b"id,v\na,1\nb,2,secret\n", "table_ragged", "data row 2"),
        (b"id,v\na,1\nb\n", "table_ragged", "data row 2"),
        (b"id,w\na,1\n", "table_column_missing", "'v'"),
        (b"id,v,v\na,1,1\n", "table_header", "column 3"),
        (b"id,v\na,1\nb,secret\n", "table_hierarchy_misses", "data row 2"),
        (b"id,v\na,1\nb,NaN\n", "table_missing_value", "data row 2"),
        (b"id,v\na,1\nb,\n", "table_missing_value", "missing: keep"),
        (b"id,v\na,1\nb,2\na,2\n", "table_duplicate_participant", "data row 3"),
        (b"id,v\na,1\n,2\n", "table_value", "data row 2"),
        (b"id,v\na,1\nb,\xff\xff\xff\n", "table_encoding", "line 3"),
        ("id,v\na,李娜\n".encode() + "b,王伟\n".encode("gb18030"), "table_encoding", "line 2"),
        ("id,v\na,1\n".encode("utf-16"), "table_encoding", "UTF-16"),
        (b"id,v\na,1\0\n", "table_invalid", "line 2"),
        (b"PAR1 cut short", "table_unreadable", "Parquet"),
    ],
)
def test_bad_input_is_refused_with_place_and_leaves_nothing(source: bytes, code: str, place: str) -> None:
    sink = io.BytesIO()
    with pytest.raises(DeidError) as caught:
        core_table(small(VALUE, MODEL, FILES), io.BytesIO(source), sink, participants={"a": "c1", "b": "c2"})
    assert caught.value.code == code
    assert place in str(caught.value)
    assert NOT_FOUND not in str(caught.value)
    assert sink.getvalue() == b""


def test_a_model_that_cannot_be_met_within_the_limit_is_refused_with_a_remedy() -> None:
    with pytest.raises(ModelError, match="suppression-limit"):
        run(small(VALUE, "models: [{k-anonymity: {k: 3}}]\n", FILES), b"id,v\na,1\nb,2\n", {"a": "c1", "b": "c2"})


def test_bad_values_of_people_who_are_not_permitted_do_not_stop_the_release() -> None:
    """Invariant 10: whether hospital data of others is clean must not be visible in the answer."""
    source = b"id,v\na,1\nb,2\nx,secret\nx,\n"
    outcome, _ = run(small(VALUE, MODEL, FILES), source, {"a": "c1", "b": "c2"})
    assert outcome.report["removed"]["not_permitted"] == 2


def test_two_people_with_one_internal_code_are_refused() -> None:
    with pytest.raises(TableError, match="share one internal code"):
        run(small(VALUE, MODEL, FILES), b"id,v\na,1\nb,2\n", {"a": "c1", "b": "c1"})


def test_each_transform_gives_the_value_worked_out_by_hand() -> None:
    recipe = small(
        PERSON
        + "  a: {role: insensitive, transform: {round: 0.5}, type: number}\n"
        + "  b: {role: insensitive, transform: [{top: 90}, {bottom: 18}], type: integer}\n"
        + "  c: {role: insensitive, transform: {interval: {width: 5, start: 0}}}\n"
        + "  d: {role: insensitive, transform: {prefix: 3}}\n"
        + "  e: {role: insensitive, transform: {mask: {keep: 2}}}\n"
        + "  f: {role: insensitive, transform: {date: quarter}}\n"
        + "  g: {role: insensitive, transform: date-shift}\n"
        + "  h: {role: insensitive, missing: keep, type: integer}\n"
        + "  i: {role: quasi, transform: {generalise: {dates: [month, 5-years], level: 2}}}\n",
        "search: {method: as-written}\n",
    )
    source = (
        b"id,a,b,c,d,e,f,g,h,i\nx,1.26,97,-3,I45.6,ABCDE,2024-05-06,2024-02-28,,2023-05-06\n"
        b"y,-0.1,3,5,E11,Z,20241231,2024/3/1 10:00,7,1999-01-01\n"
    )
    _, output = run(recipe, source, {"x": "c1", "y": "c2"}, shifts={"c1": 2, "c2": -1})
    assert [list(row.values()) for row in pq.read_table(io.BytesIO(output)).to_pylist()] == [
        ["c1", 1.5, 90, "[-5,0)", "I45", "AB***", "2024-Q2", "2024-03-01", None, "2020-2024"],
        ["c2", 0.0, 18, "[5,10)", "E11", "Z***", "2024-Q4", "2024-02-29", 7, "1995-1999"],
    ]


@pytest.mark.parametrize("transform", ["{round: 1}", "{date: year}", "{interval: {width: 5}}", "{top: 5}"])
def test_a_value_the_transform_cannot_read_is_refused_by_row_without_showing_it(transform: str) -> None:
    recipe = small(PERSON + f"  v: {{role: insensitive, transform: {transform}}}\n")
    with pytest.raises(TableError, match=r"column 'v', data row 1: .* is expected") as caught:
        run(recipe, b"id,v\na,secret\n", {"a": "c1"})
    assert NOT_FOUND not in str(caught.value)


def test_nobody_is_released_with_a_date_that_was_not_shifted() -> None:
    recipe = small(PERSON + "  v: {role: insensitive, transform: date-shift}\n")
    with pytest.raises(TableError, match="no number of days"):
        run(recipe, b"id,v\na,2024-01-01\nb,2024-01-01\n", {"a": "c1", "b": "c2"}, shifts={"c1": 3})


def test_t_closeness_of_the_output_equals_a_plain_computation() -> None:
    rows = people(200, seed=11)
    more = (
        "models: [{k-anonymity: {k: 4}}, {l-diversity: {l: 2, column: diagnosis}}, {t-closeness: {t: 0.3, column: diagnosis}}]\n"
        "suppression-limit: 0.1\n"
    )
    columns = (
        "  participant_id: {role: identifier, transform: pseudonym}\n"
        "  sex: {role: quasi, transform: {generalise: {all-or-nothing: true}}}\n"
        "  bmi: {role: quasi, transform: {generalise: {intervals: [2, 4, 8]}}}\n"
        "  diagnosis: {role: sensitive}\n"
    )
    outcome, output = run(small(columns, more), csv_of(rows), codes(rows))
    table = pq.read_table(io.BytesIO(output)).to_pylist()
    whole = Counter(row["diagnosis"] for row in table)
    classes: dict[Any, Counter[str]] = {}
    for row in table:
        classes.setdefault((row["sex"], row["bmi"]), Counter())[row["diagnosis"]] += 1
    t = max(
        sum(abs(held[value] / held.total() - whole[value] / whole.total()) for value in whole) / 2
        for held in classes.values()
    )
    assert outcome.report["models"]["t-closeness"]["reached"] == pytest.approx(t)
    assert min(held.total() for held in classes.values()) >= 4


def test_parquet_is_read_as_the_same_cells_however_it_is_stored() -> None:
    """Plain, coded, with missing cells, with more stored values than cells, and as numbers."""
    cells = [None if n % 7 == 3 else f"v{n % 5}" for n in range(50)]
    wide = pa.array([f"w{n}" for n in range(5000)]).dictionary_encode().take(pa.array(range(50)))
    table = pa.table({"id": [f"p{n}" for n in range(50)], "a": cells, "w": wide, "n": [n % 3 for n in range(50)]})
    found = []
    for more in ({"use_dictionary": True}, {"use_dictionary": False}, {"row_group_size": 9, "version": "1.0"}):
        held = io.BytesIO()
        pq.write_table(table, held, **more)
        read, ids = read_table(
            io.BytesIO(held.getvalue()), columns=["id", "a", "w", "n"], form=InputForm(), person="id"
        )
        assert ids.to_pylist() == [f"p{n}" for n in range(50)]
        found.append({name: column.cells() for name, column in read.columns.items()})
    assert found[0] == found[1] == found[2]
    assert found[0] == {"a": cells, "w": [f"w{n}" for n in range(50)], "n": [str(n % 3) for n in range(50)]}
