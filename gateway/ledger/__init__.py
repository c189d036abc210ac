"""The writing side of the ledger: positions, tiles, checkpoints, receipts, and the facts read back from them.

The order is the promise: bundles, tiles, size row, checkpoint; each file is durable before the next is begun. What may
be hashed and how it is laid out is in ``gateway.verifier``, so that writer and verifier cannot drift apart.
The database is behind ``ports.Outbox``; there is none here.
"""

from .checkpoint import sign_checkpoint, verifier_key
from .facts import FactIndex, LatestFact
from .files import DiskLogFiles, KeptLog, LogStore
from .log import TreeFiles, integrate
from .receipt import make_receipt
from .sequencer import Sequencer

__all__ = [
    "DiskLogFiles",
    "FactIndex",
    "KeptLog",
    "LatestFact",
    "LogStore",
    "Sequencer",
    "TreeFiles",
    "integrate",
    "make_receipt",
    "sign_checkpoint",
    "verifier_key",
]
