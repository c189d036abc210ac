"""The log on a local disk: a file is there whole and durable, or it is not there.

The order of a write: temporary file, fsync, rename, fsync of the folder (and of each folder that was new). After an
fsync has failed, Linux may call the lost pages clean, so a second try could lie: the first such error poisons this
object for good, and the process is to be started again from what the disk holds (PostgreSQL's lesson of 2018).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

from gateway.errors import LedgerStopped, LedgerUnavailable
from gateway.ports import LogFiles
from gateway.verifier.audit import UNFINISHED

_LOCK = "lock"
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9.]*(/[A-Za-z0-9][A-Za-z0-9.]*)*")


class LogStore(LogFiles, Protocol):
    """``LogFiles`` of a writer: it can be held by one at a time and forget partial tiles a full one has replaced."""

    def exclusive(self) -> AbstractContextManager[bool]:
        """True inside while nobody else on this machine writes; False, at once, where somebody does."""

    def prune(self, folder: str) -> None:
        """Remove every file in ``folder`` if it is there; need not be durable, may be repeated."""


class KeptLog(LogStore, Protocol):
    """``LogStore`` of a home: it can be shown, read as a folder, and retired whole."""

    @property
    def place(self) -> str:
        """Where the log lies, in words for its operator."""

    def folder(self) -> Path:
        """A folder of this machine with every file of the log: the log's own, or a fresh copy."""

    def remove(self) -> None:
        """Remove the whole log, whose retention is over."""


class DiskLogFiles:
    """One log in one folder (0700, files 0600).

    ``halt`` is called after the first failed sync, before the error is raised: a server ends its process there.
    """

    def __init__(self, root: Path, *, halt: Callable[[], None] = lambda: None) -> None:
        self._root = root
        self._unfinished = root / UNFINISHED
        self._poisoned = False
        self._halt = halt
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._unfinished.mkdir(mode=0o700, exist_ok=True)
            self._sync_folder(root)
        except OSError as error:
            raise LedgerUnavailable(f"the ledger folder cannot be prepared ({error.strerror})") from None

    @property
    def place(self) -> str:
        """See ``KeptLog``."""
        return str(self._root)

    def exclusive(self) -> AbstractContextManager[bool]:
        """See ``LogStore``."""
        return alone(self._unfinished / _LOCK, then=self._forget_unfinished)

    def folder(self) -> Path:
        """See ``KeptLog``."""
        return self._root

    def remove(self) -> None:
        """See ``KeptLog``."""
        if self._root.exists():
            shutil.rmtree(self._root)

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
            raise LedgerStopped("the ledger stopped after a failed fsync; start again from what the disk holds")
        target = self._place(path)
        try:
            self._make_folder(target.parent)
            self._write_durably(path, data).replace(target)
            self._sync_folder(target.parent)
        except OSError as error:
            kind = LedgerStopped if self._poisoned else LedgerUnavailable
            raise kind(f"ledger file {path} cannot be written ({error.strerror})") from None

    def prune(self, folder: str) -> None:
        """Remove a folder of superseded partial tiles; a leftover is harmless, so errors are too."""
        shutil.rmtree(self._place(folder), ignore_errors=True)

    def _place(self, path: str) -> Path:
        return self._root / check_path(path)

    def _write_durably(self, path: str, data: bytes) -> Path:
        """The bytes in a temporary file; its place."""
        temporary, descriptor = self._open_temporary(path.replace("/", "-"))
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            self._sync(descriptor)
        finally:
            os.close(descriptor)
        return temporary

    def _open_temporary(self, stem: str) -> tuple[Path, int]:
        """A name of its own: a second writer that should not be there must not mix its bytes into ours."""
        for number in count():
            temporary = self._unfinished / f"{stem}.{os.getpid()}.{number}"
            try:
                return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue
        raise AssertionError("unreachable")

    def _forget_unfinished(self) -> None:
        """What a crash cut short; only the holder of the lock may, or it would take a live writer's file away."""
        for path in self._unfinished.iterdir():
            if path.name != _LOCK:
                path.unlink(missing_ok=True)

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
            self._halt()
            raise


def check_path(path: str) -> str:
    """The path, where it is relative and plain. Raises ValueError."""
    if not _PATH.fullmatch(path):
        raise ValueError("a ledger path is relative and plain")
    return path


@contextmanager
def alone(lock: Path, *, then: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Whether nobody else on this machine holds ``lock``; ``then`` is done first where that is so.

    The kernel's lock on one file: it falls free when its holder dies, however it dies (flock(2)).
    """
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerUnavailable(f"the ledger cannot be locked ({error.strerror})") from None
    try:
        try:
            is_alone = _locked(descriptor)
            if is_alone:
                then()
        except OSError as error:
            raise LedgerUnavailable(f"the ledger cannot be locked ({error.strerror})") from None
        yield is_alone
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
