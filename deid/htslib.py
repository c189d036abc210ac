"""Bytes through htslib and back, over pipes: for the formats this room does not read or write itself (BCF, CRAM, SAM).

The promise: htslib is given open descriptors only, never a name, so it can open nothing else; what it is fed was
proven block by block before (``deid.bgzf``) where the container is BGZF. What it says on standard error is silenced,
since its messages quote the data. Not here: what the records mean.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from deid.errors import DeidError

PIECE = 1 << 20


class _Thread(threading.Thread):
    """A thread whose exception is kept and raised where it is joined; ``unread``: its pipe was closed too early."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.failure: Exception | None = None
        self.unread = False

    def run(self) -> None:
        """Do the work once."""
        try:
            self._work()
        except BrokenPipeError:
            self.unread = True
        except Exception as failure:  # noqa: BLE001 -- raised again by finish(), in the thread that can act on it
            self.failure = failure

    def finish(self) -> None:
        """Wait, then raise what went wrong."""
        self.join()
        if self.failure is not None:
            raise self.failure


def feed(pieces: Iterable[bytes]) -> tuple[BinaryIO, _Thread]:
    """A readable pipe that ``pieces`` flow into, and the thread that pours; close the pipe, then finish the thread."""
    reading, writing = os.pipe()

    def pour() -> None:
        with os.fdopen(writing, "wb", buffering=0) as sink:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[sink.write(view) :]

    thread = _Thread(pour)
    thread.start()
    return os.fdopen(reading, "rb", buffering=0), thread


def filtered(pieces: Iterable[bytes], convert: Callable[[BinaryIO, BinaryIO], None]) -> Iterator[bytes]:
    """``pieces`` through ``convert(source, sink)``, which runs in a thread of its own between two pipes.

    An exception of ``pieces`` comes first (it is the cause), then one of ``convert``. Raises ``DeidError``
    (``ended_early``) where ``convert`` came to its end and had not read all: what it made is not of the whole.
    """
    source, feeding = feed(pieces)
    reading, writing = os.pipe()

    def work() -> None:
        with source, os.fdopen(writing, "wb", buffering=0) as sink:
            convert(source, sink)

    converting = _Thread(work)
    converting.start()
    with os.fdopen(reading, "rb", buffering=0) as made:
        while piece := made.read(PIECE):
            yield piece
    converting.join()
    feeding.finish()
    converting.finish()
    if feeding.unread:
        raise DeidError("htslib came to its end before that of what it was given", code="ended_early")
