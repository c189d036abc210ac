"""Retire the oldest log of the line, whole, once its retention is over.

In this order, each step done again without harm: what still stands on it (the newest leaf of a living row) is stated
anew in the present log, from rows that are shown to be what the old log says; the retirement is recorded in the
present log, and confirmed as any hand-over is; the database forgets the old entries and what opens them; the tree is
removed. A place that differs stops it: a changed row must not get a new leaf. Retention is counted in whole years of
Asia/Shanghai from the end of the log's own last day (PIPL art. 56, network data regulation art. 12: at least three).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from gateway.audit import fact_state
from gateway.env import Env
from gateway.errors import BadInput, Rewritten
from gateway.ledger.line import CLOSED, RETIRED, Chain, Origin
from gateway.origins import line_of
from gateway.ports import Tx
from gateway.record import HOUSE, append_event, draft, put_fact
from gateway.times import legal_day, parse

STEP = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """What was done: entries that are gone, rows that were stated anew."""

    name: str
    entries: int
    restated: int


def retire(env: Env, name: str, *, years: int, chain: Callable[[], Chain], remove: Callable[[Origin], None]) -> Retired:
    """Retire the log ``name``; ``remove`` takes its tree away. Raises BadInput where it may not be retired (yet)."""
    env.ledger.sync()
    held = env.uow.read(lambda tx: next((one for one in line_of(tx) if one.name == name), None))
    if held is None:
        raise BadInput(f"there is no log {name} here")
    restated = 0
    if held.state != RETIRED:
        ended = env.uow.read(lambda tx: _may_be_retired(tx, held, years, legal_day(env.clock.now())))
        restated = _state_anew(env, chain)
        _record(env, held, ended, years)
        env.ledger.confirm()
        env.uow.run(lambda tx: _forget(tx, held))
    remove(held)
    return Retired(name=name, entries=held.size, restated=restated)


def _may_be_retired(tx: Tx, held: Origin, years: int, today: date) -> date:
    """The day the log ended on. Raises BadInput."""
    oldest = next(one for one in line_of(tx) if one.state != RETIRED)
    if held.name != oldest.name or held.state != CLOSED:
        raise BadInput(f"the log {held.name} is not the oldest one that is closed; logs are retired in their order")
    entry = tx.find("outbox", position=(held.start or 0) + held.size - 1)[0]
    ended = legal_day(parse(entry["at"]))
    if (today.year - years, today.month, today.day) <= (ended.year, ended.month, ended.day):
        raise BadInput(f"the log {held.name} ended on {ended.isoformat()} and is to be kept for {years} years")
    return ended


def _state_anew(env: Env, chain: Callable[[], Chain]) -> int:
    """Every row whose newest leaf is in the oldest log gets one in the present log; how many."""
    facts = chain()
    oldest, later = facts.parts[0], facts.parts[1:]
    wanted = sorted(row for row in oldest.index.rows() if not any(part.index.latest(*row) for part in later))
    for start in range(0, len(wanted), STEP):
        part = wanted[start : start + STEP]
        env.uow.run(partial(_again, env=env, facts=facts, rows=part))
    env.ledger.sync()
    return len(wanted)


def _again(tx: Tx, *, env: Env, facts: Chain, rows: list[tuple[str, str]]) -> None:
    for table, row_id in rows:
        row = tx.get(table, row_id)
        state = "differs" if row is None else fact_state(tx, facts, table, row)
        if state == "differs":
            raise Rewritten(f"{table}:{row_id} is not what the ledger says; nothing is retired over it")
        if state == "equals":  # else it has changed meanwhile, and a newer leaf of it is on its way
            put_fact(tx, env, table, row_id, columns={})


def _record(env: Env, held: Origin, ended: date, years: int) -> None:
    public: dict[str, Any] = {"number": held.number, "former": held.name, "size": held.size, "root": held.root.hex()}
    public |= {"ended": ended.isoformat(), "years": years}
    event = draft(env, kind="erase", type="log.retire", custodian_id=HOUSE, public=public, personal={})

    def work(tx: Tx) -> None:
        if next(one.state for one in line_of(tx) if one.name == held.name) != RETIRED:
            append_event(tx, env, event)

    env.uow.run(work)


def _forget(tx: Tx, held: Origin) -> None:
    """The entries and the salts that open them; the row of the log stays, for what follows it."""
    beyond = (held.start or 0) + held.size
    for start in range(held.start or 0, beyond, STEP):
        rows = tx.find("outbox", position=list(range(start, min(start + STEP, beyond))))
        entries = [row["entry_id"] for row in rows]
        tx.delete("disclosure", entry_id=entries)
        tx.delete("outbox", entry_id=entries)
    tx.update("log_state", held.name, state=RETIRED)
