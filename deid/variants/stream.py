"""From a byte stream to whole lines and back, in order, in bounded memory, on one thread or several.

Each stage is a plain function of its input, so threads change when something happens and never what is written.
Not here: what a line means.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from queue import SimpleQueue

from deid import bgzf
from deid.bgzf import Text
from deid.nouns import TYPE_CHECKING, Noun
from deid.variants.errors import VariantError

if TYPE_CHECKING:
    from hashlib import _Hash
    from typing import Any, BinaryIO, Literal, TypeAlias, TypeVar

    Given = TypeVar("Given")
    Made = TypeVar("Made")

MAX_LINE = 1 << 24
"""Longest line read, in bytes: a GT of a million people with room to spare; above it a file is no VCF."""
MAX_HEADER = 1 << 26
GROUP = 1 << 19
"""Bytes of text per group of blocks (about): small enough to lie in the cache while a thread works on it."""

Part: TypeAlias = "bytes | bgzf.Group"
"""Text, or blocks that are still packed."""


class _Task:
    """One call waiting for a thread: what came of it, and a lock that is free once it is there."""

    __slots__ = ("failure", "made", "ready", "work")

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work
        self.made: Any = None
        self.failure: BaseException | None = None
        self.ready = threading.Lock()
        self.ready.acquire()

    def run(self) -> None:
        """Make the call; its exception is kept for the thread that asks."""
        try:
            self.made = self.work()
        except BaseException as failure:  # noqa: BLE001 -- raised again by result(), in the thread that can act on it
            self.failure = failure
        self.ready.release()

    def result(self) -> Any:
        """Wait for it."""
        self.ready.acquire()
        if self.failure is not None:
            raise self.failure
        return self.made


class Workers:
    """Runs one function over many inputs and gives the results in order, at most a few inputs ahead.

    Threads and not ``concurrent.futures``, whose loading costs a short task more than its threads save.
    """

    def __init__(self, threads: int, *, ahead: int | None = None) -> None:
        self._ahead = 4 * threads if ahead is None else ahead
        self._queue: SimpleQueue[_Task | None] = SimpleQueue()
        self._stopped = False
        wanted = threads if threads > 1 else 0
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(wanted)]
        for thread in self._threads:
            thread.start()

    def _serve(self) -> None:
        while (task := self._queue.get()) is not None:
            if not self._stopped:
                task.run()

    def over(self, work: Callable[[Given], Made], inputs: Iterable[Given]) -> Iterator[Made]:
        """Like ``map``; an exception comes out at its own place in the order."""
        if not self._threads:
            yield from map(work, inputs)
            return
        waiting: deque[_Task] = deque()
        for given in inputs:
            task = _Task(partial(work, given))
            waiting.append(task)
            self._queue.put(task)
            if len(waiting) >= self._ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def close(self) -> None:
        """Wait for what runs, forget what does not."""
        self._stopped = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()


class Opened(Noun):
    """A file whose first piece of text is read; ``parts`` are the others as they lie, each to be unpacked by itself.

    The first is short: it holds most headers, and until they are read one thread works alone.
    """

    first: bytes
    parts: Iterator[Part]

    def texts(self, workers: Workers | None = None) -> Iterator[bytes]:
        """All text in pieces, unpacked ahead by ``workers``; without them each part is taken when it is asked for."""
        yield self.first
        yield from map(_text_of, self.parts) if workers is None else workers.over(_text_of, self.parts)


def open_packed(source: BinaryIO) -> Opened:
    """A bgzip, gzip or plain file, whatever it holds. Raises ``VariantError``: what ``deid.bgzf`` finds."""
    incoming = bgzf.Incoming(source)
    start = incoming.peek(18)
    parts: Iterator[Part]
    if bgzf.is_bgzf(start):
        parts = _named(bgzf.block_groups(incoming, GROUP, first=bgzf.BLOCK))
    else:
        parts = _named(bgzf.gzip_groups(incoming) if bgzf.is_gzip(start) else bgzf.plain_groups(incoming))
    return Opened(first=_text_of(next(parts, b"")), parts=parts)


def _named(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts, and the container's fault as this room's error."""
    try:
        yield from parts
    except bgzf.ContainerError as error:
        raise VariantError(error.code, str(error)) from error


def _text_of(part: Part) -> bytes:
    if isinstance(part, bytes):
        return part
    try:
        return bgzf.inflate_blocks(part)
    except bgzf.ContainerError as error:
        raise VariantError(error.code, str(error)) from error


def open_text(source: BinaryIO, workers: Workers) -> Opened:
    """A bgzip, gzip or plain VCF, or a BCF as VCF text.

    Raises ``VariantError``: ``not_vcf``, ``bad_bcf``, or what ``deid.bgzf`` finds, with the byte offset.
    """
    opened = open_packed(source)
    if is_bcf(opened.first):
        from deid.variants.bcf import bcf_to_text  # htslib costs a quarter of a second to load: only when asked for

        texts = bcf_to_text(opened.texts(workers))
        return Opened(first=next(texts, b""), parts=texts)
    if not opened.first.startswith(b"##fileformat=VCF"):
        raise VariantError("not_vcf", "the file does not begin with ##fileformat=VCF")
    return opened


def read_text(source: BinaryIO, workers: Workers) -> Iterator[bytes]:
    """The text of ``open_text`` in pieces; raises what it raises, once the first piece is asked for."""
    yield from open_text(source, workers).texts(workers)


def is_bcf(first: bytes) -> bool:
    """Whether decompressed bytes begin as BCF 2 does."""
    return first.startswith(b"BCF\x02")


def split_header(pieces: Iterator[bytes]) -> tuple[bytes, bytes]:
    """The header with its #CHROM line, and the text behind it. Raises ``VariantError`` (``bad_header``)."""
    text, mark = bytearray(), -1
    for piece in pieces:
        # The last bytes are looked at again: the mark may lie across two pieces.
        begin = max(0, len(text) - 7)
        text += piece
        if mark < 0:
            mark = text.find(b"\n#CHROM", begin)
        if len(text) > MAX_HEADER:
            raise VariantError("bad_header", f"the header does not end within {MAX_HEADER} bytes")
        end = text.find(b"\n", mark + 1) if mark >= 0 else -1
        if end >= 0:
            return bytes(text[: end + 1]), bytes(memoryview(text)[end + 1 :])
    raise VariantError("truncated", "the file ends before the end of its header")


def over_lines(work: Callable[[Text], Made], rest: bytes, opened: Opened, workers: Workers) -> Iterator[Made]:
    """``work`` over all whole lines of ``rest`` and of the parts not yet read, in order, a chunk of lines at a time.

    One thread unpacks a part, cuts it and works on it, while its text lies in the cache; only a line that lies across
    two parts is joined and worked on here. Raises as ``whole_lines`` does.
    """
    held = b""
    for head, made, tail in workers.over(partial(_worked, work), chain((rest,), opened.parts)):
        if head:
            yield work(held + head)
            held = b""
        if made is not None:
            yield made
        held += tail
        if len(held) > MAX_LINE:
            raise VariantError("line_too_long", f"a line has more than {MAX_LINE} bytes")
    if held:
        raise VariantError("truncated", "the last line has no line end: the file is cut short")


def _worked(work: Callable[[Text], Made], part: Part) -> tuple[bytes, Made | None, bytes]:
    """The end of a line that began before, what came of the whole lines, and the beginning of one that ends behind."""
    text = _text_of(part)
    first, cut = text.find(b"\n") + 1, text.rfind(b"\n") + 1
    made = work(memoryview(text)[first:cut]) if first < cut else None
    return text[:first], made, text[cut:]


def whole_lines(rest: bytes, pieces: Iterable[bytes]) -> Iterator[Text]:
    """Chunks of whole lines: a line that lies across two pieces, then the others as they lie, without copying them.

    Raises ``VariantError``: ``line_too_long``, ``truncated`` (no last line feed).
    """
    for piece in pieces:
        cut = piece.rfind(b"\n") + 1
        if cut:
            first = piece.index(b"\n") + 1 if rest else 0
            if first:
                yield b"".join((rest, piece[:first]))
            if first < cut:
                yield memoryview(piece)[first:cut]
            rest = piece[cut:]
        else:
            rest += piece
        if len(rest) > MAX_LINE:
            raise VariantError("line_too_long", f"a line has more than {MAX_LINE} bytes")
    cut = rest.rfind(b"\n") + 1
    if cut:
        yield rest[:cut]
    if cut < len(rest):
        raise VariantError("truncated", "the last line has no line end: the file is cut short")


class Written:
    """What went into the sink: size and SHA-256 of the compressed bytes exactly as written.

    OpenSSL takes three milliseconds to load: here that is when the first block is there, while the threads make others.
    """

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._hash: _Hash | None = None
        self.size = 0

    def write(self, data: bytes) -> None:
        """Write all of ``data``; a raw pipe may take it in parts."""
        view = memoryview(data)
        self._summed().update(view)
        self.size += len(view)
        while view:
            view = view[self._sink.write(view) :]

    def digest(self) -> str:
        """``sha256:`` and hexadecimal digits."""
        return f"sha256:{self._summed().hexdigest()}"

    def _summed(self) -> _Hash:
        if self._hash is None:
            from hashlib import sha256

            self._hash = sha256()
        return self._hash


def in_form(texts: Iterable[Text], form: Literal["vcf", "bcf"]) -> Iterable[Text]:
    """The text as it is, or as uncompressed BCF."""
    if form == "vcf":
        return texts
    from deid.variants.bcf import text_to_bcf

    return text_to_bcf(texts)


def write_text(texts: Iterable[Text], sink: Written, workers: Workers, level: int) -> None:
    """Compress into BGZF at libdeflate ``level`` (1 to 12) and write, end-of-file block last."""
    for block in workers.over(lambda group: bgzf.deflate_blocks(group, level), bgzf.cut_blocks(texts)):
        sink.write(block)
    sink.write(bgzf.EOF_BLOCK)
