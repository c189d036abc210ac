"""The core view of aligned reads: the permitted participants' reads under internal codes, and nothing of anyone else.

The order: read the header, read the whole file once for the names that touch the mask (only where there is one), then
rewrite record after record, compress, write. A read leaves only if no alignment of its name touches the mask, clipped
parts included: a mate, a supplementary piece and the bases clipped from either go with it.
A sink that has received bytes before an error must be thrown away by its owner. Not here: recipients' names
(``recipient.py``), indexes (``deid.indexes``), keys: the key of the names is an argument.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import BinaryIO, Literal, TypeAlias

from deid import bgzf
from deid.reads.blocks import texts_of, write_texts
from deid.reads.engine import Rewrite, chunks_of, rewriter
from deid.reads.errors import FAULT, RECORD_ERRORS, ReadsError
from deid.reads.foresight import foreseen
from deid.reads.header import SourceHeader, header_text, new_groups, read_header, write_header
from deid.reads.layout import REASONS, Chunk, Layout, Rewritten, default_group
from deid.reads.places import in_order, placer, writer
from deid.reads.plan import ReadsPlan, quality_table
from deid.reads.reference import Reference
from deid.reads.ties import ties_by_name
from deid.rereading import ReadTwice
from deid.variants.errors import VariantError
from deid.variants.header import check_names
from deid.variants.regions import parse_regions
from deid.variants.stream import Workers, Written

KEY = 16
Form: TypeAlias = Literal["bam", "cram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCounts:
    """What was done; ``digest`` is ``sha256:`` of the bytes as written, ``bytes`` their number.

    ``form`` is what the source is.
    """

    records_in: int
    records_out: int
    removed: Mapping[str, int]
    participants: int
    digest: str
    bytes: int
    form: Form = "bam"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsOptions:
    """How a view is made, apart from what it holds. ``level`` is libdeflate's (BAM only).

    ``crai`` is where the index of a CRAM goes that is sorted by coordinate; it is made as the CRAM is.
    """

    level: int = 6
    threads: int = 1
    compiled: bool | None = None
    region: str | None = None
    form: Form = "bam"
    crai: BinaryIO | None = None
    reference: Reference | None = None


@dataclass(slots=True, kw_only=True)
class _Tally:
    records: int = 0
    written: int = 0
    last: int = -1
    removed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))


STANDARD = ReadsOptions()


def core_view(
    plan: ReadsPlan,
    source: BinaryIO,
    sink: BinaryIO,
    *,
    participants: Mapping[str, str],
    key: bytes,
    options: ReadsOptions = STANDARD,
) -> ReadCounts:
    """Write the core view of ``source`` (BAM, or CRAM with ``options.reference``) to ``sink``.

    ``participants`` maps each permitted sample (@RG SM) to its internal code; a read without a group leaves only where
    the file is one person's. ``key``: 16 random bytes, kept by nobody unless names must be linked again. With a mask
    the source is read twice and must be a file. Raises ``ReadsError``.
    """
    _check(plan, source, participants, key, options)
    task = _Task(plan=plan, source=source, participants=participants, key=key, options=options)
    if not _may_guess(task, sink):
        return _view(task, sink, may_guess=False)
    begin = sink.tell()
    try:
        return _view(task, sink, may_guess=True)
    except ReadsError as error:
        if error.code != "unforeseen":
            raise
    source.seek(0)
    sink.seek(begin)
    sink.truncate()
    return _view(task, sink, may_guess=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What a view is made from."""

    plan: ReadsPlan
    source: BinaryIO
    participants: Mapping[str, str]
    key: bytes = field(repr=False)
    options: ReadsOptions


def _may_guess(task: _Task, sink: BinaryIO) -> bool:
    """Whether names that touch the mask may be guessed: only where what was written on a guess can be taken back."""
    if not task.plan.mask.starts or task.plan.substituted or task.options.compiled is False or not sink.seekable():
        return False
    start = task.source.read(2)
    task.source.seek(0)
    return bgzf.is_gzip(start)


def _view(task: _Task, sink: BinaryIO, *, may_guess: bool) -> ReadCounts:
    """One attempt; on a guess it may end with ``unforeseen``."""
    workers = Workers(task.options.threads)
    try:
        layout, head, chunks, form = _opened(task, workers)
        if task.plan.mask.starts:
            layout = _with_hidden(task, layout, chunks, workers, may_guess=may_guess)
            task.source.seek(0)
            _, head, chunks, _ = _opened(task, workers)
        tally, written = _Tally(), Written(sink)
        proven = _proven(workers.over(_rewriter(layout, task.options), chunks), layout, tally)
        texts = chain((head,), _bodies(proven, layout, workers, task.options))
        _write(texts, written, workers, task.options)
    except bgzf.ContainerError as error:
        raise ReadsError(error.code, str(error)) from error
    finally:
        workers.close()
    removed = {reason: count for reason, count in tally.removed.items() if count}
    return ReadCounts(
        records_in=tally.records,
        records_out=tally.written,
        removed=removed,
        participants=len(task.participants),
        digest=written.digest(),
        bytes=written.size,
        form=form,
    )


def _check(
    plan: ReadsPlan, source: BinaryIO, participants: Mapping[str, str], key: bytes, options: ReadsOptions
) -> None:
    if not participants:
        raise ReadsError("no_participants", "nobody is permitted, so there is nothing to write")
    try:
        check_names(participants.values(), what="internal codes")
    except VariantError as error:
        raise ReadsError(error.code, str(error)) from None
    if len(key) != KEY or not 1 <= options.level <= 12 or options.threads < 1:
        raise ReadsError("bad_argument", "the key has 16 bytes, level is 1 to 12 and threads at least 1")
    if plan.mask.starts and not source.seekable():
        raise ReadsError("needs_file", "a mask needs a source that can be read twice, and a pipe cannot")
    if (plan.substituted or options.form == "cram") and options.reference is None:
        raise ReadsError("no_reference", "this view needs a reference, and none was supplied")


def _with_hidden(task: _Task, layout: Layout, chunks: Iterable[Chunk], workers: Workers, *, may_guess: bool) -> Layout:
    """The layout with the names that touch the mask, foreseen or read."""
    place = task.source.tell()
    words = foreseen(task.source, layout) if may_guess else None
    if words is not None:
        return layout.hiding(words, is_guess=True)
    if may_guess:
        task.source.seek(place)  # the chunks go on where they were
    return layout.hiding(_hidden(layout, chunks, workers, task.options))


def _opened(task: _Task, workers: Workers) -> tuple[Layout, bytes, Iterator[Chunk], Form]:
    """Layout, our header, the chunks of whole records and what the source is."""
    plan, participants, options = task.plan, task.participants, task.options
    form, pieces = _pieces(task.source, options, workers)
    header, data, taken = read_header(pieces)
    codes = new_groups(header, participants)
    if set(participants) - {group.sample for group in header.groups}:
        raise ReadsError("participant_missing", "a participant listed has no read group in the file")
    layout = _layout(plan, header, codes, task.key, options)
    if (plan.substituted or plan.ties_by_name) and not header.sorted:
        raise ReadsError("unsorted", "substituted reads and copies need a file sorted by coordinate")
    if plan.substituted and options.reference is not None:
        options.reference.must_have(header.contigs)
    groups = [(code, participants[g.sample], g.platform) for g, code in zip(header.groups, codes, strict=True) if code]
    contigs = header.contigs
    if options.form == "cram" and options.reference is not None:
        options.reference.must_have(contigs)
        contigs = options.reference.with_sums(contigs)
        header = replace(header, contigs=contigs)
    text = header_text(header, groups, is_sorted=header.sorted)
    return layout, write_header(text, contigs), chunks_of(data[taken:], pieces, taken, options.compiled), form


def _pieces(source: BinaryIO, options: ReadsOptions, workers: Workers) -> tuple[Form, Iterator[bytes]]:
    incoming = bgzf.Incoming(source)
    start = incoming.peek(18)
    if bgzf.is_bgzf(start):
        return "bam", texts_of(incoming, workers, options.compiled)
    if start[:4] != b"CRAM":
        raise ReadsError("not_bam", "the file is neither BAM nor CRAM")
    if options.reference is None:
        raise ReadsError("no_reference", "a CRAM needs the reference it was written with, and none was supplied")
    from deid.reads.cram import cram_to_bam, stream_to_bam  # a quarter of a second to load: only when asked for

    if source.seekable() and not isinstance(source, ReadTwice):
        source.seek(0)
        return "cram", cram_to_bam(source, options.reference, compiled=options.compiled)
    return "cram", stream_to_bam(incoming, options.reference, compiled=options.compiled)


def _layout(plan: ReadsPlan, header: SourceHeader, codes: Iterable[bytes], key: bytes, options: ReadsOptions) -> Layout:
    try:
        names = {contig.name for contig in header.contigs}
        region = None if options.region is None else parse_regions(options.region, names)
    except VariantError as error:
        raise ReadsError(error.code, str(error)) from None
    return Layout(
        plan=plan,
        key=key,
        quality=quality_table(plan.quality),
        groups=tuple(group.name for group in header.groups),
        codes=tuple(codes),
        default_group=default_group(header),
        contigs=tuple(contig.name for contig in header.contigs),
        lengths=tuple(contig.length for contig in header.contigs),
        region=region,
        sorted=header.sorted,
    )


def _hidden(layout: Layout, chunks: Iterable[Chunk], workers: Workers, options: ReadsOptions) -> list[int]:
    """The first hash word of every name that touches the mask."""
    words = array("Q")
    tally = _Tally()
    for one in workers.over(rewriter(layout, compiled=options.compiled, collect=True), chunks):
        _add(tally, one, layout)
        words.frombytes(one.data)
    return words.tolist()


def _rewriter(layout: Layout, options: ReadsOptions) -> Rewrite:
    if layout.plan.substituted:
        return placer(layout, compiled=options.compiled)
    return rewriter(layout, compiled=options.compiled)


def _bodies(proven: Iterable[Rewritten], layout: Layout, workers: Workers, options: ReadsOptions) -> Iterable[bytes]:
    """The records to write, in the order in which they are written."""
    if layout.plan.substituted and options.reference is not None:
        write = writer(layout, options.reference, compiled=options.compiled)
        return workers.over(write, in_order(proven, compiled=options.compiled))
    bodies = (one.data for one in proven)
    return ties_by_name(bodies, compiled=options.compiled) if layout.plan.ties_by_name else bodies


def _proven(done: Iterable[Rewritten], layout: Layout, tally: _Tally) -> Iterator[Rewritten]:
    for one in done:
        _add(tally, one, layout)
        yield one


def _add(tally: _Tally, one: Rewritten, layout: Layout) -> None:
    """Count a chunk; raises where a record could not be read or the chunk stands before the one in front of it."""
    fault = one.fault
    if layout.sorted and one.records and one.first < tally.last:
        raise ReadsError("unsorted", RECORD_ERRORS[FAULT["unsorted"]][1], record=tally.records + 1)
    if fault:
        code, sentence = RECORD_ERRORS[fault]
        raise ReadsError(code, sentence, record=tally.records + one.records + 1)
    tally.records += one.records
    tally.written += one.written
    tally.last = one.last if one.records else tally.last
    for reason, count in zip(REASONS, one.removed, strict=False):
        tally.removed[reason] += count


def _write(texts: Iterable[bytes], written: Written, workers: Workers, options: ReadsOptions) -> None:
    if options.form == "bam" or options.reference is None:
        write_texts(texts, written, workers, options.level, options.compiled)
        return
    from deid.reads.crai import indexed
    from deid.reads.cram import bam_to_cram

    is_indexed = options.crai is not None
    pieces = bam_to_cram(texts, options.reference, compiled=options.compiled, by_contig=is_indexed)
    for piece in pieces if options.crai is None else indexed(pieces, options.crai):
        written.write(piece)
