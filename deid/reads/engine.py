"""Two engines for one job: the compiled kernel and plain Python. The bytes are the same; only the time differs."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain

from deid import native
from deid.reads import records
from deid.reads.errors import ReadsError
from deid.reads.layout import Chunk, Layout, Rewritten
from deid.reads.records import LEAST_RECORD, MAX_RECORD
from deid.variants.regions import Regions

Rewrite = Callable[[Chunk], Rewritten]


def is_compiled(compiled: bool | None) -> bool:
    """Whether to use the kernel: as asked, or where it is there. Asked for and absent: ``ReadsError``."""
    if compiled and not native.has_reads:
        raise ReadsError("no_kernel", "the compiled kernel was asked for and is not installed")
    return native.has_reads if compiled is None else compiled


def rewriter(layout: Layout, *, compiled: bool | None = None, collect: bool = False) -> Rewrite:
    """What turns whole source records into ours, or (``collect``) into the hash words of names that touch the mask."""
    if not is_compiled(compiled):
        return lambda chunk: records.rewrite(layout, chunk.records, collect)
    ready = prepared(layout)

    def rewrite(chunk: Chunk) -> Rewritten:
        data, read, written, removed, fault, first, last = native._reads.rewrite(ready, *chunk, collect)
        return Rewritten(data=data, records=read, written=written, removed=removed, fault=fault, first=first, last=last)

    return rewrite


def prepared(layout: Layout) -> object:
    """The layout as the kernel keeps it."""
    return native._reads.prepare(_packed(layout))


def chunks_of(rest: bytes, pieces: Iterable[bytes], offset: int, compiled: bool | None) -> Iterator[Chunk]:
    """Text in pieces as chunks of whole records; ``offset`` counts decompressed bytes for the error's sake.

    Raises ``ReadsError``: ``bad_length``, ``truncated``.
    """
    whole = native._reads.whole if is_compiled(compiled) else records.whole
    head = bytearray()
    for piece in chain((rest,), pieces):
        start = _missing(head, piece, offset) if head else 0
        head += piece[:start]
        if head and whole(head, 0)[0] < len(head):
            continue
        end, bad = whole(piece, start)
        if bad:
            raise _absurd(offset + len(head) + end - start)
        if head or end > start:
            yield Chunk(bytes(head), piece, start, end)
        offset += len(head) + end - start
        head = bytearray(memoryview(piece)[end:])
    if head:
        raise ReadsError("truncated", f"the file ends inside the record at decompressed byte {offset}")


def _missing(head: bytearray, piece: bytes, offset: int) -> int:
    """How many bytes of ``piece`` belong to the record that begins in ``head``."""
    start = head[:4] + piece[: max(0, 4 - len(head))]
    if len(start) < 4:
        return len(piece)
    size = int.from_bytes(start, "little")
    if not LEAST_RECORD <= size <= MAX_RECORD:
        raise _absurd(offset)
    return min(len(piece), 4 + size - len(head))


def _absurd(offset: int) -> ReadsError:
    return ReadsError("bad_length", f"a record of absurd length begins at decompressed byte {offset}")


def _numbers(values: Iterable[int]) -> bytes:
    return array("q", values).tobytes()


def _names(names: Sequence[bytes]) -> tuple[bytes, bytes]:
    return b"".join(names), _numbers([0, *accumulate(map(len, names))])


def _spans(layout: Layout, regions: Regions) -> tuple[bytes, bytes, bytes]:
    starts = [regions.starts.get(contig, ()) for contig in layout.contigs]
    ends = [regions.ends.get(contig, ()) for contig in layout.contigs]
    at = _numbers([0, *accumulate(map(len, starts))])
    return at, _numbers(v for spans in starts for v in spans), _numbers(v for spans in ends for v in spans)


def _packed(layout: Layout) -> tuple[bytes, ...]:
    plan = layout.plan
    tags = bytearray(8192)
    for tag in plan.tags:
        number = int.from_bytes(tag.encode(), "little")
        tags[number >> 3] |= 1 << (number & 7)
    options = [
        len(layout.contigs), plan.drop_flags, layout.region is not None, plan.mask_except, layout.default_group,
        bool(plan.mask.starts), layout.sorted, layout.is_guess,
    ]  # fmt: skip
    spans = [_spans(layout, regions) for regions in (plan.mask, plan.panel, layout.region or Regions())]
    return (
        _numbers(options),
        layout.key,
        bytes(tags),
        layout.quality,
        *_names(layout.groups),
        *_names(layout.codes),
        *(part for three in spans for part in three),
        array("Q", layout.hidden).tobytes(),
        _numbers(layout.lengths),
    )
