"""``ports.Outbox`` over the database: positions in commit order, and the size row as compare-and-swap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Select, func, select, update

from gateway.ports import PendingEntry, Tx
from gateway.store.tables import log_state, outbox
from gateway.store.transactions import SqlTx, SqlUnitOfWork
from gateway.verifier.merkle import EMPTY_ROOT

T = TypeVar("T")


class SqlOutbox:
    """The outbox of one log origin."""

    def __init__(self, uow: SqlUnitOfWork, origin: str) -> None:
        self._uow = uow
        self._origin = origin

    def assign_positions(self, limit: int) -> int:
        if not self._uow.read(_sql(lambda tx: tx.connection.execute(_waiting(1)).first())):
            return 0

        def work(tx: SqlTx) -> int:
            highest = tx.connection.execute(select(func.max(outbox.c.position))).scalar()
            following = 0 if highest is None else int(highest) + 1
            rows = tx.connection.execute(_waiting(limit)).all()
            for offset, (seq,) in enumerate(rows):
                statement = update(outbox).where(outbox.c.seq == seq).values(position=following + offset)
                tx.connection.execute(statement)
            return len(rows)

        return self._uow.run(_sql(work))

    def positioned_from(self, position: int, limit: int) -> Sequence[PendingEntry]:
        statement = (
            select(outbox.c.entry_id, outbox.c.body, outbox.c.position)
            .where(outbox.c.position >= position)
            .order_by(outbox.c.position)
            .limit(limit)
        )
        rows = self._uow.read(_sql(lambda tx: tx.connection.execute(statement).all()))
        return [PendingEntry(entry_id=entry, body=bytes(body), position=place) for entry, body, place in rows]

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


def _waiting(limit: int) -> Select[Any]:
    return select(outbox.c.seq).where(outbox.c.position.is_(None)).order_by(outbox.c.seq).limit(limit)


def _sql(work: Callable[[SqlTx], T]) -> Callable[[Tx], T]:
    def run(tx: Tx) -> T:
        assert isinstance(tx, SqlTx)  # noqa: S101  this module and its unit of work are one adapter
        return work(tx)

    return run
