"""Reads whose bases are the reference's: for coverage and expression, and for nothing else.

The promise: what is written of a read is where it would begin were it not clipped, its strand, its length, its read
group and a name that even its mate does not share. Bases come from the reference, the CIGAR is one match, qualities and
mapping quality are constants, mates and template length are absent, so that substitutions, indels, clips, insert
sizes and unmapped reads give no variant back. Reads of equal place are put in the order of their new names.
What remains: depth, from which large deletions and copy numbers can be told (Harmanci and Gerstein 2018), and which
reads could be mapped at all. A fragment counts as two reads. Spliced reads are left out: a skipped stretch would show
a deletion as well as an intron.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace

from deid.reads.errors import FAULT
from deid.reads.layout import REASONS, Chunk, Layout, Rewritten
from deid.reads.names import LENGTH, new_name, siphash128
from deid.reads.records import (
    CLIPS,
    FIXED,
    QUERY,
    Fault,
    Record,
    bin_of,
    operations_of,
    order_of,
    parse,
    split,
    touches,
)
from deid.reads.reference import Reference

MAX_CLIP = 10_000
MAPPING_QUALITY, BASE_QUALITY = 60, 30
REVERSE, READ_2 = 0x10, 0x80
DROPPED = 0x4 | 0x100 | 0x200 | 0x400 | 0x800
SKIP = 3
NIBBLE = bytes({65: 1, 67: 2, 71: 4, 84: 8}.get(letter, 15) for letter in range(256))


def substitute(layout: Layout, reference: Reference, chunk: Chunk) -> Rewritten:
    """Whole source records to substituted ones, in the source's order."""
    out: list[bytes] = []
    removed = dict.fromkeys(REASONS, 0)
    records = first = last = fault = 0
    try:
        for body in split(chunk.records):
            record = parse(layout, body)
            order = order_of(record)
            if records and order < last:
                raise Fault("unsorted")
            made = _one(layout, reference, record)
            if made in removed:
                removed[str(made)] += 1
            else:
                out.append(bytes(made))  # type: ignore[arg-type]
            first, last = order if not records else first, order
            records += 1
    except Fault as found:
        fault = FAULT[found.code]
    return Rewritten(
        data=b"".join(out),
        records=records,
        written=len(out),
        removed=tuple(removed.values()),
        fault=fault,
        first=first,
        last=last,
    )


def _one(layout: Layout, reference: Reference, record: Record) -> bytes | str:
    """The record to write, or the reason why there is none."""
    if record.flag & DROPPED or record.fixed[0] < 0 or record.fixed[1] < 0:
        return "flag"
    if touches(layout, record) or layout.is_hidden(siphash128(layout.key, record.name)[0]):
        return "masked"
    if record.group < 0 or not layout.codes[record.group]:
        return "not_permitted"
    operations = operations_of(record.cigar)
    length = sum(size for operation, size in operations if operation in QUERY or operation == 5)
    contig_length = layout.lengths[record.fixed[0]]
    if record.fixed[1] - record.reach[0] > MAX_CLIP or not 0 < length <= contig_length or _is_spliced(operations):
        return "no_substitute"
    start = min(_unclipped(record, operations), contig_length - length)
    if start < 0:
        start = 0
    contig = layout.contigs[record.fixed[0]]
    if layout.region is not None and not layout.region.overlaps(contig, start, start + length):
        return "outside_region"
    return _written(layout, record, start, reference.bases(contig, start, start + length))


def _is_spliced(operations: list[tuple[int, int]]) -> bool:
    return any(operation == SKIP for operation, _ in operations)


def _unclipped(record: Record, operations: list[tuple[int, int]]) -> int:
    start = record.fixed[1]
    for operation, size in operations:
        if operation not in CLIPS:
            break
        start -= size
    return start


def _written(layout: Layout, record: Record, start: int, bases: bytes) -> bytes:
    length = len(bases)
    words = siphash128(layout.key, record.name + (b"/2" if record.flag & READ_2 else b"/1"))
    bin_ = bin_of(start, start + length) & 0xFFFF
    flag = record.flag & REVERSE
    fixed = (record.fixed[0], start, LENGTH + 1, MAPPING_QUALITY, bin_, 1, flag, length, -1, -1, 0)
    codes = bases.translate(NIBBLE) + b"\0" * (length % 2)
    packed = bytes(high << 4 | low for high, low in zip(codes[::2], codes[1::2], strict=True))
    parts = [FIXED.pack(*fixed), new_name(words), b"\0", struct.pack("<I", length << 4), packed]
    parts += [bytes([BASE_QUALITY]) * length, b"RGZ" + layout.codes[record.group] + b"\0"]
    body = b"".join(parts)
    return struct.pack("<I", len(body)) + body


def resorted(done: Iterable[Rewritten]) -> Iterator[Rewritten]:
    """The same reads by their new places; at most those of the last ``MAX_CLIP`` bases are held."""
    waiting: list[tuple[int, bytes, bytes]] = []
    for one in done:
        for body in split(one.data):
            contig, position = struct.unpack_from("<ii", body)
            heapq.heappush(waiting, (contig << 32 | position + 1, body[32 : 32 + LENGTH], body))
        yield replace(one, data=_popped(waiting, one.last - MAX_CLIP))
    yield Rewritten(data=_popped(waiting, 1 << 63), records=0, written=0, removed=(), fault=0, first=0, last=0)


def _popped(waiting: list[tuple[int, bytes, bytes]], frontier: int) -> bytes:
    out = []
    while waiting and waiting[0][0] < frontier:
        body = heapq.heappop(waiting)[2]
        out.append(struct.pack("<I", len(body)) + body)
    return b"".join(out)
