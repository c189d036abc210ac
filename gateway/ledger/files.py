"""The log on a local disk: a file is there whole and durable, or it is not there.

The order of a write: temporary file, fsync, rename, fsync of the folder (and of each folder that was new). After an
fsync has failed, Linux may call the lost pages clean, so a second try could lie: the first such error poisons this
object for good, and the process is to be started again from what the disk holds (PostgreSQL's lesson of 2018).
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Protocol

from gateway.errors import LedgerUnavailable
from gateway.ports import LogFiles
from gateway.verifier.audit import UNFINISHED

_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9.]*(/[A-Za-z0-9][A-Za-z0-9.]*)*")


class LogStore(LogFiles, Protocol):
    """``LogFiles`` that can also forget the partial tiles a full one has replaced."""

    def prune(self, folder: str) -> None:
        """Remove every file in ``folder`` if it is there; need not be durable, may be repeated."""


class DiskLogFiles:
    """One log in one folder (0700, files 0600); only one process at a time may write."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._unfinished = root / UNFINISHED
        self._poisoned = False
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.rmtree(self._unfinished, ignore_errors=True)
            self._unfinished.mkdir(mode=0o700, exist_ok=True)
            self._sync_folder(root)
        except OSError as error:
            raise LedgerUnavailable(f"the ledger folder cannot be prepared ({error.strerror})") from None

    def read(self, path: str) -> bytes | None:
        """The whole file, or None where there is none."""
        try:
            return self._place(path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LedgerUnavailable(f"ledger file {path} cannot be read ({error.strerror})") from None

    def write(self, path: str, data: bytes) -> None:
        """Durable when it returns."""
        if self._poisoned:
            raise LedgerUnavailable("the ledger stopped after a failed fsync; start again from what the disk holds")
        target = self._place(path)
        temporary = self._unfinished / path.replace("/", "-")
        try:
            self._make_folder(target.parent)
            self._write_durably(temporary, data)
            temporary.replace(target)
            self._sync_folder(target.parent)
        except OSError as error:
            raise LedgerUnavailable(f"ledger file {path} cannot be written ({error.strerror})") from None

    def prune(self, folder: str) -> None:
        """Remove a folder of superseded partial tiles; a leftover is harmless, so errors are too."""
        shutil.rmtree(self._place(folder), ignore_errors=True)

    def _place(self, path: str) -> Path:
        if not _PATH.fullmatch(path):
            raise ValueError("a ledger path is relative and plain")
        return self._root / path

    def _write_durably(self, temporary: Path, data: bytes) -> None:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            self._sync(descriptor)
        finally:
            os.close(descriptor)

    def _make_folder(self, folder: Path) -> None:
        """Make ``folder`` and sync each parent that gained an entry."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        self._sync_folder(folder.parent)

    def _sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._sync(descriptor)
        finally:
            os.close(descriptor)

    def _sync(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError:
            self._poisoned = True
            raise
