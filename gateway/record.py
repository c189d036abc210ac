"""Write facts and events, and hold facts against the log.

Every business transaction writes its entry into the outbox without a position; the sequencer gives it one later. A fact
row carries the salt of its commitment and the entry it cites. ``check_facts`` compares every fact row of a scope with
what the published log says: changed, missing, rolled back or invented rows are named. A row whose entry is not yet
published is not an error but a reason to wait (``FactsPending``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from gateway.consent_rows import rows_that_differ
from gateway.env import Actor, Env, FactsOfLog
from gateway.errors import GatewayError, Unavailable
from gateway.events import EventDraft, commits, seal_event
from gateway.origins import present_origin
from gateway.ports import Row, Tx
from gateway.times import parse, stamp

HOUSE = "gateway"
ATTEMPTS = 6
"""How often newer facts may come in between before somebody has to ask again."""
T = TypeVar("T")


class FactsPending(GatewayError):
    """Facts are committed but not published yet; sequence and look again."""

    code = "facts_pending"


def with_log(env: Env, work: Callable[[Tx, FactsOfLog], T], *, writes: bool = True) -> T:
    """Run ``work`` with a log that is as new as the rows it reads. Raises Unavailable when facts keep coming faster."""
    run = env.uow.run if writes else env.uow.read
    for _ in range(ATTEMPTS):
        env.ledger.sync()
        log = env.ledger.facts()
        try:
            return run(lambda tx, log=log: work(tx, log))  # type: ignore[misc]
        except FactsPending:
            continue
    raise Unavailable("facts are being written faster than the ledger publishes them; try again")


def put_fact(
    tx: Tx,
    env: Env,
    table: str,
    row_id: str,
    *,
    columns: Mapping[str, Any],
    custodian_id: str | None = None,
    scope: str | None = None,
    kind: str = "fact",
) -> Row:
    """Insert or change one fact row and append the event that says so; the row as it now is.

    A new row needs ``custodian_id`` and ``scope``; a change keeps them. ``kind`` is ``restrict`` for what takes away.
    """
    old = tx.get(table, row_id)
    body: dict[str, Any] = dict.fromkeys(tx.fact_columns(table)) | (
        {} if old is None else {c: old[c] for c in tx.fact_columns(table)}
    )
    body |= {"id": row_id} | dict(columns)
    if old is None:
        body |= {"custodian_id": custodian_id or HOUSE, "scope": scope or row_id}
    unknown = body.keys() - set(tx.fact_columns(table))
    if unknown:
        raise ValueError(f"{table} has no column {', '.join(sorted(unknown))}")
    version = 1 if old is None else old["version"] + 1
    salt = env.random.token(16)
    event = draft(
        env,
        kind=kind,
        type=table,
        custodian_id=body["custodian_id"],
        public={"fact": {"table": table, "row": row_id, "version": version, "scopes": [body["scope"]]}},
        personal=body,
        row_salt=salt,
    )
    entry_id, leaf = _append(tx, env, event, keep=False)
    row = {**body, "version": version, "salt": salt, "entry_id": entry_id, "leaf_hash": leaf}
    if old is None:
        tx.insert(table, row)
    else:
        tx.update(table, row_id, **{key: value for key, value in row.items() if key != "id"})
    tx.bump(body["scope"])
    return row


def draft(
    env: Env,
    *,
    kind: str,
    type: str,  # noqa: A002  the envelope's own key
    custodian_id: str,
    public: Mapping[str, Any],
    personal: Mapping[str, Any],
    row_salt: bytes | None = None,
) -> EventDraft:
    """An event of now, with a fresh random id."""
    return EventDraft(
        id=env.new_id(),
        kind=kind,
        type=type,
        at=stamp(env.clock.now()),
        origin=env.ledger.origin,
        custodian=custodian_id,
        public=public,
        personal=personal,
        row_salt=row_salt,
    )


def append_event(tx: Tx, env: Env, event: EventDraft) -> str:
    """Put an event into the outbox and keep the salts that open its personal fields apart; the entry id."""
    return _append(tx, env, event, keep=True)[0]


def record_refused_act(tx: Tx, env: Env, actor: Actor, *, act: str, about: str, rules: Iterable[str]) -> str:
    """A refused workflow act is a recorded fact of the workflow."""
    event = draft(
        env,
        kind="refuse",
        type="act.refuse",
        custodian_id=HOUSE,
        public={"act": act, "about": about, "rules": sorted(rules)},
        personal={"person": actor.person_id},
    )
    return append_event(tx, env, event)


def check_clock(tx: Tx, env: Env) -> None:
    """Refuse when now is before the last entry: a clock set back would let an expired thing live again."""
    last = tx.find("epoch", id="last-entry")
    if last and env.clock.now().timestamp() * 1000 < last[0]["value"] - 1000:
        raise Unavailable("the clock stands before the last ledger entry; set it right and try again")


def check_facts(tx: Tx, log: FactsOfLog, scopes: Iterable[str]) -> list[str]:
    """Places (``table:id``) whose row is not what the published log says. Raises FactsPending to be asked again."""
    wanted = sorted(set(scopes))
    wrong: list[str] = []
    seen: set[tuple[str, str]] = set()
    pending = False
    for table in tx.fact_tables():
        for row in tx.find(table, scope=wanted):
            seen.add((table, row["id"]))
            state = _compare(tx, log, table, row)
            pending |= state == "pending"
            if state == "differs":
                wrong.append(f"{table}:{row['id']}")
    for scope in wanted:
        wrong += [f"{table}:{row_id}" for table, row_id in sorted(log.rows_in(scope) - seen)]
    if pending and not wrong:
        raise FactsPending("facts are committed but not published yet")
    for dataset in tx.find("dataset", id=wanted):
        wrong += rows_that_differ(tx, dataset["id"])
    return wrong


def _compare(tx: Tx, log: FactsOfLog, table: str, row: Row) -> str:
    known = log.latest(table, row["id"])
    if known is not None and known[0] == row["version"]:
        return "equals" if commits(row, tx.fact_shapes(table, row), known[1]) else "differs"
    if known is not None and known[0] > row["version"]:
        return "differs"
    entries = tx.find("outbox", entry_id=row["entry_id"])
    waiting = bool(entries) and (entries[0]["position"] is None or entries[0]["position"] >= log.size)
    return "pending" if waiting else "differs"


def _append(tx: Tx, env: Env, event: EventDraft, *, keep: bool) -> tuple[str, bytes]:
    # The year may have turned since the event was drafted: the transaction that writes it says which log it is for.
    origin = present_origin(tx) or event.origin
    event = replace(event, origin=origin)
    sealed = seal_event(event, env.random)
    leaf = hashlib.sha256(b"\0" + sealed.entry).digest()
    tx.insert(
        "outbox",
        {
            "entry_id": event.id,
            "kind": event.kind,
            "type": event.type,
            "custodian_id": event.custodian,
            "about": None,
            "body": sealed.entry,
            "leaf_hash": leaf,
            "position": None,
            "at": event.at,
            "origin": origin,
        },
    )
    if keep:
        rows = [
            {"id": env.new_id(), "entry_id": event.id, "field": name, "salt": opened.salt, "value": opened.value}
            for name, opened in sealed.disclosures.items()
        ]
        tx.insert("disclosure", *rows)
    _advance_clock(tx, event.at)
    return event.id, leaf


def _advance_clock(tx: Tx, at: str) -> None:
    moment = int(parse(at).timestamp() * 1000)
    row = tx.get("epoch", "last-entry")
    if row is None:
        tx.insert("epoch", {"id": "last-entry", "value": moment})
    elif row["value"] < moment:
        tx.update("epoch", "last-entry", value=moment)
