"""The one writer of the log: gives entries their positions and signs what became of it.

One at a time: the caller holds the database's lease, and ``run_once`` holds the folder's lock while it writes. Neither
is what keeps the log from forking; the size row's compare-and-swap and the proof of consistency are.

The order: positions in the database, bundles, tiles, size row (compare and swap), checkpoint. A crash anywhere is
mended by the next run, which does again everything after the checkpoint on disk; the same entries give the same bytes.
A head is signed only when it provably continues the checkpoint on disk, and never when the database is behind that
checkpoint (a restored backup). Outbox rows may be dropped only below the size of the signed checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.errors import LedgerUnavailable
from gateway.ports import Clock, Outbox, Signer
from gateway.verifier import merkle
from gateway.verifier.audit import CHECKPOINT, VKEY
from gateway.verifier.note import Checkpoint, VerifierKey, checkpoint_text, parse_vkey
from gateway.verifier.rotation import LogKeys, read_log_keys
from gateway.verifier.tiles import WIDTH, Tile

from .checkpoint import sign_checkpoint, verifier_key
from .files import LogStore
from .log import TreeFiles, integrate, read_entries, superseded


@dataclass(slots=True, kw_only=True)
class Sequencer:
    """Call ``run_once`` every second; raises ``LedgerUnavailable`` and has then signed nothing."""

    outbox: Outbox
    files: LogStore
    signer: Signer
    clock: Clock
    origin: str
    batch: int = 4096
    fence: Callable[[], bool] = lambda: True
    """Asked before the size row and before the checkpoint: False when the lease has gone to somebody else."""
    floor: Callable[[], int] = lambda: 0
    """What the witnesses have seen, asked once before anything is signed: a restored backup must not sign below it."""
    further: Sequence[Callable[[bytes, datetime], bytes]] = ()
    """Each gives one more signature line for a head's text; none of them counts as the log's own."""
    signers: Callable[[VerifierKey], Signer | None] = lambda _key: None
    """The signer of a key that took the place of ours (``verifier.rotation``); None where it is not to be had here."""
    _floor: int | None = field(default=None, init=False)
    _newest: datetime | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.origin != self.signer.name:
            raise LedgerUnavailable("the signing key is named for another log origin")

    def idle(self) -> bool:
        """Whether everything committed is signed. Makes every check of ``run_once`` that needs no new entry."""
        if self.files.read(CHECKPOINT) is None:
            return False
        before, published = self._checked()
        return before.size == published and not self.outbox.waiting()

    def run_once(self) -> int:
        """Sequence, integrate and sign what is waiting; how many entries the checkpoint gained.

        0 also while another process writes.
        """
        with self.files.exclusive() as alone:
            return self._run() if alone else 0

    def _checked(self) -> tuple[Checkpoint, int]:
        """The signed head and the published size; refuses what must stop a writer."""
        before = self.head()
        self._refuse_turned_clock(before.size)
        published = self.outbox.published_size()
        if before.size > published:
            raise LedgerUnavailable(
                f"the checkpoint signs {before.size} entries and the database knows {published}: a restored backup?"
            )
        return before, published

    def _run(self) -> int:
        before, published = self._checked()
        self._refuse_rollback(before.size)
        self.outbox.assign_positions(self.batch)
        entries = self._entries(before.size, published)
        if not entries:
            return 0
        size, root = integrate(self.files, before.size, entries)
        self._refuse_fork(before, size, root)
        if not self.fence():
            return 0  # the lease ran out while the tiles were written: the log is its new holder's to sign
        if size > published and not self.outbox.publish(size=size, root=root, expected_size=published):
            return 0  # another sequencer moved the size row: the log is its to sign
        self._sign(size, root)
        for folder in superseded(before.size, size):
            self.files.prune(folder)
        self._newest = _latest(self._newest, entries[-1])
        return len(entries)

    def head(self) -> Checkpoint:
        """The checkpoint on disk, verified; a log that has none yet gets the one of the empty tree."""
        stored_key, stored = self.files.read(VKEY), self.files.read(CHECKPOINT)
        if stored_key is None and stored is None and self.outbox.published_size() == 0:
            self.files.write(VKEY, f"{verifier_key(self.signer)}\n".encode())
        keys = self.log_keys()
        if stored is None:
            if self.outbox.published_size():
                raise LedgerUnavailable("the checkpoint is gone although entries were published")
            stored = sign_checkpoint(self.signer, size=0, root=merkle.EMPTY_ROOT)
            self.files.write(CHECKPOINT, stored)
        try:
            return keys.verify(stored)
        except ValueError as error:
            raise LedgerUnavailable(f"the checkpoint on disk cannot be trusted: {error}") from None

    def log_keys(self) -> LogKeys:
        """The log's keys up to ours. Where another has taken our key's place we sign with that one, or not at all."""
        line = self.files.read(VKEY) or b""
        try:
            first = parse_vkey(line.decode("ascii").removesuffix("\n"))
            keys = read_log_keys(first, self.files.read)
        except ValueError as error:
            raise LedgerUnavailable(f"{VKEY} or a rotation of the log's keys cannot be read: {error}") from None
        if verifier_key(self.signer) != keys.current:
            found = self.signers(keys.current)
            if found is None or verifier_key(found) != keys.current:
                raise LedgerUnavailable(
                    f"{VKEY} is not the public half of the signing key, and no rotation leads to it"
                )
            self.signer = found
        return keys

    def _entries(self, size: int, published: int) -> list[bytes]:
        """What follows the checkpoint: at least up to the published size, without a gap."""
        # In one step past what was published and past what witnesses saw: no head below those is ever signed again.
        rows = self.outbox.positioned_from(size, max(self.batch, published - size, (self._floor or 0) - size))
        if [row.position for row in rows] != list(range(size, size + len(rows))):
            raise LedgerUnavailable(f"the outbox has a gap after position {size}")
        if size + len(rows) < published:
            raise LedgerUnavailable(f"the outbox no longer holds all entries from {size} to {published}")
        return [row.body for row in rows]

    def _refuse_fork(self, before: Checkpoint, size: int, root: bytes) -> None:
        """The new head continues the signed one, shown from the tiles as they lie on disk."""
        tree = TreeFiles(self.files, size)
        if tree.root() != root:
            raise LedgerUnavailable("the tiles on disk do not give the root that was computed")
        if before.size == 0:
            return
        try:
            proof = tree.consistency(before.size)
            merkle.verify_consistency(sizes=(before.size, size), roots=(before.root, root), proof=proof)
        except ValueError:
            raise LedgerUnavailable(
                f"the tiles on disk do not continue the checkpoint of size {before.size}; nothing is signed"
            ) from None

    def _sign(self, size: int, root: bytes) -> None:
        """Publish the head, unless somebody published a later one meanwhile."""
        if self.head().size < size:
            signed = sign_checkpoint(self.signer, size=size, root=root)
            text = checkpoint_text(origin=self.origin, size=size, root=root)
            lines = [line(text, self.clock.now()) for line in self.further]
            self.files.write(CHECKPOINT, signed + b"".join(lines))

    def _refuse_rollback(self, size: int) -> None:
        """A log behind its witnesses goes on only when the very entries they saw are back at their places."""
        if self._floor is None:
            self._floor = self.floor()
        if size < self._floor and not self.outbox.positioned_from(self._floor - 1, 1):
            raise LedgerUnavailable(
                f"witnesses or the journal have {self._floor} entries and this ledger has {size}: a restored backup?"
            )

    def _refuse_turned_clock(self, size: int) -> None:
        """The present is not before the newest signed entry."""
        if self._newest is None and size:
            last = Tile(level=None, index=(size - 1) // WIDTH, width=(size - 1) % WIDTH + 1)
            self._newest = _latest(None, read_entries(self.files, last)[-1])
        if self._newest is not None and self.clock.now() < self._newest:
            raise LedgerUnavailable("the clock stands before the last entry of the ledger")


def _latest(known: datetime | None, entry: bytes) -> datetime | None:
    """The later of ``known`` and the entry's own time, where it states one."""
    try:
        stated = datetime.fromisoformat(json.loads(entry)["at"])
    except (ValueError, KeyError, TypeError):
        return known
    if stated.tzinfo is None:
        return known
    return stated if known is None or stated > known else known
