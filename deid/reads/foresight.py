"""Which names touch the mask, found without reading the whole file: a guess that the second reading proves or refuses.

In a file sorted by coordinate the reads that touch a masked stretch stand near it, unless one reaches further than
``REACH`` by its clips, deletions or introns. So the blocks around each stretch are found by halving and read, and no
others. The view made on such a guess stops at the first read that touches the mask and was not foreseen, and is made
again after reading everything: what is written never depends on the guess. Compiled only: the twin reads everything.
Not here: what becomes of a read.
"""

from __future__ import annotations

import io
import struct
from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

from deid import bgzf, native
from deid.reads.blocks import texts_of
from deid.reads.engine import chunks_of, rewriter
from deid.reads.errors import ReadsError
from deid.reads.layout import Layout
from deid.reads.records import LAST
from deid.variants.stream import Workers

REACH = 4096
"""Bases: further than short reads and their clips go, far less than lies in a few blocks of a whole genome."""
WINDOW = 1 << 17
"""Bytes that hold one whole block wherever they begin: two of the largest."""
WORTH = 1 << 19
"""Bytes of file per masked stretch below which reading all of it costs no more than searching."""
PLACE = struct.Struct("<ii")


def foreseen(source: BinaryIO, layout: Layout) -> list[int] | None:
    """The first hash words of names near the mask that touch it, sorted by no order; None where nothing can be guessed.

    ``source`` is left anywhere. Nothing found here is believed: whatever is odd is left to the reading that proves.
    """
    size = source.seek(0, io.SEEK_END)
    stretches = list(_stretches(layout))
    if not layout.sorted or not native.has_reads or not bgzf.has_kernel or len(stretches) * WORTH > size:
        return None
    words = array("Q")
    collect = rewriter(layout, compiled=True, collect=True)
    try:
        for first, last in stretches:
            begin = _halved(source, size, layout, first)
            if begin is None:
                return None
            source.seek(begin)
            pieces = texts_of(bgzf.Incoming(source), Workers(1))
            for chunk in chunks_of(b"", pieces, 0, True):
                found = collect(chunk)
                words.frombytes(found.data)
                if found.fault or found.last > last:
                    break
    except (bgzf.ContainerError, ReadsError):
        return None  # the reading that proves will say what is wrong, and where
    return words.tolist()


def _stretches(layout: Layout) -> Iterator[tuple[int, int]]:
    """Where to begin and to end for each masked stretch, in coordinate order; near ones are one."""
    found: list[tuple[int, int]] = []
    for number, contig in enumerate(layout.contigs):
        starts, ends = layout.plan.mask.starts.get(contig, ()), layout.plan.mask.ends.get(contig, ())
        for start, end in zip(starts, ends, strict=True):
            high = number << 32
            found.append((high | max(0, start - REACH), high | min(end, LAST - REACH - 1) + REACH))
    joined = [found[0]] if found else []
    for (_, before), (first, last) in pairwise(found):
        if first <= before:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    yield from joined


def _halved(source: BinaryIO, size: int, layout: Layout, wanted: int) -> int | None:
    """The byte of a block that begins with a read in front of ``wanted``, as late as may be; None for no such block."""
    low, high, best = 0, size, None
    while high - low > WINDOW // 2:
        middle = (low + high) // 2
        found = _block_from(source, middle, layout)
        if found is None or found[1] >= wanted:
            high = middle
        else:
            best = found[0]
            low = max(found[0], middle)
    return best


def _block_from(source: BinaryIO, at: int, layout: Layout) -> tuple[int, int] | None:
    """The first block from a byte on that begins with a whole record: its byte, and that record's place."""
    source.seek(at)
    data = source.read(WINDOW)
    begin = data.find(bgzf.PREFIX[:4])
    while begin >= 0:
        end, _, size, bad = native._bgzf.scan(data, begin, 1)
        if not bad and end > begin and bgzf.is_bgzf(data[begin : begin + 18]):
            text = native._bgzf.inflate(data, begin, end, size)
            order = None if isinstance(text, int) else _order(text, layout)
            return None if order is None else (at + begin, order)
        begin = data.find(bgzf.PREFIX[:4], begin + 1)
    return None


def _order(text: bytes, layout: Layout) -> int | None:
    """The place of the record that a block begins with; None where it does not begin with one."""
    end, bad = native._reads.whole(text, 0)
    if bad or not end or end < PLACE.size:
        return None
    contig: int
    position: int
    contig, position = PLACE.unpack_from(text, 4)
    if not -1 <= contig < len(layout.contigs) or position < -1:
        return None
    return (LAST if contig < 0 else contig) << 32 | position + 1
