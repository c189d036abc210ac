"""What a finished view of reads holds, measured on its very bytes, for whoever judges whether it may leave.

The promise: nothing is taken from the plan that made the view. The header must be the one this room would write and
hold nothing beside it; each record is taken apart again, and what is found is counted: tags, FLAG bits, CIGAR
operations, levels of quality, names that are not ours. With a reference, every base is compared with it.
Not here: the judgement (the gate table), and whether a value of the source survived (``deid.leakcheck``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from deid import bgzf, native
from deid.reads.bases import bases_judge
from deid.reads.blocks import texts_of
from deid.reads.engine import chunks_of, is_compiled, prepared
from deid.reads.errors import FAULT, RECORD_ERRORS, ReadsError
from deid.reads.header import SourceHeader, header_text, read_header
from deid.reads.layout import Chunk, Layout
from deid.reads.names import LENGTH, LETTERS
from deid.reads.plan import TAGS, ReadsPlan, quality_table
from deid.reads.records import Fault, Record, operations_of, order_of, parse, split
from deid.reads.reference import Reference
from deid.reads.substitute import BASE_QUALITY, MAPPING_QUALITY, REVERSE
from deid.variants.stream import Workers

MATCH_ONLY = 1 << 0
TAG_BYTES = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsFound:
    """What a view holds. ``flags`` are all FLAG bits that occur, ``operations`` all CIGAR operations as bits.

    ``is_substituted``: every read has the one form that substituted reads have, and they are sorted by coordinate;
    ``bases_are_reference``: whether their bases are the reference's, None where no reference was given.
    """

    records: int
    participants: int
    tags: tuple[str, ...]
    quality_levels: int
    flags: int
    operations: int
    unplaced: int
    with_mates: int
    is_substituted: bool
    bases_are_reference: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Counts of one chunk, or of all; the fields in the order in which the kernel gives them."""

    fault: int = 0
    records: int = 0
    mates: int = 0
    odd_names: int = 0
    strangers: int = 0
    unplaced: int = 0
    most_operations: int = 0
    flags: int = 0
    operations: int = 0
    first: int = 0
    last: int = 0
    tags: int = 0
    qualities: int = 0
    mapping: int = 0

    def __add__(self, other: _Seen) -> _Seen:
        return _Seen(
            fault=self.fault or other.fault,
            records=self.records + other.records,
            mates=self.mates + other.mates,
            odd_names=self.odd_names + other.odd_names,
            strangers=self.strangers + other.strangers,
            unplaced=self.unplaced + other.unplaced,
            most_operations=max(self.most_operations, other.most_operations),
            flags=self.flags | other.flags,
            operations=self.operations | other.operations,
            first=self.first if self.records else other.first,
            last=other.last if other.records else self.last,
            tags=self.tags | other.tags,
            qualities=self.qualities | other.qualities,
            mapping=self.mapping | other.mapping,
        )


NUMBERS = (
    "fault", "records", "mates", "odd_names", "strangers", "unplaced", "most_operations", "flags", "operations",
    "first", "last",
)  # fmt: skip


def assess_view(
    core: BinaryIO, *, reference: Reference | None = None, threads: int = 1, compiled: bool | None = None
) -> ReadsFound:
    """What the BAM that this room wrote holds.

    Raises ``ReadsError``: ``unsorted`` where a read stands before the one in front of it and the header says that none
    does, ``not_ours`` where the header holds anything else than this room writes, a name is not of
    fourteen letters or a read is nobody's; and what reading finds (``truncated``, ``bad_tag``, ...).
    """
    workers = Workers(threads)
    try:
        header, rest, offset, pieces = _opened(core, workers, compiled)
        layout = _layout(header)
        chunks = chunks_of(rest, pieces, offset, compiled)
        look = _looker(layout, reference, compiled)
        seen, same = _Seen(), True
        for one, is_same in workers.over(look, chunks):
            if layout.sorted and seen.records and one.records and one.first < seen.last:
                raise ReadsError("unsorted", RECORD_ERRORS[FAULT["unsorted"]][1], record=seen.records + 1)
            seen, same = seen + one, same and is_same
            if seen.fault:
                code, sentence = RECORD_ERRORS[seen.fault]
                raise ReadsError(code, sentence, record=seen.records + 1)
    except bgzf.ContainerError as error:
        raise ReadsError(error.code, str(error)) from error
    finally:
        workers.close()
    if seen.odd_names or seen.strangers:
        raise ReadsError("not_ours", f"{seen.odd_names + seen.strangers} reads have no name or no group of ours")
    return _found(header, seen, None if reference is None else same)


def _found(header: SourceHeader, seen: _Seen, same: bool | None) -> ReadsFound:
    tags = tuple(sorted(_bits_to_tags(seen.tags)))
    return ReadsFound(
        records=seen.records,
        participants=len({group.sample for group in header.groups}),
        tags=tags,
        quality_levels=seen.qualities.bit_count(),
        flags=seen.flags,
        operations=seen.operations,
        unplaced=seen.unplaced,
        with_mates=seen.mates,
        is_substituted=(
            header.sorted
            and set(tags) <= {"RG"}
            and not seen.flags & ~REVERSE
            and not seen.operations & ~MATCH_ONLY
            and seen.most_operations <= 1
            and not seen.mates
            and not seen.unplaced
            and not seen.qualities & ~(1 << BASE_QUALITY)
            and not seen.mapping & ~(1 << MAPPING_QUALITY)
        ),
        bases_are_reference=same,
    )


def _opened(
    core: BinaryIO, workers: Workers, compiled: bool | None
) -> tuple[SourceHeader, bytes, int, Iterator[bytes]]:
    incoming = bgzf.Incoming(core)
    if not bgzf.is_bgzf(incoming.peek(18)):
        raise ReadsError("not_bam", "the view is no BAM")
    pieces = texts_of(incoming, workers, compiled)
    header, data, end = read_header(pieces)
    groups = [(group.name, group.sample, group.platform) for group in header.groups]
    size = int.from_bytes(data[4:8], "little")
    if data[8 : 8 + size] != header_text(header, groups, is_sorted=header.sorted):
        raise ReadsError("not_ours", "the header of the view holds something that this room does not write")
    return header, data[end:], end, pieces


def _layout(header: SourceHeader) -> Layout:
    names = tuple(group.name for group in header.groups)
    return Layout(
        plan=ReadsPlan(tags=TAGS, quality="keep", drop_flags=0),
        key=bytes(16),
        quality=quality_table("keep"),
        groups=names,
        codes=names,
        default_group=-1,
        contigs=tuple(contig.name for contig in header.contigs),
        lengths=tuple(contig.length for contig in header.contigs),
        region=None,
        sorted=header.sorted,
    )


def _looker(
    layout: Layout, reference: Reference | None, compiled: bool | None
) -> Callable[[Chunk], tuple[_Seen, bool]]:
    survey: Callable[[Chunk], _Seen] = lambda chunk: look(layout, chunk)  # noqa: E731
    if is_compiled(compiled):
        ready = prepared(layout)
        survey = lambda chunk: _unpacked(native._reads.survey(ready, *chunk))  # noqa: E731

    judge = None if reference is None else bases_judge(layout, reference, compiled=compiled)

    def both(chunk: Chunk) -> tuple[_Seen, bool]:
        seen = survey(chunk)
        return seen, judge is None or bool(seen.fault) or judge(chunk)

    return both


def _unpacked(found: tuple[Sequence[int], bytes, bytes, bytes]) -> _Seen:
    numbers: dict[str, Any] = dict(zip(NUMBERS, found[0], strict=True))
    tags = int.from_bytes(found[1], "little")
    return _Seen(**numbers, tags=tags, qualities=_bits(found[2]), mapping=_bits(found[3]))


def _bits(marks: bytes) -> int:
    return sum(1 << value for value, mark in enumerate(marks) if mark)


def _bits_to_tags(bits: int) -> Iterator[str]:
    for number in range(8 * TAG_BYTES if bits else 0):
        if bits >> number & 1:
            yield number.to_bytes(2, "little").decode("latin-1")


def look(layout: Layout, chunk: Chunk) -> _Seen:
    """The kernel's twin: what one chunk of whole records holds, up to the first that cannot be read."""
    seen = _Seen()
    try:
        for body in split(chunk.records):
            one = _of_record(parse(layout, body))
            if layout.sorted and seen.records and one.first < seen.last:
                raise Fault("unsorted")
            seen += one
    except Fault as found:
        seen += _Seen(fault=FAULT[found.code])
    return seen


def _of_record(record: Record) -> _Seen:
    contig, position, _, mapping, _, count, flag, _, mate, mate_position, template = record.fixed
    operations = 0
    for operation, _ in operations_of(record.cigar):
        operations |= 1 << operation
    return _Seen(
        records=1,
        mates=mate >= 0 or mate_position >= 0 or template != 0,
        odd_names=len(record.name) != LENGTH or not set(record.name) <= set(LETTERS),
        strangers=record.group < 0,
        unplaced=contig < 0 or position < 0,
        most_operations=count,
        flags=flag,
        operations=operations,
        first=order_of(record),
        last=order_of(record),
        tags=sum(1 << int.from_bytes(name, "little") for name in {name for name, _ in record.tags}),
        qualities=sum(1 << value for value in set(record.quality)),
        mapping=1 << mapping,
    )
