"""Search CRAM: the file definition, every container and block, and every record as htslib decodes it.

Blocks stored plainly or by gzip, bzip2 or lzma are opened here and searched as bytes, read by a record or not; blocks
of CRAM's own codecs are opened by htslib, which decodes names, tags and qualities (bases need a reference and hold no
name). A block that no encoding of its container names is read by nobody and is a finding. CRAM specification 3.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from deid.errors import DeidError, LeakCheckError
from deid.leakcheck import Search, raw_bytes
from deid.leaks.cram_encodings import external_ids, number
from deid.leaks.text import search_sam_header, search_sam_records

DEFINITION = 26
MAX_CONTAINER, MAX_BLOCK = 1 << 27, 1 << 26
OPENERS = {0: "raw", 1: "gzip", 2: "bzip2", 3: "lzma"}
FILE_HEADER, COMPRESSION_HEADER, EXTERNAL = 0, 1, 4
END_START = 4542278  # "EOF" in the start position of the last container
WITHOUT_BASES = "required_fields=7679"  # every field but SEQ (0x1fff without 0x200)


def search_cram(search: Search, blocks: Iterable[bytes]) -> None:
    """Search one CRAM 3. Raises LeakCheckError where it cannot be read to the bottom."""
    from deid.htslib import filtered

    raw = Search(name=search.name, needles=search.needles, show_values=search.show_values)
    try:
        search_sam_records(search, filtered(_walked(raw, raw_bytes(raw, blocks)), _decode))
    except (OSError, ValueError, IndexError, struct.error, zlib.error, lzma.LZMAError, EOFError, DeidError):
        raise LeakCheckError(f"{search.name}: a CRAM that cannot be read, so it is not called clean") from None
    for finding in raw.findings:
        search.keep(finding)


def _decode(source: BinaryIO, sink: BinaryIO) -> None:
    """SAM lines without bases."""
    import pysam

    pysam.set_verbosity(0)
    options = [WITHOUT_BASES, "decode_md=0"]
    with pysam.AlignmentFile(source, "rc", check_sq=False, format_options=options) as reads:
        for read in reads:
            sink.write(read.to_string().encode() + b"\n")


def _walked(search: Search, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes up to the last container, each searched once it is whole; what stands behind is a finding."""
    held, ended = b"", False
    begun = False
    for block in blocks:
        held += block
        if not begun and len(held) >= DEFINITION:
            _definition(search, held)
            yield held[:DEFINITION]
            held, begun = held[DEFINITION:], True
        while begun and not ended and (size := _container_size(held)) is not None:
            ended = search_container(search, held[:size])
            yield held[:size]
            held = held[size:]
    if not ended:
        raise ValueError("no end")
    if held:
        search.add("cram:trailing", "container-field", "medium", "nothing may stand behind the last container")
        search.text("cram:trailing", held, names=True)


def _definition(search: Search, data: bytes) -> None:
    if data[:5] != b"CRAM\3":
        raise ValueError("version")
    name = data[6:DEFINITION]
    if any(name):
        search.add("cram:file-id", "container-field", "medium", "write zeros; htslib writes the file's name")
        search.text("cram:file-id", name.rstrip(b"\0"), names=True)


def _container_size(data: bytes) -> int | None:
    """The bytes of the container that begins here, None while they are not all there."""
    head = _head(data)
    if head is None:
        return None
    size = head[0] + struct.unpack_from("<i", data)[0]
    if not head[0] <= size <= MAX_CONTAINER:
        raise ValueError("size")
    return size if len(data) >= size else None


def _head(data: bytes) -> tuple[int, int, int, int] | None:
    """Where the container's header ends, and its start position, records and blocks; None while it is not whole."""
    try:
        at, values = 4, list[int]()
        for _ in range(7):  # reference, start, span, records, record counter, bases, blocks
            value, at = number(data, at, long=len(values) in (4, 5))
            values.append(value)
        landmarks, at = number(data, at)
        for _ in range(landmarks):
            _, at = number(data, at)
        (summed,) = struct.unpack_from("<I", data, at)
    except (IndexError, struct.error):
        return None
    if summed != zlib.crc32(data[:at]):
        raise ValueError("checksum")
    return at + 4, values[1], values[3], values[6]


def search_container(search: Search, data: bytes) -> bool:
    """Search one whole container; whether it is the last."""
    head = _head(data)
    if head is None:
        raise ValueError("head")
    at, start, records, count = head
    known: set[int] | None = None
    for _ in range(count):
        method, kind, identity, opened, at = _block(data, at)
        if kind == FILE_HEADER:
            _file_header(search, opened)
        elif kind == COMPRESSION_HEADER and records:
            known = external_ids(opened)
        elif kind == EXTERNAL and known is not None and identity not in known:
            search.add(f"cram:block {identity}", "unread-block", "medium", "no record reads this block")
        hits = (
            search.needles.find(opened, naming=False) if method in OPENERS else search.needles.find_compressed(opened)
        )
        for found in hits:
            search.hit(f"cram:block {identity} of kind {kind}", found)
    if at != len(data):
        raise ValueError("length")
    return records == 0 and start == END_START


def _block(data: bytes, at: int) -> tuple[int, int, int, bytes, int]:
    begin, (method, kind) = at, data[at : at + 2]
    identity, at = number(data, at + 2)
    stored, at = number(data, at)
    size, at = number(data, at)
    body = data[at : at + stored]
    at += stored
    if size > MAX_BLOCK or stored < 0 or struct.unpack_from("<I", data, at)[0] != zlib.crc32(data[begin:at]):
        raise ValueError("block")
    opened = _opened(method, body, size)
    if method in OPENERS and len(opened) != size:
        raise ValueError("block")
    return method, kind, identity, opened, at + 4


def _opened(method: int, body: bytes, size: int) -> bytes:
    """What a block holds, at most a byte more than it says; a codec of CRAM's own stays closed."""
    if method == 1:
        return zlib.decompressobj(wbits=47).decompress(body, size + 1)
    if method == 2:
        return bz2.BZ2Decompressor().decompress(body, size + 1)
    if method == 3:
        return lzma.LZMADecompressor().decompress(body, size + 1)
    return body


def _file_header(search: Search, body: bytes) -> None:
    size = int.from_bytes(body[:4], "little")
    search_sam_header(search, body[4 : 4 + size].rstrip(b"\0").splitlines())
    if any(body[4 + size :]):
        search.add("cram:header-padding", "container-field", "medium", "the room behind the header holds bytes")
