"""Streams that keep the digest of what passes through them."""

from __future__ import annotations

import hashlib
import io
import os
from typing import Any, BinaryIO

from gateway.errors import BadInput


class HashingReader(io.RawIOBase):
    """Passes bytes through and keeps their SHA-256, so that what was transformed is what was registered."""

    def __init__(self, source: BinaryIO) -> None:
        super().__init__()
        self._source = source
        self._total = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._total.update(data)
        return data

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    @property
    def size(self) -> int:
        """Bytes of the whole source; 0 where it cannot say."""
        return size_of(self._source)

    def drain(self) -> None:
        """Read what the transform left unread, so that the digest covers the whole file."""
        while self.read(1 << 20):
            pass

    def hexdigest(self) -> str:
        """SHA-256 of all that was read."""
        return self._total.hexdigest()


def size_of(source: Any) -> int:
    """Bytes of an open file, a reader over one or a descriptor; 0 where nobody can tell before it is read."""
    if isinstance(source, HashingReader):
        return source.size
    if isinstance(source, int):
        return os.fstat(source).st_size
    if not source.seekable():
        return 0
    here = source.tell()
    size: int = source.seek(0, io.SEEK_END)
    source.seek(here)
    return size


def prove_registered(raw: HashingReader, path: str, checksum: str) -> None:
    """Read to the end, and raise BadInput (``source_changed``) unless the file was the one of that SHA-256."""
    raw.drain()
    if raw.hexdigest() != checksum:
        raise BadInput(f"{path}: the file is not the one that was registered", code="source_changed")


class HashingWriter(io.RawIOBase):
    """Passes bytes on and keeps their number and BLAKE2b-256 digest."""

    def __init__(self, sink: BinaryIO) -> None:
        super().__init__()
        self._sink = sink
        self._total = hashlib.blake2b(digest_size=32)
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._sink.write(data)
        self._total.update(data)
        self.size += len(data)
        return len(data)

    def hexdigest(self) -> str:
        """BLAKE2b-256 of all that was written."""
        return self._total.hexdigest()
