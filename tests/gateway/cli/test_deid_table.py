"""``tongguan deid table`` end to end: a file and a report, or one sentence and nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.errors import BadInput

RECIPE = (
    "recipe: r\nversion: 1\nkind: table\ntier: open\ncolumns:\n  id: {role: identifier, transform: pseudonym}\n"
    "  age: {role: quasi, transform: {generalise: h.csv}}\nmodels: [{k-anonymity: {k: 2}}]\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "h.csv").write_text("1;low;*\n2;low;*\n8;high;*\n9;high;*\n")
    (tmp_path / "in.csv").write_text("id,age\nHOSP-1001,1\nHOSP-1002,2\nHOSP-1003,8\nHOSP-1004,9\n")
    (tmp_path / "key").write_bytes(b"k" * 32)
    return tmp_path


def run(folder: Path, out: str, *more: str) -> list[str]:
    return ["deid", "table", str(folder / "in.csv"), str(folder / out), "--recipe", str(folder / "recipe.yaml"), *more]


def test_a_table_a_report_and_a_page_are_made_and_progress_is_told(folder: Path, repository: Path) -> None:
    report, page, key = folder / "r.json", folder / "r.html", folder / "key"
    arguments = run(folder, "o.parquet", "--report", str(report), "--page", str(page), "--key", str(key))
    done = subprocess.run(
        [sys.executable, "-c", "from gateway.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("4 rows in")
    assert "finding classes" in done.stderr
    assert pq.read_table(folder / "o.parquet").column("age").to_pylist().count("low") == 2
    schema = json.loads((repository / "deid" / "schemas" / "report.json").read_text())
    jsonschema.validate(json.loads(report.read_text()), schema)
    assert page.read_text().startswith("<!doctype html>")
    CliRunner().invoke(app, run(folder, "again.parquet", "--key", str(key)), catch_exceptions=False)
    assert (folder / "again.parquet").read_bytes() == (folder / "o.parquet").read_bytes()


GOOD = "id,age\nHOSP-1001,1\nHOSP-1002,2\n"
BROKEN: dict[str, tuple[bytes, str, str, str]] = {  # bytes, code, place, remedy
    "ragged": (b"id,age\nHOSP-1001,1\nHOSP-1002\n", "table_ragged", "data row 2", "number of fields"),
    "an open quote": (b'id,age\nHOSP-1001,1\nHOSP-1002,"2\n', "table_ragged", "line 3", "close it"),
    "two encodings": (
        "id,age,院\nHOSP-1001,1,内科\n".encode() + "HOSP-1002,2,外科\n".encode("gb18030"),
        "table_encoding", "line", "save the whole file as UTF-8",
    ),
    "no encoding": (b"id,age\nHOSP-1001,1\n\xff\xff,2\n", "table_encoding", "line 3", "save the file as UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), "table_encoding", "table", "save it as UTF-8"),
    "a hierarchy that misses a value": (
        b"id,age\nHOSP-1001,1\nHOSP-1002,7\n", "table_hierarchy_misses", "column 'age', data row 2", "add it",
    ),
    "a model that cannot be met": (b"id,age\nHOSP-1001,1\n", "model_not_met", "table", "raise suppression-limit"),
    "a column that is not there": (b"id,years\nHOSP-1001,1\n", "table_column_missing", "column 'age'", "check the spelling"),
    "a participant twice": (
        b"id,age\nHOSP-1001,1\nHOSP-1002,2\nHOSP-1001,8\n", "table_duplicate_participant", "data row 3", "one row for each",
    ),
    "a header that repeats a name": (b"id,age,age\nHOSP-1001,1,1\n", "table_header", "column 3", "repeats"),
    "an empty cell": (b"id,age\nHOSP-1001,1\nHOSP-1002,\n", "table_missing_value", "column 'age', data row 2", "missing: keep"),
    "NaN": (b"id,age\nHOSP-1001,NaN\nHOSP-1002,2\n", "table_missing_value", "data row 1", "missing: keep"),
    "nobody's row": (b"id,age\n,1\nHOSP-1002,2\n", "table_value", "column 'id', data row 1", "no participant id"),
    "no row": (b"id,age\n", "table_empty", "table", "check that it is the right file"),
    "no byte": (b"", "table_empty", "table", "check that it was written"),
    "a zero byte": (b"id,age\nHOSP-1001,1\0\n", "table_invalid", "line 2", "not text"),
    "Parquet cut short": (b"PAR1" + b"x" * 40, "table_unreadable", "table", "cut short"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_refused_table_leaves_nothing_behind_and_says_where_and_what_to_do(folder: Path, kind: str) -> None:
    broken, code, place, remedy = BROKEN[kind]
    (folder / "in.csv").write_bytes(broken)
    before = sorted(folder.iterdir())
    result = CliRunner().invoke(
        app, run(folder, "o.csv", "--report", str(folder / "r.json"), "--page", str(folder / "r.html"))
    )
    assert isinstance(result.exception, BadInput), result.exception
    assert result.exception.code == code
    assert "in.csv" in str(result.exception)
    assert place in str(result.exception)
    assert remedy in str(result.exception)
    assert "HOSP-1" not in str(result.exception)
    assert sorted(folder.iterdir()) == before


def test_nothing_is_written_over(folder: Path) -> None:
    (folder / "o.csv").write_text("mine")
    result = CliRunner().invoke(app, run(folder, "o.csv"))
    assert isinstance(result.exception, BadInput)
    assert (folder / "o.csv").read_text() == "mine"
    assert isinstance(CliRunner().invoke(app, run(folder, "o.xlsx")).exception, BadInput)
