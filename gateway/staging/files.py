"""A new file in a private folder: whole and durable when it is there, nothing when it is not.

Temporary file (0600), the bytes, fsync, rename or link, fsync of the folder. A full disk becomes ``StagingFullError``
and takes the temporary file with it; so does any other error inside the ``with``.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from gateway.keys import KeysUnreadableError
from gateway.keys.folder import TEMPORARY
from gateway.staging.errors import AlreadySealedError, StagedFileMissingError, StagingError, StagingFullError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """Turn the system's errors into ours; ``what`` is "staging" or "the sealed copies"."""
    try:
        yield
    except FileNotFoundError:
        raise StagedFileMissingError(f"{what}: the file is not there") from None
    except KeysUnreadableError as error:  # the folder is not private
        raise StagingError(f"{what}: {error}") from None
    except OSError as error:
        if error.errno in _FULL:
            raise StagingFullError(f"{what}: no room left on the disk; make room and try again") from error
        raise StagingError(f"{what}: {error.strerror}") from error


class NewFile:
    """One file under way. Use as a context manager: a clean end makes it durable, an error removes it."""

    def __init__(self, folder: Path, name: str, *, what: str, replace: bool) -> None:
        self._folder, self._name, self._what, self._replace = folder, name, what, replace
        self._temporary = folder / (TEMPORARY + secrets.token_hex(8))
        with plain_errors(what):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self._temporary, flags, 0o600)
        self._open = True

    def write(self, data: Any, /) -> int:
        """All of ``data``, at the end of the file."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        with plain_errors(self._what):
            while len(rest):
                rest = rest[os.write(self._file, rest) :]
        return size

    def write_at(self, position: int, data: bytes) -> None:
        """A few bytes over what is there."""
        with plain_errors(self._what):
            os.pwrite(self._file, data, position)

    def commit(self) -> None:
        """From here on the file is there, also after a power cut."""
        with plain_errors(self._what):
            os.fsync(self._file)
            self._close()
            if self._replace:
                self._temporary.rename(self._folder / self._name)
            else:
                self._link()
            sync_folder(self._folder)

    def discard(self) -> None:
        """Leave nothing; without effect after ``commit``."""
        self._close()
        with suppress(FileNotFoundError):
            self._temporary.unlink()

    def _link(self) -> None:
        try:
            os.link(self._temporary, self._folder / self._name, follow_symlinks=False)
        except FileExistsError:
            raise AlreadySealedError(f"{self._what}: {self._name} is there already and is not replaced") from None
        self._temporary.unlink()

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._file)


def open_private(path: Path, *, what: str) -> BinaryIO:
    """An existing plain file, for reading; symbolic links and anything else are refused."""
    with plain_errors(what):
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise StagingError(f"{what}: {path.name} is not a plain file")
    return os.fdopen(file, "rb")


def sync_folder(folder: Path) -> None:
    """Make names made and removed in ``folder`` durable."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
