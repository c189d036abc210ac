"""Threads that move bytes between the gateway's streams and a child's pipes, and stop the child when one end fails."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress

from gateway.crypt4gh.streams import Sink, Source, read_some, write_all
from gateway.sandbox.port import SandboxError

_CHUNK = 1 << 20
_SET_PIPE_SIZE = 1031  # Linux F_SETPIPE_SZ
_JOIN_SECONDS = 10.0


class Pumps:
    """All pumps of one run. ``stop`` ends the child; it is called before a failed pipe is closed.

    The order matters: a child that saw an early end of its input could take it for the whole.
    """

    def __init__(self) -> None:
        self.stop: Callable[[], None] = lambda: None
        self.failures: list[Exception] = []
        self._threads: list[threading.Thread] = []
        self._started = threading.Event()
        self._abandoned = False

    def feed(self, source: Source) -> int:
        """A pipe's reading end that will carry all of ``source``."""
        reading, writing = _pipe()
        self._spawn(lambda: _pour(source, writing), writing)
        return reading

    def drain(self, sink: Sink, *, limit: int, code: str) -> int:
        """A pipe's writing end, all of which will go to ``sink``; more than ``limit`` bytes is a SandboxError."""
        reading, writing = _pipe()
        self._spawn(lambda: _collect(reading, sink, limit, code), reading)
        return writing

    def start(self, stop: Callable[[], None]) -> None:
        """The child runs: let the bytes move."""
        self.stop = stop
        self._started.set()

    def abandon(self) -> None:
        """There will be no child: end all threads, move nothing."""
        self._abandoned = True
        self._started.set()

    def finish(self) -> None:
        """Wait for the last bytes. Raises the first failure of a stream."""
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
        if self.failures:
            raise self.failures[0]
        if any(thread.is_alive() for thread in self._threads):
            raise SandboxError("task_failed", "a stream of the work did not end with it")

    def _spawn(self, work: Callable[[], None], end: int) -> None:
        def run() -> None:
            self._started.wait()
            try:
                if not self._abandoned:
                    work()
            except Exception as error:  # noqa: BLE001 - raised again by finish()
                self.failures.append(error)
                self.stop()
            finally:
                os.close(end)

        thread = threading.Thread(target=run, daemon=True, name="sandbox-pump")
        self._threads.append(thread)
        thread.start()


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
    with suppress(OSError):  # over the user's allowance for pipes: slower, not wrong
        fcntl.fcntl(writing, _SET_PIPE_SIZE, _CHUNK)
    return reading, writing


def _pour(source: Source, writing: int) -> None:
    buffer = memoryview(bytearray(_CHUNK))
    with suppress(BrokenPipeError):  # the child has read enough; its answer says whether that was right
        while got := read_some(source, buffer):
            rest = buffer[:got]
            while len(rest):
                rest = rest[os.write(writing, rest) :]


def _collect(reading: int, sink: Sink, limit: int, code: str) -> None:
    buffer = memoryview(bytearray(_CHUNK))
    total = 0
    while got := os.readv(reading, [buffer]):
        total += got
        if total > limit:
            raise SandboxError(code, f"the work wrote more than the {limit} bytes it may")
        write_all(sink, buffer[:got])
