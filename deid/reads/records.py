"""BAM records rewritten in plain Python: the twin that defines what ``native/reads.c`` must do, byte for byte.

The order for one record: prove every length, find the read group, ask whether it leaves, then write fixed fields,
new name, CIGAR, bases, binned qualities and the tags kept. SAM specification sections 1.4 and 4.2; tags: SAMtags.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from deid.reads.errors import FAULT
from deid.reads.layout import REASONS, Layout, Rewritten
from deid.reads.names import LENGTH, new_name, siphash128
from deid.reads.plan import ABSENT, BAD
from deid.variants.regions import Regions

FIXED = struct.Struct("<iiBBHHHiiii")
LEAST_RECORD, MAX_RECORD = 32, 1 << 25
MAX_TAGS = 64
LAST = (1 << 31) - 1
QUERY, REFERENCE, CLIPS = frozenset({0, 1, 4, 7, 8}), frozenset({0, 2, 3, 7, 8}), frozenset({4, 5})
SIZES = {65: 1, 99: 1, 67: 1, 115: 2, 83: 2, 105: 4, 73: 4, 102: 4}  # A c C s S i I f
TEXTS = {b"MD": b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^", b"MC": b"0123456789MIDNSHP=X*"}
PAIRED, PROPER, UNMAPPED, MATE_UNMAPPED, MATE_REVERSE = 1, 2, 4, 8, 32
MATE_TAGS = (b"MC", b"MQ")
LEVELS = ((14, 15), (17, 12), (20, 9), (23, 6), (26, 3))


class Fault(Exception):
    """One record cannot be read; ``code`` is a key of ``RECORD_ERRORS``."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True, kw_only=True)
class Record:
    """One record taken apart; ``span`` covers the aligned bases, ``reach`` the clipped ones too (as BED counts)."""

    fixed: tuple[int, ...]
    name: bytes
    cigar: bytes
    sequence: bytes
    quality: bytes
    tags: list[tuple[bytes, bytes]]
    span: tuple[int, int]
    reach: tuple[int, int]
    long_cigar: bool
    group: int = -1

    @property
    def flag(self) -> int:
        """SAM FLAG."""
        return self.fixed[6]


def whole(text: bytes | bytearray, start: int = 0) -> tuple[int, int]:
    """Where the whole records from ``start`` on end, and 1 where the next length is absurd."""
    at = start
    while len(text) - at >= 4:
        size = int.from_bytes(text[at : at + 4], "little")
        if not LEAST_RECORD <= size <= MAX_RECORD:
            return at, 1
        if size > len(text) - at - 4:
            break
        at += 4 + size
    return at, 0


def split(chunk: bytes) -> Iterator[bytes]:
    """Each record without its length. Raises ``Fault`` where one does not fit."""
    at = 0
    while len(chunk) - at >= 4:
        size = int.from_bytes(chunk[at : at + 4], "little")
        if not LEAST_RECORD <= size <= MAX_RECORD or size > len(chunk) - at - 4:
            raise Fault("bad_length")
        yield chunk[at + 4 : at + 4 + size]
        at += 4 + size


def rewrite(layout: Layout, chunk: bytes, collect: bool = False) -> Rewritten:
    """Rewrite whole records, or collect the first hash word of every name that touches the mask."""
    out: list[bytes] = []
    removed = dict.fromkeys(REASONS, 0)
    records = first = last = fault = 0
    try:
        for body in split(chunk):
            record = parse(layout, body, tagged=not collect)
            order = order_of(record)
            if layout.sorted and records and order < last:
                raise Fault("unsorted")
            words = siphash128(layout.key, record.name)
            if layout.is_guess and not collect and touches(layout, record) and not layout.is_hidden(words[0]):
                raise Fault("unforeseen")
            reason = "" if collect else _reason(layout, record, words[0])
            if collect:
                out += [struct.pack("<Q", words[0])] if touches(layout, record) else []
            elif reason:
                removed[reason] += 1
            else:
                out.append(_write(layout, record, words))
            first, last = order if not records else first, order
            records += 1
    except Fault as found:
        fault = FAULT[found.code]
    counts = tuple(removed[reason] for reason in REASONS)
    written = 0 if collect else len(out)
    return Rewritten(
        data=b"".join(out), records=records, written=written, removed=counts, fault=fault, first=first, last=last
    )


def order_of(record: Record) -> int:
    """Coordinate order; unplaced reads stand last."""
    contig = LAST if record.fixed[0] < 0 else record.fixed[0]
    return contig << 32 | record.fixed[1] + 1


def parse(layout: Layout, body: bytes, tagged: bool = True) -> Record:
    """Take a record apart with every length proven, its tags if ``tagged``. Raises ``Fault``."""
    fixed = FIXED.unpack_from(body)
    contig, position, long, _, _, operations, _, length, mate_contig, mate_position, _ = fixed
    if length < 0 or long < 1:
        raise Fault("bad_length")
    cigar_at = 32 + long
    sequence_at = cigar_at + 4 * operations
    quality_at = sequence_at + (length + 1) // 2
    if quality_at + length > len(body):
        raise Fault("bad_length")
    name = body[32 : cigar_at - 1]
    if long < 2 or body[cigar_at - 1] or not all(33 <= letter <= 126 for letter in name):
        raise Fault("bad_name")
    if not -1 <= contig < len(layout.contigs) or not -1 <= mate_contig < len(layout.contigs):
        raise Fault("bad_contig")
    if position < -1 or mate_position < -1:
        raise Fault("bad_position")
    cigar = body[cigar_at:sequence_at]
    span, reach, long_cigar = _cigar(cigar, fixed)
    record = Record(
        fixed=fixed,
        name=name,
        cigar=cigar,
        sequence=body[sequence_at:quality_at],
        quality=body[quality_at : quality_at + length],
        tags=list(_tags(body, quality_at + length)) if tagged else [],
        span=span,
        reach=reach,
        long_cigar=long_cigar,
    )
    record.group = _group(layout, record)
    return record


def operations_of(cigar: bytes) -> list[tuple[int, int]]:
    """Operation and length of each CIGAR word (section 4.2)."""
    return [(word & 15, word >> 4) for word in struct.unpack(f"<{len(cigar) // 4}I", cigar)]


def _cigar(cigar: bytes, fixed: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int], bool]:
    position, flag, length = fixed[1], fixed[6], fixed[7]
    read = aligned = before = after = 0
    operations = operations_of(cigar)
    for operation, size in operations:
        if operation > 8:
            raise Fault("bad_cigar")
        read += size if operation in QUERY else 0
        aligned += size if operation in REFERENCE else 0
        if operation in CLIPS:
            before, after = (before, after + size) if aligned else (before + size, after)
    if operations and length and read != length:
        raise Fault("bad_cigar")
    long_cigar = len(operations) == 2 and operations[0] == (4, length) and operations[1][0] == 3
    if position < 0:
        return (0, 0), (0, 0), long_cigar
    end = position + (aligned if aligned and not flag & UNMAPPED else 1)
    if end > LAST:
        raise Fault("bad_position")
    return (position, end), (max(0, position - before), end + after), long_cigar


def _tags(body: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """Name and whole bytes of each tag."""
    while at < len(body):
        size = _tag_size(body, at)
        if not size:
            raise Fault("bad_tag")
        yield body[at : at + 2], body[at : at + size]
        at += size


def _tag_size(body: bytes, at: int) -> int:
    left = len(body) - at
    if left < 4:
        return 0
    kind = body[at + 2]
    if kind in b"ZH":
        stop = body.find(b"\0", at + 3)
        return stop - at + 1 if stop >= 0 else 0
    if kind == ord("B"):
        each = SIZES.get(body[at + 3], 0) if left >= 8 and body[at + 3] != ord("A") else 0
        size = 8 + int.from_bytes(body[at + 4 : at + 8], "little") * each
        return size if each and size <= left else 0
    size = 3 + SIZES[kind] if kind in SIZES else 0
    return size if size <= left else 0


def _group(layout: Layout, record: Record) -> int:
    named = [tag for name, tag in record.tags if name == b"RG"]
    if not named:
        return layout.default_group
    if len(named) > 1 or named[0][2] != ord("Z"):
        raise Fault("bad_tag")
    group = named[0][3:-1]
    return layout.groups.index(group) if group in layout.groups else -1


def touches(layout: Layout, record: Record) -> bool:
    """Whether the read, clipped parts included, touches the mask outside the panel."""
    if record.fixed[0] < 0 or record.fixed[1] < 0:
        return False
    contig = layout.contigs[record.fixed[0]]
    if not layout.plan.mask.overlaps(contig, *record.reach):
        return False
    return not (layout.plan.mask_except and layout.plan.panel.contains(contig, *record.reach))


def _in(region: Regions, layout: Layout, contig: int, start: int, end: int) -> bool:
    return contig >= 0 and start >= 0 and region.overlaps(layout.contigs[contig], start, end)


def _reason(layout: Layout, record: Record, word: int) -> str:
    if record.flag & layout.plan.drop_flags:
        return "flag"
    if touches(layout, record) or layout.is_hidden(word):
        return "masked"
    if record.group < 0 or not layout.codes[record.group]:
        return "not_permitted"
    if layout.region is not None:
        contig, position = record.fixed[:2]
        if position < 0 or not _in(layout.region, layout, contig, *record.span):
            return "outside_region"
    return ""


def bin_of(start: int, end: int) -> int:
    """BAM's bin (section 5.3)."""
    for shift, bits in LEVELS:
        if start >> shift == end - 1 >> shift:
            return ((1 << bits) - 1) // 7 + (start >> shift)
    return 0


def _write(layout: Layout, record: Record, words: tuple[int, int]) -> bytes:
    contig, position, _, quality, _, operations, flag, length, mate_contig, mate_position, template = record.fixed
    flag &= 0xFFF
    mate = mate_contig, mate_position, template
    mate_hidden = layout.region is not None and not _in(
        layout.region, layout, mate_contig, mate_position, mate_position + 1
    )
    if mate_hidden:
        mate = -1, -1, 0
        if flag & PAIRED:
            flag = flag & ~(PROPER | MATE_REVERSE) | MATE_UNMAPPED
    bin_ = (4680 if position < 0 else bin_of(*record.span)) & 0xFFFF
    head = FIXED.pack(contig, position, LENGTH + 1, quality, bin_, operations, flag, length, *mate)
    body = [head, new_name(words), b"\0", record.cigar, _bases(record, length)]
    body += [_qualities(layout, record), *_kept(layout, record, mate_hidden)]
    written = b"".join(body)
    return struct.pack("<I", len(written)) + written


def _bases(record: Record, length: int) -> bytes:
    """The last half byte of an odd sequence is nobody's base."""
    if length % 2 == 0:
        return record.sequence
    return record.sequence[:-1] + bytes([record.sequence[-1] & 0xF0])


def _qualities(layout: Layout, record: Record) -> bytes:
    made = record.quality.translate(layout.quality)
    if BAD in made:
        raise Fault("bad_quality")
    if made and made[0] == ABSENT:
        return bytes([ABSENT]) * len(made)
    if ABSENT in made:
        raise Fault("bad_quality")
    return made


def _kept(layout: Layout, record: Record, mate_hidden: bool) -> Iterator[bytes]:
    wanted = {tag.encode() for tag in layout.plan.tags}
    group = b"RGZ" + layout.codes[record.group] + b"\0" if b"RG" in wanted else b""
    seen: set[bytes] = set()
    for name, tag in record.tags:
        if name == b"RG":
            yield group
        elif record.long_cigar and tag[:4] == b"CGBI":
            yield tag
        elif name in wanted and not (mate_hidden and name in MATE_TAGS):
            if name in seen or len(seen) == MAX_TAGS or not _is_kept_value(name, tag):
                raise Fault("bad_tag")
            seen.add(name)
            yield tag
    if not any(name == b"RG" for name, _ in record.tags):
        yield group


def _is_kept_value(name: bytes, tag: bytes) -> bool:
    """A text that is kept holds only what its tag can hold: a tag is no room for a note."""
    kind = tag[2:3]
    if kind == b"Z":
        return name in TEXTS and set(tag[3:-1]) <= set(TEXTS[name])
    if kind == b"A":
        return tag[3:] in (b"+", b"-")
    return kind not in (b"H", b"B", b"f")
