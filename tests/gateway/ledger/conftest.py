"""A small world for the ledger: a real key, an outbox in memory, files in memory that can be made to fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.ledger import DiskLogFiles, LogStore, Sequencer, verifier_key
from gateway.ports import PendingEntry

ORIGIN = "gateway.example/provisions"


class SeededSigner:
    """Ed25519 over the seed 00 01 .. 1f, the published vector's key."""

    def __init__(self, name: str = ORIGIN, seed: bytes = bytes(range(32))) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.name = name
        self.public_key = self._key.public_key().public_bytes_raw()
        self.signed: list[bytes] = []

    def sign(self, message: bytes) -> bytes:
        self.signed.append(message)
        return self._key.sign(message)


@dataclass
class SetClock:
    """A clock that stands where it is put."""

    time: datetime = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


@dataclass
class MemoryOutbox:
    """The database side, in memory: positions are dense and in commit order."""

    bodies: list[bytes] = field(default_factory=list)
    positioned: int = 0
    size: int = 0
    root: bytes = b""
    before_publish: Callable[[], None] = lambda: None

    def waiting(self) -> bool:
        return len(self.bodies) > self.size

    def assign_positions(self, limit: int) -> int:
        given = min(limit, len(self.bodies) - self.positioned)
        self.positioned += given
        return given

    def positioned_from(self, position: int, limit: int) -> Sequence[PendingEntry]:
        end = min(self.positioned, position + limit)
        return [PendingEntry(entry_id=str(n), body=self.bodies[n], position=n) for n in range(position, end)]

    def published_size(self) -> int:
        return self.size

    def publish(self, *, size: int, root: bytes, expected_size: int) -> bool:
        self.before_publish()
        if self.size != expected_size:
            return False
        self.size, self.root = size, root
        return True


class MemoryFiles:
    """Log files in a dictionary; ``fail_at`` makes the n-th write fail before or after it took effect."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.writes: list[str] = []
        self.reads: list[str] = []
        self.fail_at: int | None = None
        self.fail_after = False

    def read(self, path: str) -> bytes | None:
        self.reads.append(path)
        return self.files.get(path)

    def write(self, path: str, data: bytes) -> None:
        self.writes.append(path)
        failing = self.fail_at == len(self.writes)
        if not failing or self.fail_after:
            self.files[path] = data
        if failing:
            raise KeyboardInterrupt  # what a kill looks like from inside: nothing of ours may catch it

    def exclusive(self) -> AbstractContextManager[bool]:
        return nullcontext(True)

    def prune(self, folder: str) -> None:
        for path in [path for path in self.files if path.startswith(f"{folder}/")]:
            del self.files[path]


@dataclass
class LedgerWorld:
    """One log in a folder or in memory, its outbox and its key."""

    files: LogStore
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    signer: SeededSigner = field(default_factory=SeededSigner)
    clock: SetClock = field(default_factory=SetClock)
    batch: int = 4096

    @property
    def sequencer(self) -> Sequencer:
        """A fresh one, as after a restart."""
        return Sequencer(
            outbox=self.outbox,
            files=self.files,
            signer=self.signer,
            clock=self.clock,
            origin=self.signer.name,
            batch=self.batch,
        )

    @property
    def vkey(self) -> str:
        return str(verifier_key(self.signer))

    def append(self, *entries: bytes) -> None:
        """Commit entries and sequence them all."""
        self.outbox.bodies.extend(entries)
        sequencer = self.sequencer
        while sequencer.run_once():
            pass

    def write_out(self, folder: Path) -> Path:
        """The log's files as a folder, for the verifier."""
        assert isinstance(self.files, MemoryFiles)
        for path, data in self.files.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return folder


@pytest.fixture
def memory() -> LedgerWorld:
    return LedgerWorld(files=MemoryFiles())


@pytest.fixture
def new_memory() -> Callable[[], LedgerWorld]:
    return lambda: LedgerWorld(files=MemoryFiles())


@pytest.fixture
def disk(tmp_path: Path) -> LedgerWorld:
    return LedgerWorld(files=DiskLogFiles(tmp_path / "ledger"))
