"""What the gateway needs from the outside world, as protocols.

The use cases speak only to these; ``gateway.bootstrap`` decides what stands behind each.
Nothing here does anything: no database, no socket, no file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


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

    def assign_positions(self, limit: int) -> int:
        """Give the next dense positions to up to ``limit`` committed rows without one, in commit order; how many."""

    def positioned_from(self, position: int, limit: int) -> Sequence[PendingEntry]:
        """Rows with positions ``position`` and above, in order, without a gap."""

    def published_size(self) -> int:
        """The tree size of the last size row."""

    def publish(self, *, size: int, root: bytes, expected_size: int) -> bool:
        """Compare-and-swap of the size row; False when somebody else moved it."""


Reached = Callable[[str], None]
"""Called with the name of each point a release passes; does nothing outside fault-injection tests."""
