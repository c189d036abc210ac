"""Where work in progress and finished copies lie: ``Staging`` encrypted under a key per owner, ``SealedStore`` as sent.

Staging holds core views and half-done releases. Each owner (a release, a view) has a random key, kept beside its
files under the key-encryption key; shredding takes the key first, so that what is left of the files, also in a backup
or on a worn disk, opens to nobody. Readers that are open at that moment are ended by whoever serves them.
Both folders are cleaned at start: what the database does not know is not kept.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from gateway.keys import Keys
from gateway.keys.folder import TEMPORARY, PrivateFolder
from gateway.ports import Randomness
from gateway.staging.errors import StagedFileMissingError, StagingError
from gateway.staging.files import NewFile, open_private, plain_errors, sync_folder
from gateway.staging.staged import Place, StagedWriter, open_staged, read_card

_STAGING, _COPIES = "staging", "the sealed copies"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_KEY_FILE = "key"


class Staging:
    """Encrypted files by owner and name. Every call that touches the disk raises StagingError or one below it."""

    def __init__(self, root: Path, keys: Keys, random: Randomness) -> None:
        self._root, self._keys, self._random = PrivateFolder(root), keys, random

    def create(self, owner_id: str, name: str) -> StagedWriter:
        """A new file; takes the place of an older one of that name when it is complete."""
        place = self._place(owner_id, name, make=True)
        file = NewFile(self._folder(owner_id), name, what=_STAGING, replace=True)
        try:
            return StagedWriter(file, place, self._random)
        except BaseException:
            file.discard()
            raise

    def open(self, owner_id: str, name: str) -> BinaryIO:
        """A seekable reader of the plain bytes."""
        place = self._place(owner_id, name)
        return open_staged(open_private(self._folder(owner_id) / name, what=_STAGING), place)

    def size(self, owner_id: str, name: str) -> int:
        """Plain bytes."""
        place = self._place(owner_id, name)
        with open_private(self._folder(owner_id) / name, what=_STAGING) as file:
            return read_card(file, place).size

    def names(self, owner_id: str) -> list[str]:
        """The complete files of an owner; none for an unknown one."""
        folder = self._folder(owner_id)
        if not folder.is_dir():
            return []
        return [name for name in PrivateFolder(folder).names() if name != _KEY_FILE]

    def shred(self, owner_id: str) -> None:
        """The key, then the files. May be called again, also after a crash half-way."""
        folder = self._folder(owner_id)
        with plain_errors(_STAGING), suppress(FileNotFoundError):
            _overwrite(folder / _KEY_FILE)
            (folder / _KEY_FILE).unlink()
            sync_folder(folder)
        with plain_errors(_STAGING), suppress(FileNotFoundError):
            shutil.rmtree(folder)
            sync_folder(self._root.path)

    def clean(self, keep: Collection[str]) -> list[str]:
        """At start, before any worker: shred all owners but ``keep`` and drop unfinished files; who was shredded."""
        self._root.create()
        gone = [entry.name for entry in os.scandir(self._root.path) if entry.name not in keep]
        for name in gone:
            if _NAME.fullmatch(name):
                self.shred(name)
            else:
                _remove(self._root.path / name)
        for owner in keep:
            _drop_unfinished(self._folder(owner), _STAGING)
        return gone

    def _folder(self, owner_id: str) -> Path:
        return self._root.path / _named(owner_id)

    def _place(self, owner_id: str, name: str, *, make: bool = False) -> Place:
        if _named(name) == _KEY_FILE:
            raise StagingError(f"{_STAGING}: a file cannot be called {name}")
        folder = PrivateFolder(self._folder(owner_id))
        with plain_errors(_STAGING):
            if make:
                self._make(folder, owner_id)
            elif not folder.path.is_dir():
                raise StagedFileMissingError(f"{_STAGING}: nothing is kept for {owner_id}")
            blob = folder.read(_KEY_FILE)
        if blob is None:
            raise StagedFileMissingError(f"{_STAGING}: what was kept for {owner_id} has been shredded")
        return Place(owner=owner_id, name=name, key=self._keys.unwrap(_context(owner_id), blob))

    def _make(self, folder: PrivateFolder, owner_id: str) -> None:
        self._root.create()
        folder.create()
        if folder.read(_KEY_FILE) is None:
            # Files without a key are what a broken shredding left: nobody can open them.
            for name in folder.names():
                _remove(folder.path / name)
            folder.create_file(_KEY_FILE, self._keys.wrap(_context(owner_id), self._random.token(32)))


class SealedStore:
    """Finished Crypt4GH copies, as they are served: plain ciphertext files, made once, durable before recorded."""

    def __init__(self, root: Path) -> None:
        self._folder = PrivateFolder(root)

    def create(self, copy_id: str) -> SealedWriter:
        """A new copy. Raises AlreadySealedError at its end where one of that id is there."""
        with plain_errors(_COPIES):
            self._folder.create()
        return SealedWriter(NewFile(self._folder.path, _named(copy_id), what=_COPIES, replace=False))

    def open(self, copy_id: str) -> BinaryIO:
        """The file itself, for ranges of its bytes."""
        return open_private(self._folder.path / _named(copy_id), what=_COPIES)

    def size(self, copy_id: str) -> int:
        """Bytes of ciphertext."""
        with self.open(copy_id) as file:
            return os.fstat(file.fileno()).st_size

    def shred(self, copy_id: str) -> None:
        """Remove it; may be called again. Only the recipient's key ever opened it, so nothing is overwritten."""
        with plain_errors(_COPIES), suppress(FileNotFoundError):
            (self._folder.path / _named(copy_id)).unlink()
            sync_folder(self._folder.path)

    def clean(self, keep: Collection[str]) -> list[str]:
        """At start, before any worker: remove all copies but ``keep``, and unfinished ones; what was removed."""
        with plain_errors(_COPIES):
            self._folder.create()
        gone = [name for name in self._folder.names() if name not in keep]
        for name in gone:
            self.shred(name)
        _drop_unfinished(self._folder.path, _COPIES)
        return gone


class SealedWriter:
    """A sink. Use as a context manager: a clean end makes the copy durable, an error leaves nothing."""

    def __init__(self, file: NewFile) -> None:
        self._file = file

    def write(self, data: Any, /) -> int:
        """All of ``data``."""
        return self._file.write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._file.commit()
        finally:
            self._file.discard()


def _context(owner_id: str) -> str:
    return f"staging/{owner_id}"


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StagingError("a staged file's owner and name are letters, digits, '.', '-' and '_'")
    return name


def _overwrite(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.pwrite(file, bytes(os.fstat(file).st_size), 0)
        os.fsync(file)
    finally:
        os.close(file)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _drop_unfinished(folder: Path, what: str) -> None:
    with plain_errors(what), suppress(FileNotFoundError):
        for entry in list(os.scandir(folder)):
            if entry.name.startswith(TEMPORARY):
                Path(entry.path).unlink()
