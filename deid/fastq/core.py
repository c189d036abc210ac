"""FASTQ in, safer FASTQ out: new names, nothing beside them, qualities in few levels; pairs stay pairs.

The promise: of the source only bases, binned qualities and the order of the reads reach the output, which is BGZF
without a file name or a time. The bases are the person's genome, so this is for the controlled tier. The order of the
reads is kept, as mates in two files need; it is the machine's order. Not here: file names, which are the caller's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from deid import bgzf, native
from deid.fastq import records
from deid.fastq.errors import RECORD_ERRORS, FastqError
from deid.fastq.records import BASES, Rewritten, quality_line_table
from deid.reads.blocks import blocks_of, texts_of
from deid.reads.layout import Chunk
from deid.reads.plan import QUALITIES
from deid.variants.stream import Workers, Written

MAX_RECORD = 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class FastqPlan:
    """How qualities are written: ``keep``, ``bins-8``, ``bins-4`` or ``drop`` (one constant)."""

    quality: str = "bins-4"


@dataclass(frozen=True, slots=True, kw_only=True)
class FastqOptions:
    """How a file is made, apart from what it holds. ``level`` is libdeflate's."""

    level: int = 6
    threads: int = 1
    compiled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FastqCounts:
    """What was done. ``names`` is a digest of the new names in order: equal for the two files of sound pairs."""

    records: int
    digest: str
    bytes: int
    names: str = field(repr=False)


STANDARD = FastqOptions()


def plan_from_steps(steps: Sequence[Mapping[str, object]]) -> FastqPlan:
    """The plan of a recipe's ``steps``: only ``quality: {as: ...}`` is known. Raises ``FastqError`` (``bad_step``)."""
    plan = FastqPlan()
    for number, step in enumerate(steps, start=1):
        options = step.get("quality") if isinstance(step, Mapping) and len(step) == 1 else None
        if number > 1 or not isinstance(options, Mapping) or set(options) != {"as"} or options["as"] not in QUALITIES:
            raise FastqError(
                "bad_step", f"step {number}: the one step known is quality: as one of {', '.join(QUALITIES)}"
            )
        plan = FastqPlan(quality=str(options["as"]))
    return plan


def core_view(
    plan: FastqPlan, source: BinaryIO, sink: BinaryIO, *, key: bytes, options: FastqOptions = STANDARD
) -> FastqCounts:
    """Write one file (gzip, bgzip or plain; a pipe will do) as BGZF. ``key``: 16 bytes, the same for both of a pair.

    Raises ``FastqError`` with the line or the byte; the owner throws away what the sink has received.
    """
    writing = Writing(plan, source, sink, key=key, options=options)
    try:
        while writing.step():
            writing.words.clear()  # nobody compares them here
    finally:
        writing.close()
    return writing.counts()


def copy_view(core: BinaryIO, sink: BinaryIO, *, key: bytes, options: FastqOptions = STANDARD) -> FastqCounts:
    """Write ``core`` with every name hashed once more under this recipient's ``key``; nothing else is changed.

    Two recipients share no read name; the two files of a pair stay one where both are copied under one key.
    """
    return core_view(FastqPlan(quality="keep"), core, sink, key=key, options=options)


class Writing:
    """One file on its way, step by step, so that two can be compared while they are written."""

    def __init__(self, plan: FastqPlan, source: BinaryIO, sink: BinaryIO, *, key: bytes, options: FastqOptions) -> None:
        if len(key) != 16 or not 1 <= options.level <= 12 or options.threads < 1:
            raise FastqError("bad_argument", "the key has 16 bytes, level is 1 to 12 and threads at least 1")
        self.records, self.words = 0, bytearray()
        self._names = hashlib.blake2b(digest_size=32)
        self._written, self._workers = Written(sink), Workers(options.threads)
        rewrite = _rewriter(plan, key, options.compiled)
        chunks = chunks_of(pieces_of(source, self._workers, options.compiled))
        texts = self._texts(self._workers.over(rewrite, chunks))
        self._blocks = blocks_of(texts, self._workers, options.level, options.compiled)

    def step(self) -> bool:
        """Write some blocks; false when all is written. ``words`` grows by the first hash word of each new name."""
        try:
            blocks = next(self._blocks, b"")
        except bgzf.ContainerError as error:
            raise FastqError(error.code, str(error)) from error
        self._written.write(blocks)
        return bool(blocks)

    def close(self) -> None:
        """Wait for what runs."""
        self._workers.close()

    def counts(self) -> FastqCounts:
        """What was written."""
        return FastqCounts(
            records=self.records,
            digest=self._written.digest(),
            bytes=self._written.size,
            names=self._names.hexdigest(),
        )

    def _texts(self, done: Iterable[Rewritten]) -> Iterator[bytes]:
        for one in done:
            self.records += one.records
            self._names.update(one.names)
            self.words += one.names
            if one.fault:
                code, sentence = RECORD_ERRORS[one.fault]
                raise FastqError(code, sentence, line=4 * self.records + 1)
            yield one.text


def _rewriter(plan: FastqPlan, key: bytes, compiled: bool | None) -> Callable[[Chunk], Rewritten]:
    quality = quality_line_table(plan.quality)
    if compiled and not native.has_fastq:
        raise FastqError("no_kernel", "the compiled kernel was asked for and is not installed")
    if not (native.has_fastq if compiled is None else compiled):
        return lambda chunk: records.rewrite(key, quality, chunk.records)

    def rewrite(chunk: Chunk) -> Rewritten:
        text, names, count, fault = native._fastq.rewrite(key, BASES, quality, *chunk)
        return Rewritten(text=text, names=names, records=count, fault=fault)

    return rewrite


def pieces_of(source: BinaryIO, workers: Workers, compiled: bool | None = None) -> Iterator[bytes]:
    """The text of a gzip, bgzip or plain file in pieces. Raises ``FastqError`` (``not_fastq``), ``ContainerError``."""
    incoming = bgzf.Incoming(source)
    start = incoming.peek(18)
    if bgzf.is_bgzf(start):
        return texts_of(incoming, workers, compiled)
    if bgzf.is_gzip(start):
        return bgzf.gzip_groups(incoming)
    if start and start[:1] != b"@":
        raise FastqError("not_fastq", "the file is neither gzip nor FASTQ")
    return bgzf.plain_groups(incoming)


def chunks_of(pieces: Iterable[bytes]) -> Iterator[Chunk]:
    """Whole records: lines by fours. A last line without its end is given one."""
    head, lines = bytearray(), 0
    for piece in pieces:
        start = _line_end(piece, (4 - lines) % 4) if head else 0
        if head and not start:
            head += piece
            lines += piece.count(b"\n")
        else:
            head += piece[:start]
            end = _last_record_end(piece, start)
            yield Chunk(bytes(head), piece, start, end)
            head = bytearray(memoryview(piece)[end:])
            lines = head.count(b"\n")
        if len(head) > MAX_RECORD:
            raise FastqError("record_too_long", f"a record has more than {MAX_RECORD} bytes")
    if head:
        yield Chunk(bytes(head if head.endswith(b"\n") else head + b"\n"), b"", 0, 0)


def _line_end(text: bytes, count: int) -> int:
    """Where the ``count``-th line of the text ends; 0 where it has fewer."""
    end = 0
    for _ in range(count):
        end = text.find(b"\n", end) + 1
        if not end:
            return 0
    return end


def _last_record_end(text: bytes, start: int) -> int:
    end = text.rfind(b"\n", start) + 1 or start
    lines = native._fastq.lines(text, start) if native.has_fastq else text.count(b"\n", start)
    for _ in range(lines % 4):
        end = text.rfind(b"\n", start, end - 1) + 1 or start
    return end
