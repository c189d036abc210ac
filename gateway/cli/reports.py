"""``tongguan ledger export`` and ``tongguan report``: the ledger as rows, who holds our data, the quarterly report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gateway.bootstrap import database_url, read_home
from gateway.cli.show import AsJson, show, table
from gateway.errors import BadInput, LedgerUnavailable
from gateway.ledger import DiskLogFiles
from gateway.ledger_reports import (
    COLUMN_TITLES,
    EXPORT_COLUMNS,
    HOLDER_COLUMNS,
    Entry,
    as_csv,
    export_rows,
    holders,
    in_quarter,
    plain_cell,
    read_log,
)
from gateway.ports import Tx
from gateway.settings import load_settings
from gateway.spreadsheet import xlsx
from gateway.store.transactions import SqlUnitOfWork, open_engine
from gateway.verifier import verify_log

T = TypeVar("T")
report = typer.Typer(no_args_is_help=True, help="Reports from the proven ledger.")
Custodian = Annotated[str | None, typer.Option(help="Only this custodian's entries.")]
Out = Annotated[Path | None, typer.Option(help="Write .csv, .jsonl or .xlsx, by the name's ending.")]


def export(out: Path, custodian: Custodian = None) -> None:
    """Write every entry's open part to a file: .jsonl, .csv or .xlsx by the name's ending."""
    rows = list(_read(lambda _tx, entries: list(export_rows(entries, custodian=custodian))))
    _write(out, rows, EXPORT_COLUMNS, {})
    print(f"{len(rows)} entries in {out}")


@report.command("holders")
def who_holds(custodian: Custodian = None, out: Out = None, as_json: AsJson = False) -> None:
    """Who holds our data: every release that was opened, to whom, for what, and how it ended."""
    _show(_read(lambda tx, entries: holders(tx, entries, custodian=custodian)), out, as_json=as_json)


@report.command("quarterly")
def quarterly(year: int, quarter: int, custodian: Custodian = None, out: Out = None, as_json: AsJson = False) -> None:
    """Use, final purpose and destination of what was provided in one legal quarter (Asia/Shanghai)."""
    rows = _read(lambda tx, entries: holders(tx, entries, custodian=custodian))
    try:
        _show(in_quarter(rows, year=year, quarter=quarter), out, as_json=as_json)
    except ValueError as error:
        raise BadInput(str(error)) from None


def _read(work: Callable[[Tx, Iterable[Entry]], T]) -> T:
    """Prove the log, then read it: a report of a log that does not hold is no report."""
    settings = load_settings()
    folder = read_home(settings).ledger
    verdict = verify_log(folder, key=None)
    if verdict.state != "proven" or verdict.size is None:
        raise LedgerUnavailable(
            f"the ledger is not proven ({verdict.state} at {verdict.place}); no report is made of it"
        )
    size = verdict.size
    engine = open_engine(database_url(settings))
    try:
        return SqlUnitOfWork(engine).read(lambda tx: work(tx, read_log(DiskLogFiles(folder), size)))
    finally:
        engine.dispose()


def _show(rows: Sequence[Mapping[str, Any]], out: Path | None, *, as_json: bool) -> None:
    if out is not None:
        _write(out, rows, HOLDER_COLUMNS, COLUMN_TITLES)
    lines = [f"{len(rows)} releases in {out}"] if out is not None else []
    shown = ("at", "recipient", "place", "people", "ended", "arrival_signed", "in_hand")
    show(list(rows), lines or table([dict(row) for row in rows], shown), as_json=as_json)


def _write(out: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], titles: Mapping[str, str]) -> None:
    if out.suffix == ".jsonl":
        out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    elif out.suffix == ".csv":
        # The mark tells spreadsheets that it is UTF-8, or they would garble the Chinese titles.
        out.write_text("\ufeff" + as_csv(rows, columns, titles), "utf-8", newline="")
    elif out.suffix == ".xlsx":
        cells = [[plain_cell(row.get(column)) for column in columns] for row in rows]
        out.write_bytes(xlsx([[titles.get(column, column) for column in columns], *cells]))
    else:
        raise BadInput(f"{out}: name a file that ends in .jsonl, .csv or .xlsx")
