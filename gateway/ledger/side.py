"""Keep the side root (``gateway.verifier.side``) up with the log: after each checkpoint, before hand-over.

It grows by what the log gained. Its peaks are kept, sealed, every ``KEPT`` entries, and where they are not there the
log is read again. What is read must add up to the signed SHA-256 root as well: no SM3 root is signed over a bundle that
was changed on disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from gateway.errors import GatewayError, LedgerUnavailable
from gateway.ledger.log import read_entries
from gateway.ledger.receipt import read_checkpoint
from gateway.ports import Clock, LogFiles
from gateway.verifier import merkle
from gateway.verifier.further import Sm2Key
from gateway.verifier.side import SIDE, SideTree, side_text
from gateway.verifier.tiles import WIDTH, Tile

KEPT = 4096
STATE = "sm3"


class SideRoot:
    """The side root of one log; ``signing`` gives the SM2 key of the moment and what makes the SM2 line of a text."""

    def __init__(
        self,
        files: LogFiles,
        signing: Callable[[], tuple[Sm2Key, Callable[[bytes, datetime], bytes]]],
        *,
        clock: Clock,
        memory: Memory | None = None,
    ) -> None:
        self._files, self._signing, self._clock, self._memory = files, signing, clock, memory
        self._trees: tuple[SideTree, PlainTree] | None = None
        self._signed = -1
        self._kept = 0

    def advance(self, size: int) -> None:
        """The side root covers at least ``size`` entries when this returns. Raises LedgerUnavailable."""
        if size == self._signed:
            return
        size = (head := read_checkpoint(self._files)[1]).size
        side, plain = self._trees or self._remembered(size)
        self._trees = None  # half a step must not be gone on from
        while side.size < size:
            first = side.size - side.size % WIDTH
            bundle = Tile(level=None, index=first // WIDTH, width=min(WIDTH, size - first))
            for entry in read_entries(self._files, bundle)[side.size - first :]:
                side.push(entry)
                plain.push(entry)
        if plain.root() != head.root:
            raise LedgerUnavailable("the entry bundles do not add up to the checkpoint; no SM3 root is signed")
        key, line = self._signing()
        text = side_text(key, size=size, root=side.root())
        self._files.write(SIDE, text + b"\n" + line(text, self._clock.now()))
        self._trees, self._signed = (side, plain), size
        self._keep(side, plain)

    def _remembered(self, size: int) -> tuple[SideTree, PlainTree]:
        if self._memory is not None:
            with suppress(GatewayError, ValueError, KeyError, TypeError):
                said = json.loads(self._memory.read())
                if said["size"] <= size:
                    self._kept = said["size"]
                    return SideTree(said["size"], _read(said["sm3"])), PlainTree(said["size"], _read(said["sha256"]))
        return SideTree(), PlainTree()

    def _keep(self, side: SideTree, plain: PlainTree) -> None:
        if self._memory is None or side.size < self._kept + KEPT:
            return
        body = {"size": side.size, "sm3": _said(side.peaks), "sha256": _said(plain.peaks)}
        with suppress(GatewayError):
            self._memory.write(json.dumps(body).encode())
            self._kept = side.size


class PlainTree(SideTree):
    """The same over SHA-256: the log's own tree."""

    def push(self, entry: bytes) -> None:
        """Add one entry."""
        value, height = merkle.leaf_hash(entry), 0
        while self.peaks and self.peaks[-1][0] == height:
            value, height = merkle.node_hash(self.peaks.pop()[1], value), height + 1
        self.peaks.append((height, value))
        self.size += 1

    def root(self) -> bytes:
        """Root over all entries."""
        return merkle.fold([value for _, value in self.peaks])


class Memory:
    """One sealed file."""

    def __init__(
        self,
        files: LogFiles,
        context: str,
        *,
        seal: Callable[[str, bytes], bytes],
        unseal: Callable[[str, bytes], bytes],
    ) -> None:
        self._files, self._context, self._seal, self._unseal = files, f"{context}/sm3", seal, unseal

    def read(self) -> bytes:
        """What was kept. Raises where there is nothing that opens."""
        return self._unseal(self._context, self._files.read(STATE) or b"")

    def write(self, body: bytes) -> None:
        """Keep it."""
        self._files.write(STATE, self._seal(self._context, body))


def _said(peaks: list[tuple[int, bytes]]) -> list[tuple[int, str]]:
    return [(height, value.hex()) for height, value in peaks]


def _read(said: list[list[object]]) -> list[tuple[int, bytes]]:
    return [(int(str(height)), bytes.fromhex(str(value))) for height, value in said]
