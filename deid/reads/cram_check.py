"""A CRAM file walked block by block before htslib is given it: every length, checksum and size after inflating.

The promise: containers and blocks follow one another without a gap, their checksums hold, the file ends with the
end-of-file container, and no container claims more text, records or slices than its bytes can hold, so that a small
file cannot ask for a large memory. CRAM specification 3.0 and 3.1, sections 6 to 9.
Not here: what the blocks mean; htslib decodes them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from deid.bgzf import Incoming
from deid.reads.errors import ReadsError

DEFINITION = 26
END = bytes.fromhex("0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b")
MOST_HEAD = 1 << 16
"""Longest container header read: some numbers and one landmark for each slice."""
MOST_CONTAINER = 1 << 27
"""Most bytes of a container, packed and unpacked; htslib writes about ten million bases into one."""
MOST_HEADER_TEXT = 1 << 26
FREE_RECORDS, RECORDS_PER_BYTE = 10_000, 16
RAW, GZIP = 0, 1
METHODS = 9  # 0 raw, gzip, bzip2, lzma, rANS; 3.1: rANS Nx16, adaptive arithmetic, fqzcomp, names
FILE_HEADER, SLICE = 0, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Container:
    length: int
    records: int
    blocks: int
    reference: int


class Numbers:
    """Numbers one after another out of a header; ``ValueError`` where they end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        """So many bytes."""
        if size < 0 or self.at + size > len(self._data):
            raise ValueError("cut")
        self.at += size
        return self._data[self.at - size : self.at]

    def itf8(self) -> int:
        """A number of 32 bits in one to five bytes (section 2.3), signed."""
        first = self.take(1)[0]
        more = 0 if first < 0x80 else 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
        rest = int.from_bytes(self.take(more), "big")
        value = (first & 0x0F) << 28 | (rest >> 8) << 4 | rest & 0x0F if more == 4 else _joined(first, rest, more)
        value &= 0xFFFFFFFF
        return value - (1 << 32) if value >> 31 else value

    def ltf8(self) -> int:
        """A number of 64 bits in one to nine bytes."""
        first = self.take(1)[0]
        more = next((n for n in range(8) if not first & 0x80 >> n), 8)
        rest = int.from_bytes(self.take(more), "big")
        return rest if more >= 7 else _joined(first, rest, more)


def _joined(first: int, rest: int, more: int) -> int:
    return (first & 0xFF >> more + 1) << 8 * more | rest


def check_cram(source: BinaryIO) -> None:
    """Walk the whole file from its first byte and leave it there. Raises what ``proven_containers`` raises."""
    for _ in proven_containers(Incoming(source)):
        pass
    source.seek(0)


def proven_containers(flow: Incoming) -> Iterator[bytes]:
    """The file definition and each container as it stands, proven before it is given on; the source may be a stream.

    Raises ``ReadsError`` with the byte offset: ``truncated``, ``bad_cram``, ``cram_version`` (only 3.0 and 3.1 have
    checksums), ``cram_bomb``. A file without its end is found at its end: what was made of the beginning is void.
    """
    start = flow.take(DEFINITION)
    if len(start) < DEFINITION:
        raise ReadsError("truncated", "the file ends inside the CRAM file definition")
    if start[4] != 3 or start[5] > 1:
        raise ReadsError("cram_version", "only CRAM 3.0 and 3.1 are read: earlier files carry no checksums")
    yield start
    at, number, last = DEFINITION, 0, b""
    while head := _read_head(flow, at):
        container, header = head
        body = flow.take(container.length)
        if len(body) < container.length:
            raise ReadsError("truncated", f"the CRAM container at byte {at} is cut short")
        _check_container(container, body, at, is_first=number == 0)
        at, number, last = at + len(header) + container.length, number + 1, header + body
        yield last
    if last != END:
        raise ReadsError("truncated", f"the CRAM end-of-file container is missing at byte {at}")


def _read_head(flow: Incoming, at: int) -> tuple[_Container, bytes] | None:
    """The next container's header with its own bytes; None at the end of the file."""
    data = flow.peek(MOST_HEAD)
    if not data:
        return None
    numbers = Numbers(data)
    try:
        (length,) = struct.unpack("<i", numbers.take(4))
        reference, _, _, records = (numbers.itf8() for _ in range(4))
        numbers.ltf8(), numbers.ltf8()
        blocks, landmarks = numbers.itf8(), numbers.itf8()
        if not 0 <= landmarks <= MOST_HEAD:
            raise ReadsError("bad_cram", f"the CRAM container at byte {at} has an absurd number of slices")
        for _ in range(landmarks):
            numbers.itf8()
        summed = data[: numbers.at]
        (checksum,) = struct.unpack("<I", numbers.take(4))
    except ValueError:
        raise ReadsError("truncated", f"the CRAM container header at byte {at} is cut short") from None
    if zlib.crc32(summed) != checksum:
        raise ReadsError("bad_cram", f"the checksum of the CRAM container header at byte {at} does not match")
    if not 0 <= length <= MOST_CONTAINER or not 0 <= blocks <= length + 1:
        raise ReadsError("cram_bomb", f"the CRAM container at byte {at} has an absurd length")
    if not 0 <= records <= max(FREE_RECORDS, RECORDS_PER_BYTE * length):
        raise ReadsError("cram_bomb", f"the CRAM container at byte {at} claims more records than its bytes can hold")
    return _Container(length=length, records=records, blocks=blocks, reference=reference), flow.take(numbers.at)


def _check_container(container: _Container, body: bytes, at: int, *, is_first: bool) -> None:
    numbers, unpacked = Numbers(body), 0
    try:
        for number in range(container.blocks):
            kind, size, text = _block(numbers, body, at)
            unpacked += size
            if unpacked > MOST_CONTAINER:
                raise ReadsError("cram_bomb", f"the CRAM container at byte {at} unpacks to more than it may")
            if is_first and number == 0 and kind != FILE_HEADER:
                raise ReadsError("bad_cram", "the CRAM does not begin with its header")
            if kind == SLICE:
                _check_slice(text, container, at)
    except ValueError:
        raise ReadsError("bad_cram", f"a block of the CRAM container at byte {at} does not fit into it") from None
    # The header's container may have spare room behind its blocks (section 8.3), a container of reads has none.
    if numbers.at != len(body) and not is_first:
        raise ReadsError("bad_cram", f"the CRAM container at byte {at} has bytes that belong to no block")


def _block(numbers: Numbers, body: bytes, at: int) -> tuple[int, int, bytes]:
    """Content type and size unpacked; of a slice's header, and only of that, the text."""
    begin = numbers.at
    method, kind = numbers.take(2)
    numbers.itf8()
    packed, size = numbers.itf8(), numbers.itf8()
    data = numbers.take(packed)
    end = numbers.at
    (checksum,) = struct.unpack("<I", numbers.take(4))
    if zlib.crc32(memoryview(body)[begin:end]) != checksum:
        raise ReadsError("bad_cram", f"the checksum of a block in the CRAM container at byte {at} does not match")
    if method >= METHODS or size < 0 or (method == RAW and size != packed):
        raise ReadsError("bad_cram", f"a block in the CRAM container at byte {at} is packed in no known way")
    if kind != SLICE:
        return kind, size, b""
    if method not in (RAW, GZIP) or size > MOST_HEAD:
        raise ReadsError("bad_cram", f"a slice header in the CRAM container at byte {at} is not one that is understood")
    return kind, size, data if method == RAW else _gunzip(data, at)


def slice_text(data: bytes, at: int) -> bytes:
    """The header of the slice that begins these bytes of the container at byte ``at``, unpacked."""
    return _block(Numbers(data), data, at)[2]


def _gunzip(data: bytes, at: int) -> bytes:
    try:
        return zlib.decompressobj(wbits=47).decompress(data, MOST_HEAD)
    except zlib.error:
        raise ReadsError("bad_cram", f"a slice header in the CRAM container at byte {at} cannot be inflated") from None


def _check_slice(text: bytes, container: _Container, at: int) -> None:
    numbers = Numbers(text)
    _, start, span, records = (numbers.itf8() for _ in range(4))
    numbers.ltf8()
    blocks = numbers.itf8()
    if not 0 <= records <= container.records or not 0 <= blocks <= container.blocks or start < 0 or span < 0:
        raise ReadsError("cram_bomb", f"a slice in the CRAM container at byte {at} claims more than its container")
