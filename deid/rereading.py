"""A source that is read from its beginning twice and cannot seek: two streams of the same bytes, one after the other.

Who gives the two streams proves that they are the same. Not here: that proof.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, BinaryIO


class ReadTwice(io.RawIOBase):
    """``seek(0)`` goes on with the next stream; after the last there is nothing to read. Any other seek is refused."""

    def __init__(self, streams: Sequence[BinaryIO]) -> None:
        super().__init__()
        self._streams = list(streams)
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if (offset, whence) != (0, io.SEEK_SET):
            raise io.UnsupportedOperation("only the beginning can be gone back to")
        if self._place:
            self._streams.pop(0)
        self._place = 0
        return 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._streams[0].read(size) if self._streams else b""
        self._place += len(data)
        return data

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
