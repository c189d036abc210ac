"""The start of a CRAM file that htslib wrote, without what htslib puts there of this machine.

htslib writes the output's file name into the file definition and the path of the reference into each @SQ (UR), asked or
not. The name is overwritten with zeros; UR is cut out of the header's text, zeros fill the block so that no length
changes, and the block's checksum is made anew. CRAM 3.0 specification sections 6 to 8.
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
RAW, FILE_HEADER = 0, 0


def cleaned_start(data: bytes) -> bytes:
    """``data``, the first bytes of a CRAM and at least its whole header container, cleaned; the length is the same.

    Raises ``ReadsError`` (``bad_cram``) where the start is not what htslib writes: unknown is never passed on.
    """
    if data[:4] != b"CRAM" or data[4] != 3:
        raise ReadsError("bad_cram", "the CRAM made does not begin as version 3 does")
    at = _container_end(data, DEFINITION)
    method, kind = data[at], data[at + 1]
    start = at
    at = _skip(data, at + 2, 1)
    stored, at = _number(data, at)
    plain, at = _number(data, at)
    if (method, kind) != (RAW, FILE_HEADER) or stored != plain or at + stored + 4 > len(data):
        raise ReadsError("bad_cram", "the header block of the CRAM made is not stored as plain text")
    size = struct.unpack_from("<I", data, at)[0]
    text = ADDRESS.sub(b"", data[at + 4 : at + 4 + size])
    body = (struct.pack("<I", len(text)) + text).ljust(stored, b"\0")
    block = data[start:at] + body
    made = data[:6] + bytes(20) + data[DEFINITION:start] + block + struct.pack("<I", zlib.crc32(block))
    return made + data[len(made) :]


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
