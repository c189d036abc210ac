"""The log's folder on local disk: every file is temp, fsync, rename, fsync of the folder.

The first fsync error poisons the object: after it Linux may call lost pages clean, so a retry would lie.
"""

from __future__ import annotations

import os
from pathlib import Path

from gateway.errors import LedgerUnavailable


class DiskLogFiles:
    """``ports.LogFiles`` under one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._broken = False

    def read(self, path: str) -> bytes | None:
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes) -> None:
        if self._broken:
            raise LedgerUnavailable(entry_digest="disk")
        target = self._root / path
        try:
            fresh = _make_folders(target.parent)
            _write_durably(target, data)
            for folder in fresh:
                _sync_folder(folder.parent)
            _sync_folder(target.parent)
        except OSError as error:
            self._broken = True
            raise LedgerUnavailable(entry_digest=f"disk error {error.errno}") from None


def _make_folders(folder: Path) -> list[Path]:
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return missing


def _write_durably(target: Path, data: bytes) -> None:
    temporary = target.parent / f".{target.name}.{os.getpid()}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    temporary.replace(target)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
