"""Reads whose bases are the reference's: for coverage and expression, and for nothing else.

The promise: what is written of a read is where it would begin were it not clipped, its strand, its length, its read
group and a name that even its mate does not share. Bases come from the reference, the CIGAR is one match, qualities and
mapping quality are constants, mates and template length are absent, so that substitutions, indels, clips, insert
sizes and unmapped reads give no variant back. Reads of equal place are put in the order of their new names.
What remains: depth, from which large deletions and copy numbers can be told (Harmanci and Gerstein 2018), and which
reads could be mapped at all. A fragment counts as two reads. Spliced reads are left out: a skipped stretch would show
a deletion as well as an intron.

The order: a place for each read, the places in order, and only then the records, so that what waits for its turn
is 32 bytes a read. This is the plain twin of ``native/reads_places.c``, ``reads_waiting.c`` and ``reads_bases.c``;
which of the two does the work is settled in ``places.py``.
"""

from __future__ import annotations

import heapq
import struct

from deid.reads.errors import FAULT
from deid.reads.layout import REASONS, Chunk, Layout, Rewritten
from deid.reads.names import LENGTH, new_name, siphash128
from deid.reads.records import (
    CLIPS,
    FIXED,
    MAX_RECORD,
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

MAX_CLIP = 10_000
"""How far from its place a read may begin, and how many of its bases may be claimed without standing in the file."""
LONGEST = 1 << 23
"""Bases of a read; the longest ever sequenced has half of that."""
MAPPING_QUALITY, BASE_QUALITY = 60, 30
REVERSE, READ_2 = 0x10, 0x80
DROPPED = 0x4 | 0x100 | 0x200 | 0x400 | 0x800
SKIP, HARD = 3, 5
DIGIT = bytes({65: b"1", 67: b"2", 71: b"4", 84: b"8"}.get(letter, b"f")[0] for letter in range(256))
PLACE = struct.Struct(">II14sIBxI")
"""Contig, start, new name, length, strand and read group: the order of these bytes is the order of the reads."""


def placed(layout: Layout, chunk: Chunk) -> Rewritten:
    """The places (``PLACE``) of whole source records, in the source's order."""
    out: list[bytes] = []
    removed = dict.fromkeys(REASONS, 0)
    records = first = last = fault = 0
    try:
        for body in split(chunk.records):
            record = parse(layout, body)
            order = order_of(record)
            if records and order < last:
                raise Fault("unsorted")
            made = _place(layout, record)
            if isinstance(made, bytes):
                out.append(made)
            else:
                removed[made] += 1
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


def _place(layout: Layout, record: Record) -> bytes | str:
    """The place of a read, or the reason why it has none."""
    if record.flag & DROPPED or record.fixed[0] < 0 or record.fixed[1] < 0:
        return "flag"
    if touches(layout, record) or layout.is_hidden(siphash128(layout.key, record.name)[0]):
        return "masked"
    if record.group < 0 or not layout.codes[record.group]:
        return "not_permitted"
    start, length = _stands(layout, record)
    if not length:
        return "no_substitute"
    contig = record.fixed[0]
    if layout.region is not None and not layout.region.overlaps(layout.contigs[contig], start, start + length):
        return "outside_region"
    name = new_name(siphash128(layout.key, record.name + (b"/2" if record.flag & READ_2 else b"/1")))
    return PLACE.pack(contig, start, name, length, record.flag & REVERSE, record.group)


def _stands(layout: Layout, record: Record) -> tuple[int, int]:
    """Where the read would lie were it not clipped, start and length; no length where nothing can stand for it."""
    operations, position, most = operations_of(record.cigar), record.fixed[1], layout.lengths[record.fixed[0]]
    length = sum(size for operation, size in operations if operation in QUERY or operation == HARD)
    if any(operation == SKIP for operation, _ in operations):
        return 0, 0
    if not 0 < length <= min(most, LONGEST, record.fixed[7] + MAX_CLIP) or position - record.reach[0] > MAX_CLIP:
        return 0, 0
    # A read is anchored where its sequencing began: at the other end an indel would show as a shift.
    start = record.reach[1] - length if record.flag & REVERSE else _unclipped(record, operations)
    start = max(0, min(start, most - length))
    return (start, length) if abs(position - start) <= MAX_CLIP else (0, 0)


def _unclipped(record: Record, operations: list[tuple[int, int]]) -> int:
    start = record.fixed[1]
    for operation, size in operations:
        if operation not in CLIPS:
            break
        start -= size
    return start


class Waiting:
    """Places that wait for their turn."""

    def __init__(self) -> None:
        self._heap: list[bytes] = []

    def take(self, places: bytes, frontier: int, most: int) -> tuple[bytes, int]:
        """Add ``places``; those before the frontier (contig << 32 | start) in order, until their records would be
        ``most`` bytes, about, and how many wait."""
        for at in range(0, len(places), PLACE.size):
            heapq.heappush(self._heap, places[at : at + PLACE.size])
        end, out = frontier.to_bytes(8, "big"), []
        while self._heap and self._heap[0] < end and most > 0:
            out.append(heapq.heappop(self._heap))
            length = PLACE.unpack(out[-1])[3]
            most -= 64 + length + length // 2
        return b"".join(out), len(self._heap)


def substituted(layout: Layout, places: bytes, at: int, stretch: tuple[int, bytes, int]) -> tuple[bytes, int]:
    """Records of the places from ``at`` on, and where the first begins that is not in the ``stretch``: a contig, bases
    of it, and where they start. Raises ``ValueError`` where already the first is not."""
    contig, bases, first = stretch
    out, stop = [], at
    while stop < len(places):
        there, start, name, length, strand, group = PLACE.unpack_from(places, stop)
        lies_in = there == contig and start >= first and start + length <= first + len(bases)
        if not lies_in or not 0 < length < MAX_RECORD or group >= len(layout.codes):
            break
        here = bases[start - first : start - first + length]
        bin_ = bin_of(start, start + length) & 0xFFFF
        fixed = (contig, start, LENGTH + 1, MAPPING_QUALITY, bin_, 1, strand, length, -1, -1, 0)
        out.append(_record(fixed, name, here, layout.codes[group]))
        stop += PLACE.size
    if stop == at and at < len(places):
        raise ValueError("the first place is not in the stretch")
    return b"".join(out), stop


def _record(fixed: tuple[int, ...], name: bytes, bases: bytes, code: bytes) -> bytes:
    length = len(bases)
    parts = [FIXED.pack(*fixed), name, b"\0", struct.pack("<I", length << 4), packed(bases)]
    body = b"".join([*parts, bytes([BASE_QUALITY]) * length, b"RGZ" + code + b"\0"])
    return struct.pack("<I", len(body)) + body


def packed(bases: bytes) -> bytes:
    """Two bases to a byte (SAM specification section 4.2.3); what is none of the four letters is N."""
    return bytes.fromhex((bases.translate(DIGIT) + b"0" * (len(bases) % 2)).decode("ascii"))
