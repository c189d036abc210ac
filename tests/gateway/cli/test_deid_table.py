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


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ("id,age\nHOSP-1001,1\nHOSP-1002\n", "table_ragged"),
        ("id,age\nHOSP-1001,1\nHOSP-1002,7\n", "table_hierarchy_misses"),
        ("id,age\nHOSP-1001,1\n", "model_not_met"),
        ("id,years\nHOSP-1001,1\n", "table_column_missing"),
        ("id,age\n", "table_empty"),
    ],
)
def test_a_refused_table_leaves_nothing_behind(folder: Path, broken: str, code: str) -> None:
    (folder / "in.csv").write_text(broken)
    before = sorted(folder.iterdir())
    result = CliRunner().invoke(app, run(folder, "o.csv", "--report", str(folder / "r.json")))
    assert isinstance(result.exception, BadInput)
    assert result.exception.code == code
    assert sorted(folder.iterdir()) == before


def test_nothing_is_written_over(folder: Path) -> None:
    (folder / "o.csv").write_text("mine")
    result = CliRunner().invoke(app, run(folder, "o.csv"))
    assert isinstance(result.exception, BadInput)
    assert (folder / "o.csv").read_text() == "mine"
    assert isinstance(CliRunner().invoke(app, run(folder, "o.xlsx")).exception, BadInput)
