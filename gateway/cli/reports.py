"""``tongguan ledger export`` and ``tongguan report``: the ledger as rows, who holds our data, the quarterly report."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gateway.cli.ledger import home_logs
from gateway.cli.show import AsJson, show, table
from gateway.errors import BadInput, LedgerUnavailable, Rewritten
from gateway.following import follow
from gateway.home import database_url
from gateway.ledger import DiskLogFiles
from gateway.ledger.log import read_entries
from gateway.ledger.receipt import read_checkpoint
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
from gateway.machine import SystemClock
from gateway.openings import open_counts
from gateway.ports import Tx
from gateway.preservation import COLUMNS as ANNUAL_COLUMNS
from gateway.preservation import TITLES as ANNUAL_TITLES
from gateway.preservation import annual_rows
from gateway.printed import annual_page, quarterly_page
from gateway.report_pdf import Page, pdf
from gateway.settings import load_settings
from gateway.spreadsheet import xlsx
from gateway.store.transactions import SqlUnitOfWork, open_engine
from gateway.times import SHANGHAI
from gateway.verifier.opening import check_opening
from gateway.verifier.succession import verify_line
from gateway.verifier.tiles import level_tiles

T = TypeVar("T")
report = typer.Typer(no_args_is_help=True, help="Reports from the proven ledger.")
Custodian = Annotated[str | None, typer.Option(help="Only this custodian's entries.")]
Out = Annotated[Path | None, typer.Option(help="Write .csv, .jsonl or .xlsx, by the name's ending.")]
PrintedOut = Annotated[Path | None, typer.Option(help="Write .pdf, .csv, .jsonl or .xlsx, by the name's ending.")]
Font = Annotated[Path | None, typer.Option(help="A font with Chinese characters, for .pdf.")]


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
def quarterly(
    year: int,
    quarter: int,
    custodian: Custodian = None,
    recipient: Annotated[str | None, typer.Option(help="Only what this institution (its id) received.")] = None,
    out: PrintedOut = None,
    font: Font = None,
    as_json: AsJson = False,
) -> None:
    """Use, final purpose and destination of what was provided in one legal quarter (Asia/Shanghai)."""
    every = _read(lambda tx, entries: holders(tx, entries, custodian=custodian))
    try:
        rows = in_quarter(every, year=year, quarter=quarter)
    except ValueError as error:
        raise BadInput(str(error)) from None
    rows = [row for row in rows if recipient is None or row["recipient_id"] == recipient]
    if out is None or out.suffix != ".pdf":
        _show(rows, out, as_json=as_json)
        return
    _print(out, quarterly_page(rows, _ledger_facts(), year=year, quarter=quarter), font)
    show({"releases": len(rows), "out": str(out)}, [f"{len(rows)} releases in {out}"], as_json=as_json)


@report.command("annual")
def annual(
    year: int, custodian: Custodian = None, out: PrintedOut = None, font: Font = None, as_json: AsJson = False
) -> None:
    """What is held, whence, and what became of it in one legal year: the preservation report, due by 31 January."""
    rows = _read(lambda tx, entries: annual_rows(tx, entries, year=year, custodian=custodian))
    if out is not None and out.suffix == ".pdf":
        _print(out, annual_page(rows, _ledger_facts(), year=year), font)
    elif out is not None:
        _write(out, rows, ANNUAL_COLUMNS, ANNUAL_TITLES)
    lines = [f"{len(rows)} datasets in {out}"] if out is not None else table(rows, ANNUAL_COLUMNS[:8])
    show(rows, lines, as_json=as_json)


def follow_release(named: str, as_json: AsJson = False) -> None:
    """One release end to end, by its id or an entry's: the facts it rested on, its outcome, what went, how it ended."""
    rows = _read(lambda tx, entries: follow(tx, entries, named))
    shown = [{**row, "said": json.dumps(row["said"], ensure_ascii=False)[:90]} for row in rows]
    show(rows, table(shown, ("position", "at", "part", "kind", "type", "said")), as_json=as_json)


def open_for_auditor(
    out: Path,
    custodian: Annotated[str, typer.Option(help="Whose releases.")],
    recipient: Annotated[str, typer.Option(help="The institution (its id) whose people are to be counted.")],
) -> None:
    """For an auditor: what they need to count distinct people by themselves; hand it to nobody else."""
    body = _read(lambda tx, entries: open_counts(tx, entries, custodian=custodian, recipient=recipient))
    handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(body, file, indent=1)
    print(f"{len(body['releases'])} releases opened in {out}; check it with: tongguan ledger check-counts {out} LEDGER")


def check_counts(
    opening: Path,
    folder: Path,
    key: Annotated[str | None, typer.Option(help="The log's vkey; without it log.vkey is taken on trust.")] = None,
    former: Annotated[list[Path] | None, typer.Option(help="A log before it, the oldest first.")] = None,
    as_json: AsJson = False,
) -> None:
    """For an auditor, without the gateway: prove a copy of the log and count distinct people from an opening."""
    folders = [*(former or []), folder]
    verdict = verify_line(folders, key=key)
    if verdict.state != "proven" or verdict.size is None:
        raise LedgerUnavailable(f"the ledger is not proven ({verdict.state} at {verdict.place}); nothing is counted")
    entries = [body for one in map(DiskLogFiles, folders) for body in _bodies(one)]
    try:
        found = check_opening(json.loads(opening.read_text("utf-8")), entries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Rewritten(f"{opening}: {error}") from None
    said = f"{found.releases} releases, {found.ids} distinct participants proven"
    show(asdict(found), [f"{said}, {found.linked} people by the custodian's linkage"], as_json=as_json)


def _bodies(files: DiskLogFiles) -> Iterator[bytes]:
    for bundle in level_tiles(None, read_checkpoint(files)[1].size):
        yield from read_entries(files, bundle)


def _ledger_facts() -> list[tuple[str, str]]:
    """Which proven log a report was made of."""
    logs = home_logs(load_settings())
    verdict = verify_line([files.folder() for _, files in logs], key=None)
    signed = f"{verdict.size} 条 entries, root {verdict.root_b64}"
    return [("存证账本 ledger", ", ".join(one.name for one, _ in logs)), ("存证状态 proven", signed)]


def _print(out: Path, page: Page, font: Path | None) -> None:
    now = SystemClock().now()
    made = replace(
        page, facts=[*page.facts, ("制表时间 made at", now.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M %z"))]
    )
    out.write_bytes(pdf(made, at=now, font=font))


def _read(work: Callable[[Tx, Iterable[Entry]], T]) -> T:
    """Prove the log, then read it: a report of a log that does not hold is no report."""
    settings = load_settings()
    folders = [files.folder() for _, files in home_logs(settings)]
    verdict = verify_line(folders, key=None)
    if verdict.state != "proven" or verdict.size is None:
        raise LedgerUnavailable(
            f"the ledger is not proven ({verdict.state} at {verdict.place}); no report is made of it"
        )
    engine = open_engine(database_url(settings))
    try:
        return SqlUnitOfWork(engine).read(lambda tx: work(tx, _entries(folders)))
    finally:
        engine.dispose()


def _entries(folders: Iterable[Path]) -> Iterator[Entry]:
    """Every entry of proven logs, the oldest first; positions count on from log to log, from the first one given."""
    start = 0
    for folder in folders:
        files = DiskLogFiles(folder)
        size = read_checkpoint(files)[1].size
        for entry in read_log(files, size):
            yield replace(entry, position=start + entry.position)
        start += size


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
