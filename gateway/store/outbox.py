"""``ports.Outbox`` over the database: positions in commit order, and the size row as compare-and-swap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Select, func, or_, select, update

from gateway.ports import Clock, PendingEntry, Tx
from gateway.store.tables import log_state, outbox
from gateway.store.transactions import SqlTx, SqlUnitOfWork
from gateway.verifier.merkle import EMPTY_ROOT

T = TypeVar("T")


class SqlOutbox:
    """The outbox of one log origin, whose first entry stands at ``start`` of the line of logs.

    Positions in the database count on from log to log; here they begin at 0, as the log's own do. A row without an
    origin belongs to the first log.
    """

    def __init__(self, uow: SqlUnitOfWork, origin: str, *, start: int = 0) -> None:
        self._uow = uow
        self._origin = origin
        self._start = start
        named = outbox.c.origin == origin
        self._mine = or_(named, outbox.c.origin.is_(None)) if start == 0 else named

    def waiting(self) -> bool:
        def work(tx: SqlTx) -> bool:
            state = tx.get("log_state", self._origin)
            size = 0 if state is None else int(state["size"])
            beyond = select(outbox.c.seq).where(outbox.c.position >= self._start + size, self._mine).limit(1)
            return any(tx.connection.execute(query).first() is not None for query in (self._waiting(1), beyond))

        return self._uow.read(_sql(work))

    def assign_positions(self, limit: int) -> int:
        if not self._uow.read(_sql(lambda tx: tx.connection.execute(self._waiting(1)).first())):
            return 0

        def work(tx: SqlTx) -> int:
            highest = tx.connection.execute(select(func.max(outbox.c.position))).scalar()
            following = self._start if highest is None else int(highest) + 1
            waiting = self._waiting(limit).subquery()
            place = (func.row_number().over(order_by=waiting.c.seq) - 1 + following).label("place")
            placed = select(waiting.c.seq, place).subquery()
            given = update(outbox).where(outbox.c.seq == placed.c.seq).values(position=placed.c.place)
            return tx.connection.execute(given).rowcount

        return self._uow.run(_sql(work))

    def positioned_from(self, position: int, limit: int) -> Sequence[PendingEntry]:
        statement = (
            select(outbox.c.entry_id, outbox.c.body, outbox.c.position)
            .where(outbox.c.position >= self._start + position, self._mine)
            .order_by(outbox.c.position)
            .limit(limit)
        )
        rows = self._uow.read(_sql(lambda tx: tx.connection.execute(statement).all()))
        return [
            PendingEntry(entry_id=entry, body=bytes(body), position=place - self._start) for entry, body, place in rows
        ]

    def published_size(self) -> int:
        row = self._uow.read(lambda tx: tx.get("log_state", self._origin))
        return 0 if row is None else int(row["size"])

    def publish(self, *, size: int, root: bytes, expected_size: int) -> bool:
        def work(tx: SqlTx) -> bool:
            if tx.get("log_state", self._origin) is None:
                empty = {"id": self._origin, "size": 0, "root": EMPTY_ROOT, "updated_at": None}
                tx.insert("log_state", empty)
            statement = (
                update(log_state)
                .where(log_state.c.id == self._origin, log_state.c.size == expected_size)
                .values(size=size, root=root)
            )
            return tx.connection.execute(statement).rowcount == 1

        return self._uow.run(_sql(work))

    def _waiting(self, limit: int) -> Select[Any]:
        rows = select(outbox.c.seq).where(outbox.c.position.is_(None), self._mine)
        return rows.order_by(outbox.c.seq).limit(limit)


class SqlLease:
    """``ports.Lease``: one row per log. One that runs far longer than ``seconds`` is of a clock that stood wrong."""

    def __init__(self, uow: SqlUnitOfWork, origin: str, *, holder: str, clock: Clock, seconds: float) -> None:
        self._uow, self._origin, self._holder = uow, origin, holder
        self._clock, self._seconds = clock, seconds

    def take(self) -> bool:
        length = timedelta(seconds=self._seconds)

        def work(tx: Tx) -> bool:
            row = tx.get("lease", self._origin)
            # Read under the row's lock: a time from before the wait would take the winner's lease for a wrong clock's.
            now = self._clock.now()
            until = (now + length).isoformat()
            if row is None:
                tx.insert("lease", {"id": self._origin, "holder": self._holder, "until": until})
                return True
            runs = now < datetime.fromisoformat(row["until"]) <= now + 2 * length
            if runs and row["holder"] not in (None, self._holder):
                return False
            tx.update("lease", self._origin, holder=self._holder, until=until)
            return True

        return self._uow.run(work)

    def give_back(self) -> None:
        def work(tx: Tx) -> None:
            row = tx.get("lease", self._origin)
            if row is not None and row["holder"] == self._holder:
                tx.update("lease", self._origin, holder=None)

        self._uow.run(work)


def _sql(work: Callable[[SqlTx], T]) -> Callable[[Tx], T]:
    def run(tx: Tx) -> T:
        assert isinstance(tx, SqlTx)  # noqa: S101  this module and its unit of work are one adapter
        return work(tx)

    return run
