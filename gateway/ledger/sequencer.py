"""Give outbox rows their places and publish them: positions, bundles, tiles, size row, checkpoint, in that order.

A crash between any two of these is mended by running again from the published size: the same entries give the same
bytes. Two writers cannot both move the size row. A root that does not extend the checkpoint already on disk is never
signed (C2SP tlog-checkpoint).
"""

from __future__ import annotations

import threading

from gateway.errors import LedgerUnavailable
from gateway.ledger.log import append, inclusion_path, root_of
from gateway.ports import LogFiles, Outbox, Signer
from gateway.verifier.note import (
    Checkpoint,
    NoteError,
    VerifierKey,
    checkpoint_text,
    read_checkpoint,
    signature_line,
    verifier_key,
)
from gateway.verifier.proof import Receipt, write_receipt

BATCH = 1024
CHECKPOINT, KEY = "checkpoint", "log.vkey"


class Sequencer:
    """The one writer of a log; ``run_once`` is safe to call from any thread and after any crash."""

    def __init__(self, *, outbox: Outbox, files: LogFiles, signer: Signer) -> None:
        self._outbox = outbox
        self._files = files
        self._signer = signer
        self._lock = threading.Lock()

    @property
    def key(self) -> VerifierKey:
        """The log's public key."""
        return verifier_key(self._signer.name, self._signer.public_key)

    def run_once(self) -> int:
        """Sequence and publish everything that waits; the published size."""
        with self._lock:
            self._outbox.assign_positions(BATCH)
            size = self._outbox.published_size()
            while True:
                rows = self._outbox.positioned_from(size, BATCH)
                if not rows:
                    break
                fresh = append(self._files, size, [row.body for row in rows])
                root = root_of(self._files, fresh)
                if not self._outbox.publish(size=fresh, root=root, expected_size=size):
                    raise LedgerUnavailable(entry_digest="another writer moved the log")
                size = fresh
                self._outbox.assign_positions(BATCH)
            self._sign(size)
            return size

    def receipt(self, position: int) -> bytes:
        """A ``.tlog-proof`` of the entry under the checkpoint on disk. Raises LedgerUnavailable when it is not
        in it."""
        note = self._files.read(CHECKPOINT)
        if note is None:
            raise LedgerUnavailable(entry_digest="no checkpoint")
        size = read_checkpoint(note, self.key).size
        if position >= size:
            raise LedgerUnavailable(entry_digest=f"entry {position}")
        path = tuple(inclusion_path(self._files, position, size))
        return write_receipt(Receipt(index=position, path=path, checkpoint=note))

    def _sign(self, size: int) -> None:
        signed = self._signed()
        if signed is not None and signed.size == size:
            return
        if signed is not None and (signed.size > size or root_of_prefix(self._files, signed.size, size) != signed.root):
            raise LedgerUnavailable(entry_digest="the log does not extend its last checkpoint")
        checkpoint = Checkpoint(origin=self._signer.name, size=size, root=root_of(self._files, size))
        text = checkpoint_text(checkpoint)
        note = f"{text}\n{signature_line(self.key, self._signer.sign(text.encode()))}".encode()
        if self._files.read(KEY) is None:
            self._files.write(KEY, (self.key.text() + "\n").encode())
        self._files.write(CHECKPOINT, note)

    def _signed(self) -> Checkpoint | None:
        note = self._files.read(CHECKPOINT)
        try:
            return None if note is None else read_checkpoint(note, self.key)
        except NoteError:
            raise LedgerUnavailable(entry_digest="the checkpoint on disk is not ours") from None


def root_of_prefix(files: LogFiles, old: int, size: int) -> bytes:
    """The root the first ``old`` entries have in the log as it stands at ``size``."""
    return root_of(_Widened(files, size), old)


class _Widened:
    """Reads a partial tile from whatever wider tile now holds it."""

    def __init__(self, files: LogFiles, size: int) -> None:
        self._files = files
        self._size = size

    def read(self, path: str) -> bytes | None:
        stem, _, width = path.partition(".p/")
        if not width:
            return self._files.read(path)
        parts = stem.split("/")
        n = int("".join(part.lstrip("x") for part in parts[2:]))
        now = min(256, (self._size >> 8 * int(parts[1])) - n * 256)
        data = self._files.read(stem if now == 256 else f"{stem}.p/{now}")
        return None if data is None else data[: 32 * int(width)]

    def write(self, path: str, data: bytes) -> None:
        raise NotImplementedError
