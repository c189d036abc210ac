"""Reports say what the log says, whatever the database has become, and no cell of them is a formula."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.ledger import DiskLogFiles
from gateway.ledger_reports import DIFFERS, ERASED, as_csv, holders, in_quarter, plain_cell, read_log
from gateway.revocation import revoke_grant
from gateway.spreadsheet import xlsx
from tests.world import World


def rows_of(world: World) -> list[dict[str, object]]:
    size = world.env.ledger.sync()
    files = DiskLogFiles(world.settings.home / "ledger")
    return world.env.uow.read(lambda tx: holders(tx, read_log(files, size)))


def test_every_opened_release_has_a_row_with_recipient_purpose_destination_and_end(any_world: World) -> None:
    assert rows_of(any_world) == []
    release = any_world.release(any_world.ids["item"])
    [row] = rows_of(any_world)
    assert row["release"] == release["id"]
    assert (row["recipient"], row["place"], row["people"]) == ("Victoria Harbour University", "hong_kong", 40)
    assert (row["ended"], row["in_hand"]) == ("open", "unknown")
    assert any(str(one).startswith("prior-report") for one in row["filings"])  # type: ignore[attr-defined]
    revoke_grant(any_world.env, any_world.people["steward"], any_world.ids["grant:" + any_world.ids["item"]])
    [row] = rows_of(any_world)
    assert (row["ended"], row["in_hand"]) == ("revoked", "no")


def test_a_value_changed_or_erased_in_the_database_is_not_reported_as_true(world: World) -> None:
    world.release(world.ids["item"])
    world.env.ledger.sync()
    with world.env.uow.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.execute(text("UPDATE disclosure SET value = '4' WHERE field = 'people'"))
        connection.execute(text("DELETE FROM disclosure WHERE field = 'place_of_access'"))
    [row] = rows_of(world)
    assert (row["people"], row["place"]) == (DIFFERS, ERASED)


def test_a_quarter_is_counted_in_shanghai() -> None:
    rows = [
        {"at": "2026-03-31T15:59:59.000000Z"},
        {"at": "2026-03-31T16:00:00.000000Z"},
        {"at": "2026-12-31T16:00:00Z"},
    ]
    assert in_quarter(rows, year=2026, quarter=1) == rows[:1]
    assert in_quarter(rows, year=2026, quarter=2) == rows[1:2]
    assert in_quarter(rows, year=2027, quarter=1) == rows[2:]
    assert in_quarter(rows, year=2026, quarter=4) == []
    with pytest.raises(ValueError):
        in_quarter(rows, year=2026, quarter=5)


@given(st.lists(st.text() | st.integers() | st.lists(st.text()), min_size=1, max_size=5))
def test_no_cell_of_a_csv_begins_a_formula(values: list[object]) -> None:
    rows = [{"a": value} for value in values]
    read = list(csv.reader(io.StringIO(as_csv(rows, ["a"]), newline="")))
    assert len(read) == len(rows) + 1
    for value, cells in zip(values, read[1:], strict=True):
        cell = cells[0] if cells else ""
        assert isinstance(value, int) or cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n")


@given(st.lists(st.text() | st.integers(), min_size=1, max_size=5))
def test_a_sheet_reads_back_what_was_written(values: list[str | int]) -> None:
    cells = [plain_cell(value) for value in values]
    with zipfile.ZipFile(io.BytesIO(xlsx([cells]))) as archive:
        sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))  # noqa: S314  made by us a line ago
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    found = [
        cell.find(f"{space}v") if cell.get("t") is None else cell.find(f"{space}is/{space}t")
        for cell in sheet.iter(f"{space}c")
    ]
    assert len(found) == len(cells)
    for one, cell in zip(found, cells, strict=True):
        legal = "".join(c for c in str(cell) if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))
        assert one is not None
        assert (one.text or "") == legal.replace("\r\n", "\n").replace("\r", "\n")
    assert not list(sheet.iter(f"{space}f")), "nothing is a formula"


def test_the_commands_write_each_format_and_refuse_a_log_that_does_not_hold(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = world.release(world.ids["item"])
    size = world.env.ledger.sync()
    monkeypatch.setenv("TONGGUAN_HOME", str(world.settings.home))
    run = CliRunner()
    for ending in ("jsonl", "csv", "xlsx"):
        done = run.invoke(app, ["ledger", "export", str(tmp_path / f"all.{ending}")])
        assert done.exit_code == 0, done.output
    lines = (tmp_path / "all.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["position"] for line in lines] == list(range(size))
    told = run.invoke(app, ["report", "holders", "--json"])
    assert json.loads(told.stdout)[0]["release"] == release["id"]
    now = world.clock.now()
    quarter = str((now.month + 2) // 3)
    out = tmp_path / "report.csv"
    assert run.invoke(app, ["report", "quarterly", str(now.year), quarter, "--out", str(out)]).exit_code == 0
    assert "最终用途" in out.read_text("utf-8-sig")
    bundle = next(path for path in (world.settings.home / "ledger/tile/entries").rglob("*") if path.is_file())
    bundle.write_bytes(bundle.read_bytes()[:-1] + b"x")
    refused = run.invoke(app, ["report", "holders"])
    assert refused.exit_code != 0
