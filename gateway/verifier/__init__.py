"""Prove a ledger without us: this folder needs Python's standard library and ``cryptography``, nothing else of ours.

Copy the folder anywhere and run ``python -m verifier DIR``; inside the product it is ``python -m gateway.verifier
DIR``.
Read in this order: ``merkle`` (the tree), ``note`` (the signature), ``rotation`` (which key
may sign what), ``tiles`` (the files), ``proof`` (a receipt),
``audit`` (every byte recomputed), ``verify`` (the verdict), ``succession`` (logs of former years).
Nothing here writes, and nothing here asks a network.
"""

from .note import Checkpoint, VerifierKey
from .verify import Verdict, verify_log

__all__ = ["Checkpoint", "Verdict", "VerifierKey", "verify_log"]
