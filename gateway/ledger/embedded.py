"""The ledger of one process: sequencer, fact index and receipts behind ``env.Ledger``."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Protocol

from gateway.errors import LedgerUnavailable
from gateway.ledger.facts import FactIndex
from gateway.ledger.files import LogStore
from gateway.ledger.pages import Pages
from gateway.ledger.receipt import make_receipt
from gateway.ledger.rotation import rotated
from gateway.ledger.sequencer import Sequencer
from gateway.ports import Lease, Signer
from gateway.verifier.audit import CHECKPOINT, VKEY
from gateway.verifier.rotation import LogKeys, Rotation, is_rotation
from gateway.verifier.side import SIDE
from gateway.verifier.tiles import parse_path

LEASE_SECONDS = 3.0
"""How long a dead writer's lease keeps the next one waiting."""
_PAUSE = 0.05
_TRIES = 120


class Cosigners(Protocol):
    """Who must cosign before anything leaves (``gateway.witness.Cosigning``)."""

    def confirm(self) -> int:
        """The size that enough of them cosigned. Raises LedgerUnavailable."""


class EmbeddedLedger:
    """Publishes on ``sync`` and answers from what is published and signed."""

    def __init__(
        self,
        sequencer: Sequencer,
        files: LogStore,
        lease: Lease,
        *,
        cosigners: Cosigners | None = None,
        journal: Callable[[int], None] = lambda _size: None,
        side: Callable[[int], None] = lambda _size: None,
        pages: Pages | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._cosigners = cosigners
        self._journal = journal
        self._side = side
        self._sequencer = sequencer
        self._lease = lease
        self._pause = pause
        self._files = files
        self._facts = LatestFacts(FactIndex(files, keys=sequencer.log_keys, pages=pages))
        self._lock = threading.Lock()
        self._begun = self._ended = self._size = 0

    @property
    def origin(self) -> str:
        """Checkpoint origin."""
        return self._sequencer.origin

    def sync(self) -> int:
        """Everything that was committed before the call is sequenced, by us or by who holds the lease; the size.

        Callers that wait for each other share one: whoever comes while it runs takes part in the next.
        """
        wanted = self._begun + 1  # one that has begun already may have missed what the caller just committed
        with self._lock:
            if self._ended >= wanted:
                return self._size
            self._begun += 1
            mine = self._begun
            for _ in range(_TRIES):
                if self._sequencer.idle() or self._sequenced():
                    self._size = self._facts.index.refresh()
                    self._side(self._size)
                    self._journal(self._size)
                    self._ended = mine
                    return self._size
                self._pause(_PAUSE)
        raise LedgerUnavailable("another process has held the ledger for too long; nothing leaves, try again")

    @property
    def witnessed(self) -> bool:
        """Whether hand-over waits for witnesses."""
        return self._cosigners is not None

    def confirm(self) -> int:
        """``sync``, and the size up to which hand-over may rely on the log: in witnessed mode the cosigned one."""
        size = self.sync()
        if self._cosigners is None:
            return size
        with self._lock:
            return self._cosigners.confirm()

    def _sequenced(self) -> bool:
        """Take the lease and write what waited when it was taken; False where somebody else writes.

        A round that is not full took everything with it. What was committed meanwhile is for the next call: under load
        there would always be more, and the first caller would never be answered.
        """
        if not self._lease.take():
            return False
        try:
            gained = self._sequencer.batch
            while gained >= self._sequencer.batch:
                gained = self._sequencer.run_once()
            return gained > 0 or self._sequencer.idle()
        finally:
            self._lease.give_back()

    def keys(self) -> LogKeys:
        """The keys of this log, the present one last."""
        return self._sequencer.log_keys()

    def rotate(self, signer: Signer) -> Rotation:
        """From the present size on ``signer``'s key signs; everything committed before is signed under the old one."""
        self.sync()
        with self._lock:
            for _ in range(_TRIES):
                # Under lease and lock nobody signs, and whoever signs next reads the rotations first.
                if self._lease.take():
                    try:
                        with self._files.exclusive() as alone:
                            if alone:
                                return rotated(self._files, self._sequencer, signer)
                    finally:
                        self._lease.give_back()
                self._pause(_PAUSE)
        raise LedgerUnavailable("another process has held the ledger for too long; the key was not changed")

    def read_facts(self) -> int:
        """Read what a log that is closed says of facts; nothing is written."""
        with self._lock:
            return self._facts.index.refresh()

    def facts(self) -> LatestFacts:
        """The facts up to the last ``sync``."""
        return self._facts

    def receipt(self, position: int) -> bytes:
        """A ``.tlog-proof`` for that entry, cosigned where the witnesses can be had."""
        with self._lock:
            if self._cosigners is not None:
                with contextlib.suppress(LedgerUnavailable):  # an unwitnessed receipt is marked by what it lacks
                    self._cosigners.confirm()
            return make_receipt(self._files, position)

    def file(self, path: str) -> bytes | None:
        """Only the names that C2SP tlog-tiles and this log know: nothing else in the folder is for reading."""
        if path not in (CHECKPOINT, VKEY, SIDE) and not is_rotation(path):
            parse_path(path)
        return self._files.read(path)


class LatestFacts:
    """``env.FactsOfLog`` over the index."""

    def __init__(self, index: FactIndex) -> None:
        self.index = index

    @property
    def size(self) -> int:
        """Entries read so far."""
        return self.index.size

    def latest(self, table: str, row_id: str) -> tuple[int, bytes] | None:
        """(version, commitment root) of the newest fact about that row."""
        fact = self.index.latest(table, row_id)
        return None if fact is None else (fact.version, fact.commitment_root)

    def rows_in(self, scope: str) -> set[tuple[str, str]]:
        """Every row that the database must hold in that scope."""
        return self.index.rows_in(scope)
