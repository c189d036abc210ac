"""What the gateway needs from the outside world, as protocols.

The use cases speak only to these; ``gateway.bootstrap`` decides what stands behind each.
Nothing here does anything: no database, no socket, no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """The time, always aware (with an offset). Legal windows are counted in Asia/Shanghai by those who ask."""

    def now(self) -> datetime:
        """The present moment."""


class Randomness(Protocol):
    """Unpredictable bytes; a seeded stand-in exists only in tests."""

    def token(self, size: int) -> bytes:
        """``size`` random bytes."""


class Signer(Protocol):
    """One Ed25519 signing key that may live in a file, a PKCS#11 token or a KMS."""

    @property
    def name(self) -> str:
        """Key name; for the log it equals the origin (C2SP signed-note)."""

    @property
    def public_key(self) -> bytes:
        """32 raw bytes."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes, Ed25519 over ``message``."""


class LogFiles(Protocol):
    """The folder (or bucket prefix) a log is published in; paths are relative, ``/``-separated."""

    def read(self, path: str) -> bytes | None:
        """The whole file, or None where there is none. Raises on any other trouble."""

    def write(self, path: str, data: bytes) -> None:
        """Durable when it returns: temporary file, fsync, rename, fsync of the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEntry:
    """An outbox row: ``position`` is None until the sequencer has given it one."""

    entry_id: str
    body: bytes
    position: int | None


class Outbox(Protocol):
    """The database side of the sequencer. Each call is one transaction of its own."""

    def waiting(self) -> bool:
        """Whether any committed row lies beyond the published size."""

    def assign_positions(self, limit: int) -> int:
        """Give the next dense positions to up to ``limit`` committed rows without one, in commit order; how many."""

    def positioned_from(self, position: int, limit: int) -> Sequence[PendingEntry]:
        """Rows with positions ``position`` and above, in order, without a gap."""

    def published_size(self) -> int:
        """The tree size of the last size row."""

    def publish(self, *, size: int, root: bytes, expected_size: int) -> bool:
        """Compare-and-swap of the size row; False when somebody else moved it."""


class Lease(Protocol):
    """Who may write the log: one holder at a time, until it gives the lease back or its time runs out."""

    def take(self) -> bool:
        """Take or renew the lease for this holder; False while somebody else's runs."""

    def give_back(self) -> None:
        """Let the next holder begin at once; nothing happens where the lease is no longer ours."""


Reached = Callable[[str], None]
"""Called with the name of each point a release passes; does nothing outside fault-injection tests."""


Row = Mapping[str, Any]
"""One database row as column name to value; times are RFC 3339 text in UTC, JSON columns are plain values."""


class Tx(Protocol):
    """One open transaction. Tables are named in ``gateway.store.tables``; nothing here commits."""

    def get(self, table: str, row_id: str) -> Row | None:
        """The row of that id, or None. The row stays locked until the transaction ends."""

    def find(self, table: str, **equals: object) -> list[Row]:
        """Rows whose columns equal the given values (a tuple or list means "one of"), ordered by id."""

    def pick(self, table: str, columns: tuple[str, ...], **equals: object) -> list[tuple[Any, ...]]:
        """The named columns alone of those rows, ordered by id: for tables of as many rows as there are people."""

    def fingerprint(self, table: str, **equals: object) -> bytes:
        """SHA-256 over every column of those rows as they are stored: equal only where nothing at all differs."""

    def insert(self, table: str, *rows: Row) -> None:
        """Add rows."""

    def update(self, table: str, row_id: str, **changes: object) -> None:
        """Change one row; it must exist."""

    def delete(self, table: str, **equals: object) -> int:
        """Remove rows of a table that is not a fact table; how many."""

    def fact_tables(self) -> tuple[str, ...]:
        """Names of the tables whose rows cite a ledger leaf."""

    def fact_columns(self, table: str) -> tuple[str, ...]:
        """The columns of a fact table that its commitment covers, in order."""

    def fact_shapes(self, table: str, row: Row) -> tuple[tuple[str, ...], ...]:
        """The columns that the leaf of this row may cover: a leaf from before a migration names no later column."""

    def epochs(self, names: Iterable[str]) -> dict[str, int]:
        """The present value of each named epoch; one never bumped is 0."""

    def bump(self, name: str) -> None:
        """Raise one epoch, and with it the global one that every worker polls."""


class UnitOfWork(Protocol):
    """Runs closures in a transaction; a closure may run again, so it must not touch the world outside ``Tx``."""

    def run(self, work: Callable[[Tx], T]) -> T:
        """Commit when ``work`` returns, roll back when it raises."""

    def read(self, work: Callable[[Tx], T]) -> T:
        """A consistent snapshot; writing in it is an error."""
