"""Transactions over SQLAlchemy: one ``UnitOfWork`` for SQLite and PostgreSQL.

SQLite takes the write lock at once (BEGIN IMMEDIATE): two writers never find out at commit that one must go.
PostgreSQL runs serialisable and the closure runs again when the server says two transactions crossed.
A database that stays busy is ``Unavailable``: nothing was written and the same request may be made again.
"""

from __future__ import annotations

import hashlib
import marshal
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sqlalchemy import JSON, Connection, Engine, Table, Text, cast, create_engine, event, select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.sql import ColumnElement

from gateway.errors import Conflict, Unavailable
from gateway.ports import Row, Tx
from gateway.store.tables import FACT_TABLES, fact_columns, fact_shapes, metadata
from gateway.store.together import Together

T = TypeVar("T")

GLOBAL_EPOCH = "global"
TRIES = 12
BUSY_SECONDS = 15
FETCHED = 4096
"""Rows held at once while a fingerprint is taken."""
RETRIED_STATES = frozenset({"40001", "40P01"})  # serialization failure, deadlock


def open_engine(url: str) -> Engine:
    """An engine whose transactions behave as the module promises, for ``sqlite:///...`` or ``postgresql+psycopg://...``."""
    if url.startswith("sqlite"):
        return _sqlite_engine(url)
    return create_engine(url, isolation_level="SERIALIZABLE", pool_pre_ping=True, hide_parameters=True)


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(
        url,
        connect_args={"isolation_level": None, "timeout": BUSY_SECONDS, "check_same_thread": False},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        # FULL: an acknowledged row survives a power cut; the ledger's promise rests on it.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("tongguan_read", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


class SqlTx:
    """``ports.Tx`` over one SQLAlchemy connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._locks = connection.dialect.name == "postgresql"

    def get(self, table: str, row_id: str) -> Row | None:
        columns = metadata.tables[table]
        statement = select(columns).where(columns.c.id == row_id)
        if self._locks and not self.connection.get_execution_options().get("tongguan_read", False):
            statement = statement.with_for_update()
        found = self.connection.execute(statement).mappings().one_or_none()
        return None if found is None else dict(found)

    def find(self, table: str, **equals: object) -> list[Row]:
        columns = metadata.tables[table]
        order = columns.c.id if "id" in columns.c else next(iter(columns.primary_key.columns))
        statement = select(columns).where(*_conditions(columns, equals)).order_by(order)
        found = self.connection.execute(statement)
        names = tuple(found.keys())
        return [dict(zip(names, row, strict=True)) for row in found]

    def pick(self, table: str, columns: tuple[str, ...], **equals: object) -> list[tuple[Any, ...]]:
        whole = metadata.tables[table]
        chosen = select(*(whole.c[name] for name in columns)).where(*_conditions(whole, equals)).order_by(whole.c.id)
        return [tuple(row) for row in self.connection.execute(chosen)]

    def fingerprint(self, table: str, **equals: object) -> bytes:
        whole = metadata.tables[table]
        stored = (cast(c, Text).label(c.name) if isinstance(c.type, JSON) else c for c in whole.c)
        found = self.connection.execute(select(*stored).where(*_conditions(whole, equals)).order_by(whole.c.id))
        total = hashlib.sha256()
        # The driver's own rows: nothing is parsed. Version 2 of marshal writes types and lengths and no references, so
        # equal values give equal bytes and other values other bytes.
        while rows := found.cursor.fetchmany(FETCHED):
            total.update(marshal.dumps(list(rows), 2))
        return total.digest()

    def insert(self, table: str, *rows: Row) -> None:
        if rows:
            self.connection.execute(metadata.tables[table].insert(), [dict(row) for row in rows])

    def update(self, table: str, row_id: str, **changes: object) -> None:
        columns = metadata.tables[table]
        done = self.connection.execute(columns.update().where(columns.c.id == row_id).values(**changes))
        if done.rowcount != 1:
            raise Conflict(f"the {table} row to change is not there")

    def delete(self, table: str, **equals: object) -> int:
        columns = metadata.tables[table]
        if columns.info.get("fact"):
            raise Conflict(f"rows of {table} are never deleted: they cite the ledger")
        return self.connection.execute(columns.delete().where(*_conditions(columns, equals))).rowcount

    def fact_tables(self) -> tuple[str, ...]:
        return FACT_TABLES

    def fact_columns(self, table: str) -> tuple[str, ...]:
        return fact_columns(table)

    def fact_shapes(self, table: str, row: Row) -> tuple[tuple[str, ...], ...]:
        return fact_shapes(table, row)

    def epochs(self, names: Iterable[str]) -> dict[str, int]:
        wanted = sorted(set(names))
        found = {row["id"]: int(row["value"]) for row in self.find("epoch", id=wanted)}
        return {name: found.get(name, 0) for name in wanted}

    def bump(self, name: str) -> None:
        for key in (name, GLOBAL_EPOCH):
            row = self.get("epoch", key)
            if row is None:
                self.insert("epoch", {"id": key, "value": 1})
            else:
                self.update("epoch", key, value=int(row["value"]) + 1)


def _conditions(table: Table, equals: dict[str, object]) -> list[ColumnElement[bool]]:
    return [
        table.c[name].in_(list(value)) if isinstance(value, list | tuple | set | frozenset) else table.c[name] == value
        for name, value in equals.items()
    ]


class SqlUnitOfWork:
    """``ports.UnitOfWork`` over one engine.

    ``halt`` is called when SQLite says that the disk failed it: after a failed sync another try could lie, so a server
    ends its process there and starts from what the disk holds. PostgreSQL does so by itself.
    """

    def __init__(
        self, engine: Engine, *, pause: Callable[[float], None] = time.sleep, halt: Callable[[], None] = lambda: None
    ) -> None:
        self.engine = engine
        self._pause = pause
        self._halt = halt
        # A server syncs the commits of its many sessions together by itself; SQLite has one writer, so we do it here.
        self._together = Together(self._commit) if engine.dialect.name == "sqlite" else None

    def run(self, work: Callable[[Tx], T]) -> T:
        if self._together is None:
            value: T = self._commit([work])[0]
            return value
        return self._together.run(work)

    def _commit(self, works: list[Callable[[Any], Any]]) -> list[Any]:
        """All of them in one transaction, in their order; durable when it returns."""
        for attempt in range(TRIES):
            try:
                with self.engine.connect() as connection, connection.begin():
                    return [work(SqlTx(connection)) for work in works]
            except DBAPIError as error:
                if "disk i/o error" in str(error.orig).lower():
                    self._halt()
                if not _crossed(error) or attempt == TRIES - 1:
                    raise _explained(error) from None
            self._pause(0.005 * 2 ** min(attempt, 6) * (0.5 + random.random()))  # noqa: S311  jitter, not a secret
        raise AssertionError("unreachable")

    def read(self, work: Callable[[Tx], T]) -> T:
        try:
            with self.engine.connect().execution_options(tongguan_read=True) as connection:
                with connection.begin() as transaction:
                    result = work(SqlTx(connection))
                    transaction.rollback()
                return result
        except DBAPIError as error:
            raise _explained(error) from None


def _crossed(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in RETRIED_STATES


def _explained(error: DBAPIError) -> Exception:
    """One sentence, never the statement or its values."""
    text = str(error.orig).lower()
    if isinstance(error, OperationalError) or _crossed(error):
        if "full" in text:
            return Unavailable("the disk that holds the database is full; free space and try again")
        return Unavailable("the database is busy or out of reach; nothing was changed, try again")
    return Conflict(f"the database refused the change ({type(error.orig).__name__})")
