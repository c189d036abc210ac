"""Text out of compressed streams and into BGZF, block by block, without ever seeking.

The promise: every block's length, size and checksum is proven before its bytes are used, nothing larger than a bounded
group is held, and the blocks written depend on the bytes given and the level alone (never on timing or threads).
The order when reading: sniff the container, prove a block, inflate it, prove its checksum.
Not here: what the bytes mean (``deid.variants``), indexes, encryption.

BGZF is defined in the SAM specification section 4.1, gzip in RFC 1952, DEFLATE in RFC 1951.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import deflate

from deid import native
from deid.nouns import TYPE_CHECKING, Noun

if TYPE_CHECKING:
    from typing import BinaryIO, TypeAlias

Text: TypeAlias = "bytes | memoryview"
BLOCK = 0xFF00
"""Bytes of text per block written; the figure htslib uses, so that neighbours in size are neighbours in bytes."""
MAX_BLOCK = 1 << 16
GROUP = 1 << 20
"""Bytes of text per group handed on when reading (about; a group is whole blocks)."""
READ = 1 << 20
LOOK = 1 << 16
"""Bytes read to see what a stream is: the first blocks of text that compresses well, so that work begins at once."""
EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
HEAD = struct.Struct("<4BIBBH")
SUBFIELD = struct.Struct("<BBH")
TAIL = struct.Struct("<II")
PREFIX = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0"


class ContainerError(Exception):
    """The container is broken; ``code`` is stable, the message names the byte offset and never the content."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Incoming:
    """A byte stream that may be a pipe, with its offset and a look-ahead buffer."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._buffer = bytearray()
        self.offset = 0

    def peek(self, size: int) -> bytes:
        """Up to ``size`` bytes without taking them; fewer only at the end of the stream."""
        while len(self._buffer) < size:
            more = self._source.read(max(LOOK, size - len(self._buffer)))
            if not more:
                break
            self._buffer += more
        return bytes(self._buffer[:size])

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes, or what is left before the end of the stream."""
        parts = [bytes(self._buffer[:size])]
        del self._buffer[:size]
        missing = size - len(parts[0])
        while missing and (more := self._source.read(missing)):
            parts.append(more)
            missing -= len(more)
        self.offset += size - missing
        return b"".join(filter(None, parts))  # one part, as there nearly always is, is not copied

    def give_back(self, data: bytes) -> None:
        """Return what was taken and not needed."""
        self._buffer[:0] = data
        self.offset -= len(data)


def is_bgzf(start: bytes) -> bool:
    """Whether a stream that begins with these (18 or more) bytes is BGZF: the first extra subfield is BC."""
    return len(start) >= 18 and start[:4] == b"\x1f\x8b\x08\x04" and start[12:16] == b"BC\x02\0"


def is_gzip(start: bytes) -> bool:
    """Whether a stream that begins with these bytes is gzip of any kind."""
    return start[:2] == b"\x1f\x8b"


has_kernel = native.has_bgzf and native._bgzf.connect(deflate._deflate.__file__)
"""Whether groups go through libdeflate in one call outside the interpreter's lock: the kernel is built and the
``deflate`` package shows libdeflate's functions (docs/decisions/0041-bgzf.md). The bytes are the same without."""


class Group(Noun):
    """Whole BGZF blocks, compressed, where they lie: ``data[start:end]``, ``size`` bytes of text when inflated.

    ``offset`` is the byte of the stream at which ``data`` begins.
    """

    data: bytes
    start: int
    end: int
    size: int
    offset: int


def block_groups(
    incoming: Incoming, most: int | None = None, *, first: int | None = None, compiled: bool | None = None
) -> Iterator[Group]:
    """Whole blocks, grouped to about ``GROUP`` bytes of text, or ``most`` where that is less; none is copied.

    The first group is of about ``first`` bytes, where that is less. ``compiled`` false finds them in plain Python.
    Raises ``ContainerError``: ``not_bgzf``, ``truncated`` (a cut block or no end-of-file block).
    """
    scan = native._bgzf.scan if has_kernel and compiled is not False else _scan
    usual = GROUP if most is None else min(GROUP, most)
    wanted = usual if first is None else min(usual, first)
    data, at, offset, last = b"", 0, incoming.offset, b""
    while True:
        end, block, size, is_broken = scan(data, at, wanted)
        last = data[block:end] if end > at else last
        if is_broken:
            raise _fault(data[end:], offset + end)
        if size >= wanted:
            yield Group(data=data, start=at, end=end, size=size, offset=offset)
            at, wanted = end, usual
            continue
        more = incoming.take(READ if data else LOOK)
        if not more:
            break
        data, offset, at = data[at:] + more, offset + at, 0
    if end < len(data):
        raise _fault(data[end:], offset + end)
    if last != EOF_BLOCK:
        raise ContainerError("truncated", f"the BGZF end-of-file block is missing at byte {offset + end}")
    yield Group(data=data, start=at, end=end, size=size, offset=offset)


def _scan(data: bytes, start: int, most: int) -> tuple[int, int, int, int]:
    """The kernel's twin: end, start of the last block, bytes of text, whether the next block is none."""
    at, last, text, size = start, start, 0, 0
    while text < most and (size := _block_size(data, at)) > 0:
        last, at = at, at + size
        text += TAIL.unpack_from(data, at - TAIL.size)[1]
    return at, last, text, int(size < 0)


def _block_size(data: bytes, at: int) -> int:
    """Size of the whole block at ``at``: 0 where more bytes are needed, -1 where it is none."""
    left = len(data) - at
    if left < HEAD.size:
        return 0
    if data[at : at + 4] != PREFIX[:4]:
        return -1
    extra = HEAD.size + HEAD.unpack_from(data, at)[7]
    if left < extra:
        return 0
    size = _stated_size(data, at, at + extra)
    if size is None:
        return -1
    if size > left:
        return 0
    return size if TAIL.unpack_from(data, at + size - TAIL.size)[1] <= MAX_BLOCK else -1


def _stated_size(data: bytes, at: int, extra: int) -> int | None:
    """How long the block at ``at`` says it is, by its subfield BC in front of ``extra``; None where it says nothing."""
    place = at + HEAD.size
    while place + SUBFIELD.size <= min(extra, len(data)):
        first, second, length = SUBFIELD.unpack_from(data, place)
        if (first, second, length) == (66, 67, 2) and place + 6 <= min(extra, len(data)):
            size: int = struct.unpack_from("<H", data, place + 4)[0] + 1
            return size if at + size >= extra + TAIL.size else None
        place += SUBFIELD.size + length
    return None


def _fault(data: bytes, offset: int) -> ContainerError:
    """What is wrong with the block that these bytes begin with; they reach to its end or to that of the stream."""
    if len(data) < HEAD.size:
        return ContainerError("truncated", f"the stream ends inside a BGZF block header at byte {offset}")
    if data[:4] != PREFIX[:4]:
        return ContainerError("not_bgzf", f"no BGZF block starts at byte {offset}")
    size = _stated_size(data, 0, HEAD.size + HEAD.unpack_from(data)[7])
    if size is None:
        return ContainerError("not_bgzf", f"the block at byte {offset} carries no valid BGZF size")
    if len(data) < size:
        return ContainerError("truncated", f"the BGZF block at byte {offset} is cut short")
    return ContainerError("not_bgzf", f"the BGZF block at byte {offset} claims more than 64 KiB of text")


def inflate_blocks(group: Group, *, compiled: bool | None = None) -> bytes:
    """The text of whole blocks, each checksum proven. Raises ``ContainerError`` (``damaged``)."""
    if not has_kernel or compiled is False:
        return b"".join(_inflated(group, group.start))
    text = native._bgzf.inflate(group.data, group.start, group.end, group.size)
    if isinstance(text, int):
        for _ in _inflated(group, text):
            break  # the twin refuses that block, and says why
        raise ContainerError("damaged", f"the BGZF block at byte {group.offset + text} cannot be inflated")
    return text


def _inflated(group: Group, at: int) -> Iterator[bytes]:
    while at < group.end:
        end = at + _block_size(group.data, at)
        yield _inflate(group.offset + at, group.data[at:end])
        at = end


def _inflate(offset: int, block: bytes) -> bytes:
    crc, size = TAIL.unpack_from(block, len(block) - TAIL.size)
    body = block[HEAD.size + HEAD.unpack_from(block)[7] : -TAIL.size]
    # libdeflate refuses an output buffer of no bytes; an empty block is three known bits and is the end-of-file block.
    if size == 0:
        return b""
    try:
        text = bytes(deflate.deflate_decompress(body, size))
    except deflate.DeflateError as error:
        raise ContainerError("damaged", f"the BGZF block at byte {offset} cannot be inflated") from error
    if len(text) != size or deflate.crc32(text) != crc:
        raise ContainerError("damaged", f"the checksum of the BGZF block at byte {offset} does not match")
    return text


def gzip_groups(incoming: Incoming) -> Iterator[bytes]:
    """The text of a plain (multi-member) gzip stream in pieces of at most ``GROUP`` bytes.

    Raises ``ContainerError``: ``truncated`` or ``damaged``. zlib checks each member's checksum and length itself.
    """
    import zlib  # half a millisecond for what is seldom met

    while incoming.peek(1):
        member = zlib.decompressobj(wbits=31)
        pending = incoming.take(READ)
        while not member.eof:
            try:
                text = member.decompress(pending, GROUP)
            except zlib.error as error:
                message = f"the gzip stream cannot be inflated before byte {incoming.offset}"
                raise ContainerError("damaged", message) from error
            if text:
                yield text
            pending = member.unconsumed_tail or (b"" if member.eof else incoming.take(READ))
            if not pending and not text and not member.eof:
                raise ContainerError("truncated", f"the gzip stream ends too early at byte {incoming.offset}")
        incoming.give_back(member.unused_data)


def plain_groups(incoming: Incoming) -> Iterator[bytes]:
    """An uncompressed stream in pieces of ``GROUP`` bytes."""
    while text := incoming.take(GROUP):
        yield text


def deflate_block(text: Text, level: int) -> bytes:
    """One BGZF block of at most ``BLOCK`` bytes of text; no name and no time in it (RFC 1952 section 2.3)."""
    body = bytes(deflate.deflate_compress(text, level))
    if len(body) + 26 > MAX_BLOCK:
        body = _stored(text)
    size = len(body) + 26
    return b"".join((PREFIX, struct.pack("<H", size - 1), body, TAIL.pack(deflate.crc32(text), len(text))))


def _stored(text: Text) -> bytes:
    """DEFLATE without compression (RFC 1951 section 3.2.4), for text that does not shrink."""
    return b"".join((b"\x01", struct.pack("<HH", len(text), len(text) ^ 0xFFFF), text))


def deflate_blocks(texts: Iterable[Text], level: int, *, compiled: bool | None = None) -> bytes:
    """Several blocks, one after the other."""
    if has_kernel and compiled is not False:
        return native._bgzf.deflate(list(texts), level)
    return b"".join(deflate_block(text, level) for text in texts)


def cut_blocks(texts: Iterable[Text], per_group: int = 2) -> Iterator[list[Text]]:
    """Text cut every ``BLOCK`` bytes, in groups: borders depend on the position in the text and on nothing else.

    Text is copied where a border of pieces falls and nowhere else; a piece must not be changed once it is given.
    """
    group: list[Text] = []
    parts: list[Text] = []
    missing = BLOCK
    for text in texts:
        view = memoryview(text)
        while len(view) >= missing:
            group.append(b"".join((*parts, view[:missing])) if parts else view[:missing])
            view, parts, missing = view[missing:], [], BLOCK
            if len(group) == per_group:
                yield group
                group = []
        if view:
            parts.append(view)
            missing -= len(view)
    if parts:
        group.append(b"".join(parts))
    if group:
        yield group
