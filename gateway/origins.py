"""The database's side of the line of logs (``gateway.ledger.line``): which log takes entries, and its turns.

The row of a log in ``log_state`` says where it stands: ``open`` takes entries, ``ended`` has its closing entry and is
being written out, ``closed`` is whole, ``retired`` is gone but for what the next ones say of it. The first log of a
home from before there were others has an empty row; it counts as open and begins at 0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import MAXYEAR
from typing import Any

from gateway.errors import LedgerUnavailable
from gateway.events import EventDraft, seal_event
from gateway.ledger.line import CLOSED, ENDED, OPEN, RETIRED, Origin
from gateway.ports import Clock, Randomness, Row, Tx, UnitOfWork
from gateway.times import legal_day, parse, stamp
from gateway.verifier.merkle import EMPTY_ROOT, leaf_hash

HOUSE = "gateway"
CLOCK_ROW = "last-entry"
_YEAR = re.compile(r"-(20[0-9]{2})$")


def line_of(tx: Tx) -> list[Origin]:
    """Every log that ever was, the oldest first; empty before the first."""
    return sorted((_origin(tx, row) for row in tx.find("log_state")), key=lambda one: one.number)


def present_origin(tx: Tx) -> str | None:
    """The log that an entry of this transaction belongs to; None before the first."""
    rows = tx.find("log_state")
    return str(max(rows, key=_number)["id"]) if rows else None


def next_name(name: str, year: int) -> str:
    """The name of the log of ``year`` that follows ``name``."""
    return f"{_YEAR.sub('', name)}-{year}"


class LogOrigins:
    """``ledger.line.Origins``; ``next_key`` gives the public key that a log of that name would begin with."""

    def __init__(
        self, uow: UnitOfWork, *, first: str, clock: Clock, random: Randomness, next_key: Callable[[str], bytes]
    ) -> None:
        self._uow, self._first, self._clock, self._random, self._next_key = uow, first, clock, random, next_key

    def line(self) -> Sequence[Origin]:
        """See ``Origins``."""
        found = self._uow.read(_made_line)
        if not found:
            self._uow.run(self._make_first)
            found = self._uow.read(line_of)
        return [one for one in found if one.state != RETIRED]

    def end(self, last: Origin, year: int) -> None:
        """The closing entry, and the next log takes the entries from here on."""
        name = next_name(last.name, year)
        key = self._next_key(name).hex()

        def work(tx: Tx) -> None:
            # Whoever appends locks this row after its entry: changed here, they begin again and see the next log.
            self._hold_appends(tx)
            if line_of(tx)[-1] != last:
                return
            self._append(tx, last.name, "log.end", {"next": name, "next_key": key}, position=None)
            end_in(tx, last.name, name)

        self._uow.run(work)

    def begin_next(self, ended: Origin, size: int) -> None:
        """The opening entry has its place at once: whatever else waits for the new log comes after it."""

        def work(tx: Tx) -> None:
            line = line_of(tx)
            held = next(one for one in line if one.name == ended.name)
            if held.state != ENDED or held.start is None:
                return
            following = next(one for one in line if one.number == held.number + 1)
            start = held.start + size
            last = tx.find("outbox", position=start - 1)
            if held.size != size or not last or last[0]["type"] != "log.end":
                raise LedgerUnavailable(f"the log {held.name} does not end with its closing entry; it is not followed")
            if not tx.find("outbox", position=start):
                public = {"former": held.name, "size": size, "root": held.root.hex(), "number": following.number}
                self._append(tx, following.name, "log.begin", public, position=start)
            tx.update("log_state", held.name, state=CLOSED)
            tx.update("log_state", following.name, start=start)

        self._uow.run(work)

    def ceiling(self, name: str) -> int | None:
        """The first position beyond a log that was ended, where the database knows it already (after a replay)."""

        def work(tx: Tx) -> int | None:
            rows = tx.find("outbox", type="log.end", origin=name)
            return None if not rows or rows[0]["position"] is None else int(rows[0]["position"]) + 1

        return self._uow.read(work)

    def _make_first(self, tx: Tx) -> None:
        rows = tx.find("log_state")
        if rows and rows[0]["number"] is not None:
            return
        if not rows:
            tx.insert("log_state", {"id": self._first, "size": 0, "root": EMPTY_ROOT, "updated_at": None})
        tx.update("log_state", self._first, number=1, start=0, state=OPEN)

    def _hold_appends(self, tx: Tx) -> None:
        row = tx.get("epoch", CLOCK_ROW)
        if row is None:
            tx.insert("epoch", {"id": CLOCK_ROW, "value": 0})
        else:
            tx.update("epoch", CLOCK_ROW, value=row["value"])

    def _append(self, tx: Tx, origin: str, kind: str, public: Mapping[str, Any], *, position: int | None) -> None:
        draft = EventDraft(
            id=self._random.token(16).hex(),
            kind="fact",
            type=kind,
            at=stamp(self._clock.now()),
            origin=origin,
            custodian=HOUSE,
            public=public,
            personal={},
        )
        body = seal_event(draft, self._random).entry
        row: dict[str, Any] = {
            "entry_id": draft.id,
            "kind": draft.kind,
            "type": kind,
            "custodian_id": HOUSE,
            "about": None,
        }
        row |= {"body": body, "leaf_hash": leaf_hash(body), "position": position, "at": draft.at, "origin": origin}
        tx.insert("outbox", row)


def end_in(tx: Tx, name: str, following: str) -> None:
    """The log has its closing entry; the next one takes entries. Done again it changes nothing."""
    number = next(one.number for one in line_of(tx) if one.name == name)
    tx.update("log_state", name, state=ENDED)
    if tx.get("log_state", following) is None:
        state = {"number": number + 1, "start": None, "state": OPEN}
        tx.insert("log_state", {"id": following, "size": 0, "root": EMPTY_ROOT, "updated_at": None, **state})


def replayed_turn(tx: Tx, entry: Row) -> None:
    """A closing entry came back from the journal: so did the turn that it was part of.

    A house that was restored from a backup may have begun a turn of its own before it was replayed. That one never was:
    its closing entry goes, and whatever waits, which no log has, belongs to the log that truly followed.
    """
    if entry["type"] != "log.end":
        return
    said = json.loads(entry["body"])
    name, following = str(said["origin"]), str(said["public"]["next"])
    ended = next(one for one in line_of(tx) if one.name == name)
    if ended.state not in (OPEN, ENDED):
        return
    for row in tx.find("log_state", number=ended.number + 1):
        if row["id"] != following:
            tx.delete("log_state", id=row["id"])
    for waiting in tx.find("outbox", position=None):
        tx.delete("outbox", entry_id=waiting["entry_id"])
        if waiting["type"] != "log.end":
            tx.insert("outbox", {key: waiting[key] for key in waiting if key != "seq"} | {"origin": following})
    end_in(tx, name, following)


def _year(tx: Tx, name: str) -> int:
    """What the name ends in; a first log whose name tells none is of the year of its first entry."""
    found = _YEAR.search(name)
    if found:
        return int(found.group(1))
    first = tx.find("outbox", position=0)
    return legal_day(parse(first[0]["at"])).year if first and first[0]["at"] else MAXYEAR


def _made_line(tx: Tx) -> list[Origin]:
    """``line_of``; empty also where the only row is one from before there were others."""
    rows = tx.find("log_state", number=None)
    return [] if rows else line_of(tx)


def _number(row: Row) -> int:
    return 1 if row["number"] is None else int(row["number"])


def _origin(tx: Tx, row: Row) -> Origin:
    number = _number(row)
    start = 0 if number == 1 else row["start"]
    return Origin(
        number=number,
        name=str(row["id"]),
        start=None if start is None else int(start),
        size=int(row["size"]),
        root=bytes(row["root"]),
        year=_year(tx, str(row["id"])),
        state=row["state"] or OPEN,
    )
