"""Files under one root, read-only. Names are relative paths; nothing outside the root can be named.

Refused before the disk is touched: schemes (htslib would open them), absolute paths, ``..``, empty and ``.`` parts (one
file, one name), percent-encoding, backslashes, control characters and what is not Unicode. A link is followed only
while it stays inside: the path is resolved once, and the resolved one is walked from the root without following
anything, so that a folder exchanged for a link in between is refused and not followed. Only plain files are opened. An
I/O error is never reported as "not found". Source: OWASP ASVS 5.0 5.3.2; POSIX openat(2).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from connectors.errors import ConnectorError

CHUNK = 1 << 20
LONGEST_NAME, LONGEST_RANGE = 1024, 64 << 20
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_INDEX_MARK = "##idx##"  # htslib: what follows is opened as the index
_NO_FILE = {errno.ENOENT, errno.ENOTDIR}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK opening a FIFO waits for a writer for ever; on plain files it changes nothing.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStat:
    """``size`` in bytes; ``modified_ns`` since 1970, as the file system says it."""

    path: str
    size: int
    modified_ns: int


class LocalObjects:
    """The objects of one dataset's source folder. Errors are ConnectorError, naming the file as the user wrote it."""

    def __init__(self, root: str) -> None:
        """Raises ConnectorError ``bad_root`` for what is not a readable folder on this machine."""
        if _SCHEME.match(root) or "\0" in root:
            raise ConnectorError("bad_root", "the source must be a folder on this machine")
        try:
            self._root = os.path.realpath(root, strict=True)
            os.close(os.open(self._root, _FOLDER))
        except OSError as error:
            raise ConnectorError("bad_root", f"{shown(root)}: not a readable folder ({_why(error)})") from None

    def open(self, path: str) -> BinaryIO:
        """The file, positioned at its start; its descriptor is read-only and not inherited."""
        _refuse_odd(path)
        with _told(path):
            descriptor = _walk(self._root, self._resolved(path))
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise ConnectorError("not_a_file", f"{shown(path)}: this is not a plain file")
            os.set_blocking(descriptor, True)
            return os.fdopen(descriptor, "rb")

    def stat(self, path: str) -> ObjectStat:
        """Size and time of the file that ``open`` would open."""
        with self.open(path) as source:
            return _stat(path, source)

    def size(self, path: str) -> int:
        """Bytes of the file that ``open`` would open."""
        return self.stat(path).size

    def range(self, path: str, start: int, end: int) -> bytes:
        """Bytes ``start`` up to, not including, ``end``; 64 MiB at most. A range beyond the end is refused, not cut."""
        with self.open(path) as source, _told(path):
            size = os.fstat(source.fileno()).st_size
            if not 0 <= start <= end <= size:
                raise ConnectorError("bad_range", f"{shown(path)}: bytes {start}-{end} do not lie in its {size} bytes")
            if end - start > LONGEST_RANGE:
                raise ConnectorError("range_too_long", f"{shown(path)}: ask for {LONGEST_RANGE} bytes at most at once")
            source.seek(start)
            data = source.read(end - start)
            if len(data) != end - start:
                raise ConnectorError("changed_file", f"{shown(path)}: the file became shorter while it was read")
            return data

    def checksum(self, path: str) -> str:
        """SHA-256, hex, read now; a file that changes meanwhile is refused, its checksum would be that of no state."""
        total = hashlib.sha256()
        with self.open(path) as source, _told(path):
            before = _stat(path, source)
            while chunk := source.read(CHUNK):
                total.update(chunk)
            if _stat(path, source) != before:
                raise ConnectorError("changed_file", f"{shown(path)}: the file changed while it was read")
        return total.hexdigest()

    def list(self, prefix: str = "") -> list[str]:
        """Every plain file whose name begins with ``prefix``, sorted; hidden files and links are left out.

        A folder that cannot be read is an error: a silently shorter list would look like a smaller dataset.
        """

        def trouble(error: OSError) -> None:
            place = os.path.relpath(str(error.filename), self._root)
            raise ConnectorError("unreadable_folder", f"{shown(place)}: cannot be read ({_why(error)})")

        found = []
        for folder, below, files in os.walk(self._root, onerror=trouble, followlinks=False):
            below[:] = [name for name in below if not name.startswith(".")]
            paths = (Path(folder, name) for name in files if not name.startswith("."))
            found += [self._name(path) for path in paths if _is_plain(path)]
        return sorted(name for name in found if name.startswith(prefix))

    def _name(self, path: Path) -> str:
        name = path.relative_to(self._root).as_posix()
        if not name.isprintable():
            raise ConnectorError("bad_name", f"{shown(name)}: rename this file, its name is not readable text in UTF-8")
        return name

    def _resolved(self, path: str) -> str:
        """The path below the root after its links; refused where they lead out."""
        try:
            target = os.path.realpath(os.path.join(self._root, path), strict=True)  # noqa: PTH118  Path folds "a//b"
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ConnectorError("bad_path", f"{shown(path)}: its links lead in a circle") from None
            raise
        below = os.path.relpath(target, self._root)
        if below.split("/")[0] == "..":
            raise ConnectorError("bad_path", f"{shown(path)}: a link leads out of the source folder")
        return below


def shown(path: str) -> str:
    """A name as the user wrote it, on one line and not longer than a line."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in path[:200]) or "(empty name)"


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False  # it went away since its folder was read
    except OSError as error:
        raise ConnectorError("unreadable_file", f"{shown(path.name)}: cannot be read ({_why(error)})") from None


def _refuse_odd(path: str) -> None:
    parts = path.split("/")
    odd = (
        len(path) > LONGEST_NAME
        or any(part in {"", ".", ".."} for part in parts)
        or any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in path)
        or "\\" in path
        or _INDEX_MARK in path
        or _SCHEME.match(path)
        or _ENCODED.search(path)
    )
    if odd:
        raise ConnectorError(
            "bad_path", f"{shown(path)}: a file is named by a plain relative path inside the source folder"
        )


def _walk(root: str, below: str) -> int:
    """A descriptor of ``root/below``, whose every part is opened in its parent and is not a link."""
    folder = os.open(root, _FOLDER)
    try:
        *folders, name = below.split("/")
        for part in folders:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_FILE:
            raise ConnectorError("missing_file", f"{shown(path)}: this file is named, but it is not there") from None
        if error.errno == errno.ELOOP:
            raise ConnectorError("bad_path", f"{shown(path)}: it became a link while it was opened") from None
        if error.errno == errno.ENXIO:
            raise ConnectorError("not_a_file", f"{shown(path)}: this is not a plain file") from None
        raise ConnectorError("unreadable_file", f"{shown(path)}: cannot be read ({_why(error)})") from None


def _why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else "unknown reason"


def _stat(path: str, source: BinaryIO) -> ObjectStat:
    found = os.fstat(source.fileno())
    return ObjectStat(path=path, size=found.st_size, modified_ns=found.st_mtime_ns)
