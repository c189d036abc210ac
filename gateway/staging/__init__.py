"""Files of work in progress, encrypted per owner, and the finished sealed copies: ``gateway.staging.store``."""

from __future__ import annotations

from gateway.staging.errors import (
    AlreadySealedError,
    StagedFileDamagedError,
    StagedFileMissingError,
    StagingError,
    StagingFullError,
)
from gateway.staging.staged import StagedWriter
from gateway.staging.store import SealedStore, SealedWriter, Staging

__all__ = [
    "AlreadySealedError",
    "SealedStore",
    "SealedWriter",
    "StagedFileDamagedError",
    "StagedFileMissingError",
    "StagedWriter",
    "Staging",
    "StagingError",
    "StagingFullError",
]
