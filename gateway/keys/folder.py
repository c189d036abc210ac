"""A folder only this user can enter, and whole files in it: made durable or not there at all.

Modes wider than 0700 and 0600 refuse, so do symbolic links and another owner: a key that others could read is no
longer one, and repairing it in silence would hide that. Writing is temporary file, fsync, link or rename, fsync of the
folder.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.keys.errors import KeysUnreadableError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
TEMPORARY = ".new-"


class PrivateFolder:
    """All names are plain names inside the folder; every access checks the folder and the file anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make the folder (0700) where it is not; refuse it where it is not private."""
        with suppress(FileExistsError):
            self.path.mkdir(mode=_PRIVATE_FOLDER, parents=True)
        with self._opened():
            pass

    def names(self) -> list[str]:
        """All finished files, sorted."""
        with self._opened() as folder:
            return sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))

    def read(self, name: str) -> bytes | None:
        """The whole file, None where there is none. Raises KeysUnreadableError for a file that is not private."""
        with self._opened() as folder:
            try:
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise KeysUnreadableError(f"{self.path / name} cannot be opened: {error.strerror}") from None
            with os.fdopen(file, "rb") as source:
                self._check(os.fstat(source.fileno()), self.path / name, stat.S_ISREG, _PRIVATE_FILE)
                return source.read()

    def create_file(self, name: str, data: bytes) -> bool:
        """Make the file whole and durable; False, and nothing changed, where one of that name is already there."""
        with self._opened() as folder:
            temporary = TEMPORARY + secrets.token_hex(8)
            try:
                self._write(folder, temporary, data)
                os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                return False
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)
                os.fsync(folder)
            return True

    @staticmethod
    def _write(folder: int, name: str, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, _PRIVATE_FILE, dir_fd=folder), "wb") as sink:
            sink.write(data)
            sink.flush()
            os.fsync(sink.fileno())

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            folder = os.open(self.path, _DIRECTORY)
        except OSError as error:
            raise KeysUnreadableError(f"{self.path} cannot be opened: {error.strerror}") from None
        try:
            self._check(os.fstat(folder), self.path, stat.S_ISDIR, _PRIVATE_FOLDER)
            yield folder
        finally:
            os.close(folder)

    @staticmethod
    def _check(found: os.stat_result, path: Path, kind: object, mode: int) -> None:
        if callable(kind) and not kind(found.st_mode):
            raise KeysUnreadableError(f"{path} is not what it must be (a plain file or folder)")
        if found.st_uid != os.geteuid():
            raise KeysUnreadableError(f"{path} belongs to another user of this machine")
        if stat.S_IMODE(found.st_mode) & ~mode:
            raise KeysUnreadableError(f"{path} is open to others (mode {stat.S_IMODE(found.st_mode):o}, not {mode:o})")
