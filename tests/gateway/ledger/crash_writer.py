"""A server that forks writers to be hurt: ``python -m tests.gateway.ledger.crash_writer``, one command a line on stdin.

``FOLDER`` forks one writer over the SQLite database and the log in that folder; its process id is printed, and it
begins when somebody opens ``FOLDER/go``. It commits acts and asks for each to be published, and notes in
``FOLDER/said`` what it was told: ``committed ID`` when the database said so, ``published ID SIZE`` when the ledger did.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from gateway.errors import GatewayError, LedgerStopped
from gateway.ledger import DiskLogFiles, Sequencer
from gateway.ledger.embedded import EmbeddedLedger
from gateway.ports import Tx
from gateway.store.outbox import SqlLease, SqlOutbox
from gateway.store.tables import metadata
from gateway.store.transactions import SqlUnitOfWork, open_engine

ORIGIN = "crash.example/2026"
ACTS = 3
STOPPED = 74


class Key:
    """A key of this test alone."""

    name = ORIGIN
    _key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public_key = _key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def stop() -> None:
    """What a server does after a failed sync."""
    os._exit(STOPPED)


def open_ledger(folder: Path, *, holder: str) -> tuple[Engine, SqlUnitOfWork, EmbeddedLedger]:
    engine = open_engine(f"sqlite:///{folder / 'house.sqlite'}")
    uow = SqlUnitOfWork(engine, halt=stop)
    files = DiskLogFiles(folder / "ledger", halt=stop)
    # A lease of no length: the one who restarts need not wait out the dead one's.
    lease = SqlLease(uow, ORIGIN, holder=holder, clock=Clock(), seconds=0.0)
    sequencer = Sequencer(outbox=SqlOutbox(uow, ORIGIN), files=files, signer=Key(), clock=Clock(), origin=ORIGIN)
    return engine, uow, EmbeddedLedger(sequencer, files, lease, pause=lambda _seconds: None)


def make_house(folder: Path) -> None:
    engine, uow, ledger = open_ledger(folder, holder="founder")
    metadata.create_all(engine)
    for number in range(3):
        commit(uow, f"before-{number}")
        ledger.sync()
    engine.dispose()


def commit(uow: SqlUnitOfWork, entry_id: str) -> None:
    body = f'{{"id":"{entry_id}","kind":"open"}}'.encode().ljust(1024)
    row = {"entry_id": entry_id, "kind": "open", "type": "crash", "custodian_id": "c", "about": None, "body": body}
    row |= {"leaf_hash": sha256(b"\0" + body).digest(), "position": None, "at": None}

    def work(tx: Tx) -> None:
        tx.insert("outbox", row)

    uow.run(work)


def write(folder: Path) -> int:
    """The writer; 0 done, 74 stopped after a failed sync."""
    told = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    _, uow, ledger = open_ledger(folder, holder=str(os.getpid()))
    for number in range(ACTS):
        for attempt in range(3):
            entry_id = f"act-{number}-{attempt}"
            try:
                commit(uow, entry_id)
                os.write(told, f"committed {entry_id}\n".encode())
                size = ledger.sync()
                os.write(told, f"published {entry_id} {size}\n".encode())
                break
            except LedgerStopped:
                return STOPPED
            except GatewayError:
                continue
    return 0


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> None:
    for line in sys.stdin:
        folder = Path(line.strip())
        child = os.fork()
        if child == 0:
            try:
                with (folder / "go").open("rb"):
                    pass
                os._exit(write(folder))
            except BaseException as error:  # noqa: BLE001  a fault may surface anywhere; the parent judges what is left
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
                os._exit(70)
        _tell(child)
        _, status = os.waitpid(child, 0)
        _tell(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
