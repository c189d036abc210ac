"""The ledger of one process: sequencer, fact index and receipts behind ``env.Ledger``."""

from __future__ import annotations

from gateway.ledger.facts import FactIndex
from gateway.ledger.sequencer import Sequencer
from gateway.ports import LogFiles


class EmbeddedLedger:
    """Publishes on ``sync`` and answers from what is published."""

    def __init__(self, sequencer: Sequencer, files: LogFiles) -> None:
        self._sequencer = sequencer
        self._facts = FactIndex(files)

    @property
    def origin(self) -> str:
        """Checkpoint origin."""
        return self._sequencer.key.name

    def sync(self) -> int:
        """Sequence what waits; the published size."""
        size = self._sequencer.run_once()
        self._facts.refresh(size)
        return size

    def facts(self) -> FactIndex:
        """The facts up to the last ``sync``."""
        return self._facts

    def receipt(self, position: int) -> bytes:
        """A ``.tlog-proof`` for that entry."""
        return self._sequencer.receipt(position)
