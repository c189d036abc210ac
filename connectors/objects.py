"""Files under one root, read-only. Names are relative paths; nothing outside the root can be named.

Refused: schemes (htslib would open them), absolute paths, ``..``, NUL, backslash, links that leave the root,
and anything
that is not a plain file. An I/O error is never reported as "not found".
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from connectors.errors import ConnectorError

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")
CHUNK = 1 << 20


class LocalObjects:
    """The objects of one dataset's source folder."""

    def __init__(self, root: str) -> None:
        if _SCHEME.match(root):
            raise ConnectorError("bad_root", "the source must be a folder on this machine")
        self._root = Path(root).resolve()
        if not self._root.is_dir():
            raise ConnectorError("bad_root", f"{root}: this folder is not there")

    def open(self, path: str) -> BinaryIO:
        """The file, positioned at its start."""
        target = self._inside(path)
        try:
            handle = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ConnectorError("missing_file", f"{path}: the manifest names this file, but it is not there") from None
        except OSError as error:
            raise ConnectorError("unreadable_file", f"{path}: cannot be read ({error.strerror})") from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise ConnectorError("not_a_file", f"{path}: this is not a plain file")
        return os.fdopen(handle, "rb")

    def size(self, path: str) -> int:
        """Bytes."""
        with self.open(path) as source:
            return os.fstat(source.fileno()).st_size

    def checksum(self, path: str) -> str:
        """SHA-256, hex, read now."""
        total = hashlib.sha256()
        with self.open(path) as source:
            try:
                while chunk := source.read(CHUNK):
                    total.update(chunk)
            except OSError as error:
                raise ConnectorError("unreadable_file", f"{path}: cannot be read ({error.strerror})") from None
        return total.hexdigest()

    def list(self) -> list[str]:
        """Every plain file, relative, sorted; hidden files are left out."""
        found = (p for p in self._root.rglob("*") if p.is_file() and not p.is_symlink())
        names = (p.relative_to(self._root).as_posix() for p in found)
        return sorted(name for name in names if not any(part.startswith(".") for part in name.split("/")))

    def _inside(self, path: str) -> Path:
        pure = PurePosixPath(path)
        odd = not path or "\0" in path or "\\" in path or _SCHEME.match(path) or any(ord(c) < 32 for c in path)
        if odd or pure.is_absolute() or ".." in pure.parts or "%" in path:
            raise ConnectorError("bad_path", "a file is named by a plain relative path inside the source folder")
        target = self._root / pure
        if not target.parent.resolve().is_relative_to(self._root) or target.is_symlink():
            raise ConnectorError("bad_path", "a file is named by a plain relative path inside the source folder")
        return target
