"""The start of a CRAM file that htslib wrote, without what htslib puts there of this machine.

htslib writes the output's file name into the file definition and the path of the reference into each @SQ (UR), asked or
not. The name is overwritten with zeros, and the header's container is written anew: one plain block with the text
without UR. CRAM 3.0 specification sections 6 to 8.
"""

from __future__ import annotations

import re
import struct
import zlib

from deid.reads.errors import ReadsError

DEFINITION = 26
NAME = slice(6, 26)
ADDRESS = re.compile(rb"\tUR:[^\t\n]*")
CONTAINER_NUMBERS = 4  # reference, start, span, records; then two long numbers, blocks, landmarks
RAW, GZIP = 0, 1
MAX_TEXT = 1 << 26


def cleaned_start(data: bytes) -> bytes:
    """``data``, the first bytes of a CRAM and at least its whole header container, cleaned.

    Raises ``ReadsError`` (``bad_cram``) where the start is not what htslib writes: unknown is never passed on.
    """
    if data[:4] != b"CRAM" or data[4] != 3:
        raise ReadsError("bad_cram", "the CRAM made does not begin as version 3 does")
    at = _container_end(data, DEFINITION)
    rest = at + struct.unpack_from("<I", data, DEFINITION)[0]
    if rest > len(data):
        raise ReadsError("bad_cram", "the CRAM made ends inside its header")
    text = ADDRESS.sub(b"", _text(data, at))
    body = struct.pack("<I", len(text)) + text
    block = _summed(bytes([RAW, 0, 0]) + _itf8(len(body)) * 2 + body)
    container = _summed(struct.pack("<I", len(block)) + bytes(6) + bytes([1, 1, 0]))
    return data[:6] + bytes(20) + container + block + data[rest:]


def _text(data: bytes, at: int) -> bytes:
    """The SAM header in the block that begins at ``at``."""
    method, kind = data[at], data[at + 1]
    at = _skip(data, at + 2, 1)
    stored, at = _number(data, at)
    _, at = _number(data, at)
    if kind != 0 or method not in (RAW, GZIP) or at + stored > len(data):
        raise ReadsError("bad_cram", "the header block of the CRAM made is not one that is understood")
    body = data[at : at + stored]
    if method == GZIP:
        body = zlib.decompressobj(wbits=31).decompress(body, MAX_TEXT)
    size = struct.unpack_from("<I", body)[0]
    if size + 4 > len(body):
        raise ReadsError("bad_cram", "the header of the CRAM made is cut")
    return body[4 : 4 + size]


def _summed(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))


def _itf8(value: int) -> bytes:
    """One ITF-8 number of at most 28 bits (section 2.3)."""
    if value < 1 << 7:
        return bytes([value])
    if value < 1 << 14:
        return (value | 0x8000).to_bytes(2, "big")
    if value < 1 << 21:
        return (value | 0xC00000).to_bytes(3, "big")
    return (value | 0xE0000000).to_bytes(4, "big")


def _container_end(data: bytes, at: int) -> int:
    """Where the container's header, its checksum included, ends."""
    at = _skip(data, at + 4, CONTAINER_NUMBERS)
    at = _skip(data, at, 2)  # two LTF-8 numbers, both zero in a header container and so one byte each
    at = _skip(data, at, 1)
    landmarks, at = _number(data, at)
    return _skip(data, at, landmarks) + 4


def _skip(data: bytes, at: int, count: int) -> int:
    for _ in range(count):
        _, at = _number(data, at)
    return at


def _number(data: bytes, at: int) -> tuple[int, int]:
    """One ITF-8 number and where the next begins (section 2.3)."""
    if at + 5 > len(data):
        raise ReadsError("bad_cram", "the CRAM made ends inside its header")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    if first < 0xC0:
        return (first & 0x3F) << 8 | data[at + 1], at + 2
    if first < 0xE0:
        return (first & 0x1F) << 16 | data[at + 1] << 8 | data[at + 2], at + 3
    if first < 0xF0:
        return (first & 0x0F) << 24 | int.from_bytes(data[at + 1 : at + 4], "big"), at + 4
    middle = int.from_bytes(data[at + 1 : at + 4], "big")
    return (first & 0x0F) << 28 | middle << 4 | data[at + 4] & 0x0F, at + 5
