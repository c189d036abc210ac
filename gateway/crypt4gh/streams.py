"""The two ends of a stream as this room needs them, and whole reads and writes over ends that do less than asked."""

from __future__ import annotations

from typing import Any, BinaryIO, Protocol, TypeAlias


class Filling(Protocol):
    """A file, a pipe, a reader that fills a buffer; may give less than asked, gives nothing only at its end."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Fill part of ``buffer``, return how much."""


Source: TypeAlias = Filling | BinaryIO
"""Where bytes come from. What cannot fill a buffer is read, at the price of a copy."""


class Sink(Protocol):
    """Where bytes go; must be done with the buffer when it returns, because the buffer is used again."""

    def write(self, data: Any, /) -> int | None:
        """Take ``data``, return how much was taken (None: all)."""


def read_some(source: Source, target: memoryview) -> int:
    """One read into ``target``; 0 only at the end."""
    readinto = getattr(source, "readinto", None)
    if readinto is not None:
        return readinto(target) or 0
    data: bytes = source.read(len(target))  # type: ignore[union-attr]  # BinaryIO, by the test above
    target[: len(data)] = data
    return len(data)


def fill(source: Source, target: memoryview) -> int:
    """Read until ``target`` is full or the source ends; how many bytes."""
    have = 0
    while have < len(target):
        got = read_some(source, target[have:])
        if not got:
            break
        have += got
    return have


def write_all(sink: Sink, data: memoryview) -> None:
    """Write every byte of ``data``: a raw file takes less than it is given when a signal or a full disk cuts in."""
    while len(data):
        taken = sink.write(data)
        if taken is None:
            return
        data = data[taken:]
