"""The off-host journal: what a restored backup must learn before anything leaves again.

Every published entry goes, sealed under the backup key, into a folder that is not on this machine: its bytes,
the fact row it speaks of, the consents under a consent set, and for a release its row, its counts and its quota. One
file is one stretch of positions. It is written before witnesses are asked and before anything is handed over.

A database that is behind its journal is a restored backup: ``append`` refuses, so releases hold. ``replay`` brings it
up: the same entries at the same places, the same rows under the same leaves. Then tokens and sessions end, every copy
and core view dies, opened releases close as lost, and every epoch rises, so that nothing decided before counts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.canonical import canonical
from gateway.env import Env
from gateway.errors import LedgerUnavailable
from gateway.handover import close_release
from gateway.keys import Keys
from gateway.keys.errors import KeysError
from gateway.ledger.files import DiskLogFiles
from gateway.origins import line_of, replayed_turn
from gateway.ports import Row, Tx, UnitOfWork

STRETCH = 512
ENDED = "restored from a backup"
RELEASE_ROWS = ("release", "counted", "quota_use")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay did."""

    entries: int
    rows: int
    closed: int


class Journal:
    """The journal of one log in ``root``."""

    def __init__(self, root: Path, *, keys: Keys, uow: UnitOfWork, origin: str) -> None:
        self._root, self._keys, self._uow, self._origin = root, keys, uow, origin
        self._files: DiskLogFiles | None = None
        self._end: int | None = None

    def append(self, size: int) -> None:
        """Everything below ``size`` is in the journal when it returns. Raises LedgerUnavailable."""
        if self._end is None:
            self._end = self.end()
        if self._end > size and not self._uow.read(lambda tx: tx.find("outbox", position=(self._end or 0) - 1)):
            raise LedgerUnavailable(
                f"the journal has {self._end} entries and the database {size}: a restored backup; nothing leaves "
                "before: tongguan ledger replay"
            )
        while self._end < size:
            start, end = self._end, min(self._end + STRETCH, size)
            body = self._uow.read(lambda tx, start=start, end=end: _stretch(tx, start, end))  # type: ignore[misc]
            self._write(start, end, body)
            self._end = end

    def end(self) -> int:
        """The size up to which entries are here; 0 for a new journal."""
        return max((end for _, end in self._stretches()), default=0)

    def read(self, start: int) -> Iterator[dict[str, Any]]:
        """The entries from position ``start`` on, each with its rows, without a gap. Raises LedgerUnavailable."""
        expected = start
        for first, end in self._stretches():
            if end <= expected:
                continue
            if first > expected:
                raise LedgerUnavailable(f"the journal has no entry {expected}; it cannot be replayed")
            for entry in self._opened(first, end):
                if entry["position"] == expected:
                    expected += 1
                    yield entry

    def forget(self, before: int) -> None:
        """Remove the entries below that position: their log is retired. May be repeated, also after a crash.

        A backup that is older than what is left cannot be brought up any more.
        """
        for start, end in self._stretches():
            if start >= before:
                continue
            if end > before:
                kept = [entry for entry in self._opened(start, end) if entry["position"] >= before]
                self._write(before, end, kept)
            (self._root / f"{start:012}.{end:012}").unlink(missing_ok=True)

    def _write(self, start: int, end: int, body: list[dict[str, Any]]) -> None:
        blob = self._keys.seal_apart(self._context(start, end), canonical(body))
        self._disk().write(f"{start:012}.{end:012}", blob)

    def _opened(self, start: int, end: int) -> list[dict[str, Any]]:
        blob = self._disk().read(f"{start:012}.{end:012}") or b""
        try:
            body: list[dict[str, Any]] = json.loads(self._keys.open_apart(self._context(start, end), blob))
        except (KeysError, ValueError):
            raise LedgerUnavailable(f"the journal's file {start:012}.{end:012} does not open with these keys") from None
        return body

    def _stretches(self) -> list[tuple[int, int]]:
        self._disk()
        names = [path.name.split(".") for path in self._root.iterdir() if path.is_file()]
        found = [(int(name[0]), int(name[1])) for name in names if len(name) == 2 and "".join(name).isdecimal()]
        return sorted(found, key=lambda one: (one[1], one[0]))

    def _disk(self) -> DiskLogFiles:
        if not self._root.is_dir():
            # Made here it would lie on this machine's own disk, and be lost with it.
            raise LedgerUnavailable("the journal's folder is not there; mount it, or make it where it shall be")
        self._files = self._files or DiskLogFiles(self._root)
        return self._files

    def _context(self, start: int, end: int) -> str:
        return f"{self._origin}/journal/{start}/{end}"


def replay(env: Env, journal: Journal) -> Replayed:
    """Bring a restored database up to its journal; done again it changes nothing more. One transaction."""

    def work(tx: Tx) -> Replayed:
        start = max((one.start + one.size for one in line_of(tx) if one.start is not None), default=0)
        entries = rows = 0
        scopes: set[str] = set()
        for entry in journal.read(start):
            replayed_turn(tx, _put_entry(tx, entry))
            entries += 1
            for table, row in entry["rows"]:
                _put_row(tx, table, _unpacked(row))
                rows += 1
                scopes |= {row["scope"]} if "scope" in row else set()
        if not entries:
            return Replayed(entries=0, rows=0, closed=0)
        closed = _end_all(tx, env)
        for scope in sorted(scopes):
            tx.bump(scope)
        return Replayed(entries=entries, rows=rows, closed=closed)

    return env.uow.run(work)


def _stretch(tx: Tx, start: int, end: int) -> list[dict[str, Any]]:
    rows = sorted(tx.find("outbox", position=list(range(start, end))), key=lambda row: int(row["position"]))
    if [row["position"] for row in rows] != list(range(start, end)):
        raise LedgerUnavailable(f"the outbox no longer has the entries {start} to {end}; the journal cannot go on")
    return [
        {
            "position": row["position"],
            "entry": _packed({key: row[key] for key in row if key != "seq"}),
            "rows": [(table, _packed(one)) for table, one in _rows_of(tx, row)],
        }
        for row in rows
    ]


def _rows_of(tx: Tx, entry: Row) -> Iterator[tuple[str, Row]]:
    """What the entry speaks of, as it now is: a later version has a later entry, and then that one carries it."""
    yield from (("disclosure", kept) for kept in tx.find("disclosure", entry_id=entry["entry_id"]))
    public = json.loads(entry["body"])["public"]
    if "fact" in public:
        table, row_id = public["fact"]["table"], public["fact"]["row"]
        row = tx.get(table, row_id)
        if row is not None and row["entry_id"] == entry["entry_id"]:
            yield table, row
            if table == "consent_set":
                yield from (("consent", one) for one in tx.find("consent", dataset_id=row_id))
    elif "release" in public:
        release = tx.get("release", public["release"])
        if release is not None:
            yield "release", release
            for table in RELEASE_ROWS[1:]:
                yield from ((table, one) for one in tx.find(table, release_id=release["id"]))


def _put_entry(tx: Tx, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry's row, which is in the outbox at its place when this returns."""
    row = _unpacked(entry["entry"])
    known = tx.find("outbox", entry_id=row["entry_id"])
    if not known:
        tx.insert("outbox", row)
        return row
    if known[0]["leaf_hash"] != row["leaf_hash"] or known[0]["position"] not in (None, row["position"]):
        raise LedgerUnavailable(f"entry {row['position']} of the journal is another one in the database")
    if known[0]["position"] is None:
        tx.delete("outbox", entry_id=row["entry_id"])
        tx.insert("outbox", row)
    return row


def _put_row(tx: Tx, table: str, row: dict[str, Any]) -> None:
    known = tx.get(table, row["id"])
    if known is None:
        tx.insert(table, row)
    elif "version" not in row or known["version"] <= row["version"]:
        tx.update(table, row["id"], **{key: value for key, value in row.items() if key != "id"})


def _end_all(tx: Tx, env: Env) -> int:
    """Tokens die, copies and core views die, what was opened closes as lost, what was on its way starts again."""
    tx.delete("token", person_id=[row["person_id"] for row in tx.find("session")])
    for session in tx.find("session", ended_at=None):
        tx.update("session", session["id"], ended_at=env.clock.now().isoformat())
    for copy in tx.find("copy", state=("sealed", "recorded", "available")):
        tx.update("copy", copy["id"], state="killed", killed_because=ENDED)
    for core in tx.find("core_view", state="assessed"):
        tx.update("core_view", core["id"], state="shredded")
    for release in tx.find("release", state=("decided", "prepared", "sealed")):
        back = {"state": "requested", "attempt": release["attempt"] + 1, "epochs": None}
        tx.update("release", release["id"], **back, core_view_id=None, copy_id=None)
    opened = tx.find("release", state=("recorded", "available"))
    for release in opened:
        close_release(tx, env, release, state="lost")
    return len(opened)


def _packed(row: Row) -> dict[str, Any]:
    return {
        key: {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for key, value in row.items()
    }


def _unpacked(row: dict[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return base64.b64decode(value["b64"]) if isinstance(value, dict) and value.keys() == {"b64"} else value

    return {key: plain(value) for key, value in row.items()}
