"""From whole source records to substituted ones, by the compiled kernel or its plain twin (``substitute.py``).

Reads are placed chunk by chunk, ahead by threads; places are put in order in one hand, at most those of the last
``MAX_CLIP`` bases waiting; records are made of them batch by batch, again by threads, from stretches of the reference.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator

from deid import native
from deid.reads import substitute
from deid.reads.engine import Rewrite, is_compiled, prepared
from deid.reads.errors import ReadsError
from deid.reads.layout import Chunk, Layout, Rewritten
from deid.reads.reference import Reference
from deid.reads.substitute import MAX_CLIP, Waiting

BATCH = 1 << 18
"""Bytes of records made at a time (about): what is made still lies in the cache where it is compressed."""
STRETCH = 1 << 14
"""Bases of the reference taken at a time, where one read does not need more."""
MOST_WAITING = 1 << 22
"""Places held at most, 128 MiB: sixty thousand reads deep over the whole of ``MAX_CLIP``."""
END = (1 << 63) - 1
HEAD = struct.Struct(">II14xI")

Take = Callable[[bytes, int, int], tuple[bytes, int]]


def placer(layout: Layout, *, compiled: bool | None = None) -> Rewrite:
    """What turns whole source records into places."""
    if not is_compiled(compiled):
        return lambda chunk: substitute.placed(layout, chunk)
    ready = prepared(layout)

    def place(chunk: Chunk) -> Rewritten:
        data, read, written, removed, fault, first, last = native._reads.place(ready, *chunk)
        return Rewritten(data=data, records=read, written=written, removed=removed, fault=fault, first=first, last=last)

    return place


def in_order(done: Iterable[Rewritten], *, compiled: bool | None = None) -> Iterator[bytes]:
    """The places in the order of where they stand and then of their names, in batches.

    Raises ``ReadsError`` (``too_deep``) where more than ``MOST_WAITING`` wait.
    """
    take = _take(compiled)
    for one in done:
        yield from _batches(take, one.data, max(0, one.last - MAX_CLIP - 1))
    yield from _batches(take, b"", END)


def _take(compiled: bool | None) -> Take:
    if not is_compiled(compiled):
        return Waiting().take
    room = native._reads.waiting()
    return lambda places, frontier, most: native._reads.take(room, places, frontier, most)


def _batches(take: Take, places: bytes, frontier: int) -> Iterator[bytes]:
    batch, waiting = take(places, frontier, BATCH)
    while batch:
        yield batch
        batch, waiting = take(b"", frontier, BATCH)
    if waiting > MOST_WAITING:
        raise ReadsError("too_deep", f"more than {MOST_WAITING} reads begin within {MAX_CLIP} bases of one contig")


def writer(layout: Layout, reference: Reference, *, compiled: bool | None = None) -> Callable[[bytes], bytes]:
    """What turns a batch of places into records."""
    ready = prepared(layout) if is_compiled(compiled) else None

    def write(places: bytes) -> bytes:
        out, at = [], 0
        while at < len(places):
            contig, start, length = HEAD.unpack_from(places, at)
            bases = stretch_of(layout, reference, contig, start, length)
            if ready is None:
                made, at = substitute.substituted(layout, places, at, (contig, bases, start))
            else:
                made, at = native._reads.substitute(ready, places, at, contig, bases, start)
            out.append(made)
        return b"".join(out)

    return write


def stretch_of(layout: Layout, reference: Reference, contig: int, start: int, length: int) -> bytes:
    """Bases of a contig from ``start`` on: at least ``length``, and some more for the reads behind."""
    end = min(layout.lengths[contig], start + max(length, STRETCH))
    return reference.bases(layout.contigs[contig], start, end)
