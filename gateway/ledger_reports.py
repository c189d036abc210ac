"""Reading the ledger: every entry as a row, who holds whose data, and the quarterly report of a trusted institution.

Figures come from the log's own entries, never from tables that an insider could have changed: a personal value counts
only where the kept salt opens the commitment in the entry. One that does not open, or was erased, is shown as such.
Legal quarters are counted in Asia/Shanghai.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from gateway.events import Disclosure, opens
from gateway.ledger.log import read_entries
from gateway.ports import LogFiles, Tx
from gateway.times import legal_day, parse
from gateway.verifier.tiles import level_tiles

ERASED = "erased"
DIFFERS = "does not open"
EXPORT_COLUMNS = ("position", "id", "kind", "type", "at", "custodian", "public")
HOLDER_COLUMNS = (
    "at", "release", "position", "recipient", "place", "dataset", "view", "people", "volume", "purpose", "filings",
    "ended", "bytes_charged", "arrival_signed", "in_hand",
)  # fmt: skip
COLUMN_TITLES: Mapping[str, str] = {
    "at": "对外提供时间 time of provision",
    "release": "提供编号 release",
    "position": "存证序号 ledger position",
    "recipient": "接收方 recipient",
    "place": "目的地 destination",
    "dataset": "数据集 dataset",
    "view": "数据视图 view",
    "people": "涉及人数 people",
    "volume": "数据量(字节) volume in bytes",
    "purpose": "最终用途 final purpose",
    "filings": "备案/报告编号 filings",
    "ended": "结束状态 how it ended",
    "bytes_charged": "实际提供(字节,上限) bytes charged",
    "arrival_signed": "接收方签收 signed for",
    "in_hand": "是否持有 in hand",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the log at its place."""

    position: int
    event: Mapping[str, Any]


def read_log(files: LogFiles, size: int) -> Iterator[Entry]:
    """Every entry, one bundle in memory at a time. The log must have been proven first."""
    for bundle in level_tiles(None, size):
        for number, body in enumerate(read_entries(files, bundle), start=bundle.first):
            yield Entry(position=number, event=json.loads(body))


def export_rows(entries: Iterable[Entry], *, custodian: str | None = None) -> Iterator[dict[str, Any]]:
    """What stands in the open, one row an entry; nothing that a salt would open."""
    for entry in entries:
        event = entry.event
        if custodian is None or event["custodian"] == custodian:
            row = {key: event[key] for key in EXPORT_COLUMNS[1:]}
            yield {"position": entry.position, **row}


def holders(tx: Tx, entries: Iterable[Entry], *, custodian: str | None = None) -> list[dict[str, Any]]:
    """One row for each release that was opened: who has what, for what, where, and how it ended; in the log's order."""
    rows: dict[str, dict[str, Any]] = {}
    for entry in entries:
        event = entry.event
        if custodian is not None and event["custodian"] != custodian:
            continue
        if event["type"] == "release.open":
            rows[event["public"]["release"]] = _opened_row(tx, entry)
        elif event["type"] == "release.close" and event["public"]["release"] in rows:
            row = rows[event["public"]["release"]]
            row["bytes_charged"] += int(event["public"]["bytes_charged"])
            row["ended"] = row["ended"] if event["public"]["ended"] == "again" else event["public"]["ended"]
            row["in_hand"] = _in_hand(row)
        elif event["type"] == "release.arrived" and event["public"]["release"] in rows:
            row = rows[event["public"]["release"]]
            row["arrival_signed"] = "yes"
            row["in_hand"] = _in_hand(row)
    return list(rows.values())


def in_quarter(rows: Iterable[Mapping[str, Any]], *, year: int, quarter: int) -> list[Mapping[str, Any]]:
    """The rows of one legal quarter. Raises ValueError for a quarter that is none."""
    if quarter not in (1, 2, 3, 4):
        raise ValueError("a quarter is 1, 2, 3 or 4")
    first = date(year, 3 * quarter - 2, 1)
    after = date(year + 1, 1, 1) if quarter == 4 else date(year, 3 * quarter + 1, 1)
    return [row for row in rows if first <= legal_day(parse(str(row["at"]))) < after]


def as_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], titles: Mapping[str, str] | None = None) -> str:
    """CSV (RFC 4180) that no spreadsheet takes for formulas (OWASP ASVS 5.0, 1.2.10)."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([(titles or {}).get(column, column) for column in columns])
    writer.writerows([[plain_cell(row.get(column)) for column in columns] for row in rows])
    return text.getvalue()


def plain_cell(value: Any) -> Any:
    """A number, or text that cannot begin a formula; lists and objects as JSON."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, int):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return (
        f"'{text}"
        if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
        else text
    )


def _opened_row(tx: Tx, entry: Entry) -> dict[str, Any]:
    public, opened = entry.event["public"], _opened(tx, entry.event)
    filings = opened["filings"]
    purpose = opened["purpose"]
    return {
        "at": entry.event["at"],
        "release": public["release"],
        "position": entry.position,
        "recipient": _institution(tx, opened["recipient"]),
        "recipient_id": opened["recipient"],
        "place": opened["place_of_access"],
        "dataset": public["dataset"],
        "view": public["view"],
        "people": opened["people"],
        "volume": opened["volume"],
        "purpose": purpose,
        "filings": [f"{one['kind']} {one['number']}" for one in filings] if isinstance(filings, list) else filings,
        "ended": "open",
        "bytes_charged": 0,
        "arrival_signed": "no",
        "in_hand": "unknown",
    }


def _opened(tx: Tx, event: Mapping[str, Any]) -> dict[str, Any]:
    """Each personal field's value as the log commits to it."""
    fields = event["personal"]["fields"]
    kept = {row["field"]: row for row in tx.find("disclosure", entry_id=event["id"])}
    values: dict[str, Any] = dict.fromkeys(fields, ERASED)
    for name, row in kept.items():
        told = Disclosure(salt=bytes(row["salt"]), value=row["value"])
        values[name] = row["value"] if name in fields and opens(fields, name, told) else DIFFERS
    return values


def _institution(tx: Tx, institution_id: Any) -> Any:
    row = tx.get("institution", str(institution_id))
    return institution_id if row is None else (row["name"] or {}).get("en", institution_id)


def _in_hand(row: Mapping[str, Any]) -> str:
    """Whether the recipient has it: what was charged may all have arrived (invariant 16)."""
    if row["arrival_signed"] == "yes" or row["ended"] == "complete":
        return "yes"
    return "no" if row["ended"] != "open" and row["bytes_charged"] == 0 else "perhaps"
