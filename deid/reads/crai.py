"""The index of a CRAM of ours, worked out from its containers as they are written: no file is read again.

The promise: one line for each slice, as ``samtools index`` writes it (CRAM specification section 12): contig number,
first base, span, where its container begins, where the slice begins in it, and how long it is. Numbers of this file and
nothing else. Each container is proven on the way. Not here: slices that hold reads of several contigs, which htslib is
told not to write; one that does is refused.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Protocol, cast

from deid.bgzf import Incoming
from deid.reads.cram_check import Numbers, proven_containers, slice_text
from deid.reads.errors import ReadsError

SEVERAL = -2
"""What stands for the contig where a slice holds reads of more than one (section 8.5)."""


class Sink(Protocol):
    """Where the finished index goes."""

    def write(self, data: bytes, /) -> int: ...


class _Flow:
    """Pieces as a file that can be read once."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def read(self, size: int) -> memoryview:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return memoryview(b"")
            self._rest = memoryview(piece)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def indexed(pieces: Iterable[bytes], sink: Sink) -> Iterator[bytes]:
    """``pieces`` of a CRAM, container by container; its index is written to ``sink`` once the last one was taken.

    Raises ``ReadsError``: what ``proven_containers`` finds, and ``bad_cram`` where a slice holds several contigs.
    """
    lines: list[str] = []
    at = 0
    for number, container in enumerate(proven_containers(Incoming(cast("Any", _Flow(pieces))))):
        yield container
        if number > 1:  # the file definition and the header hold no reads
            lines += _lines(container, at)
        at += len(container)
    sink.write(gzip.compress("".join(lines).encode("ascii"), mtime=0))


def _lines(container: bytes, at: int) -> Iterator[str]:
    numbers = Numbers(container)
    numbers.take(4)
    for _ in range(4):
        numbers.itf8()
    numbers.ltf8(), numbers.ltf8(), numbers.itf8()
    begins = [numbers.itf8() for _ in range(numbers.itf8())]
    numbers.take(4)
    body = container[numbers.at :]
    for begin, end in pairwise([*begins, len(body)]):
        found = Numbers(slice_text(body[begin:end], at))
        contig, first, span = found.itf8(), found.itf8(), found.itf8()
        if contig == SEVERAL:
            raise ReadsError("bad_cram", f"a slice of the CRAM container made at byte {at} holds several contigs")
        yield f"{contig}\t{first}\t{span}\t{at}\t{begin}\t{end - begin}\n"
