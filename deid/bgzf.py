"""Text out of compressed streams and into BGZF, block by block, without ever seeking.

The promise: every block's length, size and checksum is proven before its bytes are used, nothing larger than a bounded
group is held, and the blocks written depend on the bytes given and the level alone (never on timing or threads).
The order when reading: sniff the container, prove a block, inflate it, prove its checksum.
Not here: what the bytes mean (``deid.variants``), indexes, encryption.

BGZF is defined in the SAM specification section 4.1, gzip in RFC 1952, DEFLATE in RFC 1951.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TypeAlias

import deflate

from deid import native

Text: TypeAlias = "bytes | memoryview"
BLOCK = 0xFF00
"""Bytes of text per block written; the figure htslib uses, so that neighbours in size are neighbours in bytes."""
MAX_BLOCK = 1 << 16
GROUP = 1 << 20
"""Bytes of text per group handed on when reading (about; a group is whole blocks)."""
READ = 1 << 20
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
            more = self._source.read(max(READ, size - len(self._buffer)))
            if not more:
                break
            self._buffer += more
        return bytes(self._buffer[:size])

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes, or what is left before the end of the stream."""
        taken = self.peek(size)
        del self._buffer[: len(taken)]
        self.offset += len(taken)
        return taken

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


def block_groups(incoming: Incoming) -> Iterator[list[tuple[int, bytes]]]:
    """Whole BGZF blocks, compressed, each with its offset, grouped to about ``GROUP`` bytes of text.

    Raises ``ContainerError``: ``not_bgzf``, ``truncated`` (a cut block or no end-of-file block).
    """
    group: list[tuple[int, bytes]] = []
    size, last = 0, b""
    while incoming.peek(1):
        offset = incoming.offset
        last = _take_block(incoming)
        group.append((offset, last))
        size += TAIL.unpack_from(last, len(last) - 8)[1]
        if size >= GROUP:
            yield group
            group, size = [], 0
    if last != EOF_BLOCK:
        raise ContainerError("truncated", f"the BGZF end-of-file block is missing at byte {incoming.offset}")
    yield group


def _take_block(incoming: Incoming) -> bytes:
    offset = incoming.offset
    head = incoming.peek(12)
    if len(head) < 12:
        raise ContainerError("truncated", f"the stream ends inside a BGZF block header at byte {offset}")
    if head[:4] != b"\x1f\x8b\x08\x04":
        raise ContainerError("not_bgzf", f"no BGZF block starts at byte {offset}")
    size = _block_size(incoming.peek(12 + HEAD.unpack(head)[7]), offset)
    block = incoming.take(size)
    if len(block) < size:
        raise ContainerError("truncated", f"the BGZF block at byte {offset} is cut short")
    if TAIL.unpack_from(block, size - 8)[1] > MAX_BLOCK:
        raise ContainerError("not_bgzf", f"the BGZF block at byte {offset} claims more than 64 KiB of text")
    return block


def _block_size(head: bytes, offset: int) -> int:
    extra = 12 + HEAD.unpack_from(head)[7]
    at = 12
    while at + 4 <= min(extra, len(head)):
        first, second, length = SUBFIELD.unpack_from(head, at)
        if (first, second, length) == (66, 67, 2) and at + 6 <= len(head):
            size: int = struct.unpack_from("<H", head, at + 4)[0] + 1
            if size < extra + 8:
                break
            return size
        at += 4 + length
    raise ContainerError("not_bgzf", f"the block at byte {offset} carries no valid BGZF size")


has_kernel = native.has_bgzf and native._bgzf.connect(deflate._deflate.__file__)
"""Whether groups go through libdeflate in one call outside the interpreter's lock: the kernel is built and the
``deflate`` package shows libdeflate's functions (docs/decisions/0041-bgzf.md). The bytes are the same without."""


def inflate_blocks(group: Iterable[tuple[int, bytes]]) -> bytes:
    """The text of whole blocks, each checksum proven. Raises ``ContainerError`` (``damaged``)."""
    if not has_kernel:
        return b"".join(_inflate(offset, block) for offset, block in group)
    listed = list(group)
    text = native._bgzf.inflate(listed)
    if isinstance(text, tuple):
        index, fault = text
        raise _broken(listed[index][0], fault)
    return text


NOT_INFLATED, OTHER_CHECKSUM = 1, 2


def _broken(offset: int, fault: int) -> ContainerError:
    if fault == NOT_INFLATED:
        return ContainerError("damaged", f"the BGZF block at byte {offset} cannot be inflated")
    return ContainerError("damaged", f"the checksum of the BGZF block at byte {offset} does not match")


def _inflate(offset: int, block: bytes) -> bytes:
    crc, size = TAIL.unpack_from(block, len(block) - 8)
    body = block[12 + HEAD.unpack_from(block)[7] : -8]
    # libdeflate refuses an output buffer of no bytes; an empty block is three known bits and is the end-of-file block.
    if size == 0:
        return b""
    try:
        text = bytes(deflate.deflate_decompress(body, size))
    except deflate.DeflateError as error:
        raise _broken(offset, NOT_INFLATED) from error
    if len(text) != size or deflate.crc32(text) != crc:
        raise _broken(offset, OTHER_CHECKSUM)
    return text


def gzip_groups(incoming: Incoming) -> Iterator[bytes]:
    """The text of a plain (multi-member) gzip stream in pieces of at most ``GROUP`` bytes.

    Raises ``ContainerError``: ``truncated`` or ``damaged``. zlib checks each member's checksum and length itself.
    """
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


def deflate_blocks(texts: Iterable[Text], level: int) -> bytes:
    """Several blocks, one after the other."""
    if has_kernel:
        return native._bgzf.deflate(list(texts), level)
    return b"".join(deflate_block(text, level) for text in texts)


def cut_blocks(texts: Iterable[Text], per_group: int = 4) -> Iterator[list[Text]]:
    """Text cut every ``BLOCK`` bytes, in groups: borders depend on the position in the text and on nothing else."""
    pending = bytearray()
    step = BLOCK * per_group
    for text in texts:
        pending += text
        whole = len(pending) - len(pending) % step
        if whole:
            held = bytes(memoryview(pending)[:whole])
            del pending[:whole]
            yield from (_cut(held, at, at + step) for at in range(0, whole, step))
    if pending:
        yield _cut(bytes(pending), 0, len(pending))


def _cut(text: bytes, start: int, end: int) -> list[Text]:
    view = memoryview(text)
    return [view[at : min(at + BLOCK, end)] for at in range(start, end, BLOCK)]
