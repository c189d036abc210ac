"""Hold the whole database against the published log, row by row, and name what differs.

``record.check_facts`` guards one release; this is the whole house: every fact row and the leaf it cites, every row the
log knows, every outbox row, every salt that opens a commitment, the size row, every consent row, and for each release
the event that opened it. The log itself must be proven first (``gateway.verifier``); nothing here writes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from gateway.consent_rows import rows_that_differ
from gateway.events import Disclosure, commits, opens
from gateway.ledger.line import CLOSED, ENDED, OPEN, RETIRED, Chain, Origin, Part
from gateway.ledger.log import TreeFiles
from gateway.origins import line_of
from gateway.ports import Row, Tx
from gateway.verifier.merkle import leaf_hash

STEP = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAudit:
    """What was compared; ``wrong`` are places (``table:id``), sorted, empty where database and log say the same.

    ``pending`` rows are committed and not published yet: they prove nothing and are nothing wrong.
    """

    rows: int
    entries: int
    pending: int
    wrong: tuple[str, ...]


def audit_chain(tx: Tx, index: Chain) -> DatabaseAudit:
    """Compare everything with every log that is not retired; the size reached is the size the audit speaks of."""
    wrong: list[str] = []
    pending = 0
    rows = 0
    seen: set[tuple[str, str]] = set()
    for table in tx.fact_tables():
        for row in tx.find(table):
            rows += 1
            seen.add((table, row["id"]))
            state = fact_state(tx, index, table, row)
            pending += state == "pending"
            if state == "differs":
                wrong.append(f"{table}:{row['id']}")
    wrong += [f"{table}:{row_id}" for table, row_id in index.rows() - seen]
    wrong += _wrong_events(tx, index)
    wrong += _wrong_line(tx, index)
    for dataset in tx.find("dataset"):
        wrong += rows_that_differ(tx, dataset["id"])
    return DatabaseAudit(rows=rows, entries=index.size - index.first, pending=pending, wrong=tuple(sorted(set(wrong))))


def fact_state(tx: Tx, index: Chain, table: str, row: Row) -> str:
    """Whether a row ``equals`` its newest leaf, ``differs``, or is ``pending``: its entry is not published yet."""
    known = index.newest(table, row["id"])
    if known is not None and known.version == row["version"]:
        equal = (
            not known.removed
            and commits(row, tx.fact_shapes(table, row), known.commitment_root)
            and (row["entry_id"], bytes(row["leaf_hash"])) == (known.entry_id, known.leaf_hash)
        )
        return "equals" if equal else "differs"
    if known is not None and known.version > row["version"]:
        return "differs"
    return "pending" if _is_pending(tx, index, table, row) else "differs"


def _is_pending(tx: Tx, index: Chain, table: str, row: Row) -> bool:
    """The row's own entry waits in the outbox, beyond the published size, and says what the row says."""
    waiting = tx.find("outbox", entry_id=row["entry_id"])
    if not waiting or (waiting[0]["position"] is not None and waiting[0]["position"] < index.size):
        return False
    said = json.loads(waiting[0]["body"])["personal"]["root"]
    return commits(row, tx.fact_shapes(table, row), base64.b64decode(said))


def _wrong_events(tx: Tx, index: Chain) -> Iterator[str]:
    """Outbox rows and disclosures that are not what the log holds at their place; releases without their event."""
    present = False
    opened: dict[str, str] = {}
    entries: set[str] = set()
    first, size, leaves = index.first, index.size, index.leaves()
    for start in range(first, size, STEP):
        wanted = range(start, min(start + STEP, size))
        rows = {row["position"]: row for row in tx.find("outbox", position=list(wanted))}
        for position in wanted:
            row = rows.get(position)
            if row is None:
                # Old rows may be dropped from the front, never from the middle.
                if present:
                    yield f"outbox:position {position}"
                continue
            present = True
            entries.add(row["entry_id"])
            if row["origin"] != index.origin_at(position) and (row["origin"] is not None or index.is_later(position)):
                yield f"outbox:{row['entry_id']}"
            yield from _wrong_event(tx, leaves, row, opened)
    yield from _wrong_releases(tx, opened, whole=not size or len(entries) == size)
    yield from _stray_disclosures(tx, entries)


def _wrong_event(tx: Tx, leaves: Callable[[int], bytes], row: Row, opened: dict[str, str]) -> Iterator[str]:
    place = f"outbox:{row['entry_id']}"
    leaf = leaf_hash(bytes(row["body"]))
    if not leaf == leaves(row["position"]) == bytes(row["leaf_hash"]):
        yield place
        return
    event: dict[str, Any] = json.loads(row["body"])
    named = (event["id"], event["kind"], event["type"], event["custodian"], event["at"])
    if named != (row["entry_id"], row["kind"], row["type"], row["custodian_id"], row["at"]):
        yield place
    if event["type"] == "release.open":
        opened[event["public"]["release"]] = event["id"]
    fields = event["personal"]["fields"]
    for kept in tx.find("disclosure", entry_id=event["id"]):
        told = Disclosure(salt=bytes(kept["salt"]), value=kept["value"])
        if not opens(fields, kept["field"], told):
            yield f"disclosure:{kept['id']}"


def _wrong_releases(tx: Tx, opened: dict[str, str], *, whole: bool) -> Iterator[str]:
    """A release that leaves is one whose opening event is in the log, and no opened release has vanished."""
    held = {row["id"]: row["opened_entry"] for row in tx.find("release")}
    for release_id, entry_id in opened.items():
        if held.get(release_id) != entry_id:
            yield f"release:{release_id}"
    for row in tx.find("release", state=("available", "closed")):
        if row["opened_entry"] is not None and whole and opened.get(row["id"]) != row["opened_entry"]:
            yield f"release:{row['id']}"


def _stray_disclosures(tx: Tx, entries: set[str]) -> Iterator[str]:
    known = entries | {row["entry_id"] for row in tx.find("outbox", position=None)}
    for kept in tx.find("disclosure"):
        if kept["entry_id"] not in known and not tx.find("outbox", entry_id=kept["entry_id"]):
            yield f"disclosure:{kept['id']}"


def _wrong_line(tx: Tx, index: Chain) -> Iterator[str]:
    """The row of each log is there and says what the log says; what is beyond the last one's size is in the outbox."""
    rows = [one for one in line_of(tx) if one.state != RETIRED]
    if not rows and not index.size:
        return
    # The first log begins at 0 whatever its row says, so nothing else would show that somebody wrote another number.
    yield from (f"log_state:{row['id']}" for row in tx.find("log_state", number=1) if row["start"] not in (None, 0))
    living: set[str | None] = {one.name for one in rows if one.state in (OPEN, ENDED)}
    living |= {None for one in rows if one.name in living and one.number == 1}  # a row without an origin is the first's
    yield from (f"outbox:{row['entry_id']}" for row in tx.find("outbox", position=None) if row["origin"] not in living)
    held = {one.name: one for one in rows}
    last = index.parts[-1]
    for part in index.parts:
        one = held.pop(part.origin, None)
        if one is None or not _holds(tx, one, part, last=part is last):
            yield f"log_state:{part.origin}"
    for one in held.values():  # the next log, while nothing of it is signed
        if one.size or one.state != OPEN:
            yield f"log_state:{one.name}"
    for before, after in pairwise(rows):
        if after.number != before.number + 1 or after.start not in (None, (before.start or 0) + before.size):
            yield f"log_state:{after.name}"


def _holds(tx: Tx, one: Origin, part: Part, *, last: bool) -> bool:
    size = part.index.size
    ahead = range(part.start + size, part.start + one.size)
    good = one.start == part.start and one.size >= size and (last or one.size == size)
    good = good and len(tx.find("outbox", position=list(ahead[:STEP]))) == len(ahead)
    good = good and (part.start > 0 or one.number == 1)
    good = good and one.state in ((OPEN, ENDED) if last else (CLOSED,))
    if one.state == ENDED:
        good = good and bool(tx.find("outbox", type="log.end", origin=one.name))
    return good and (one.size != size or one.root == TreeFiles(part.files, size).root())
