"""Search an index (tbi, csi, bai): the contig names it stores, its numbers as bytes, and whatever stands behind them.

An index is read to its last byte by its own structure (SAM specification section 5.2; tabix and CSI specifications); a
``.crai`` or ``.fai`` is text and is searched as such. That it belongs to the released file, and not to the source, is
the maker's business: it is always made anew.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from deid.errors import LeakCheckError
from deid.leakcheck import Search

MAGICS = (b"BAI\1", b"TBI\1", b"CSI\1")
MAX_INDEX = 1 << 29
_TABIX = 28  # format, four columns and skip, then the length of the names


def search_index(search: Search, blocks: Iterable[bytes]) -> None:
    """Search one decompressed index. Raises LeakCheckError where its structure does not hold."""
    data = b""
    for block in blocks:
        data += block
        if len(data) > MAX_INDEX:
            raise LeakCheckError(f"{search.name}: an absurdly long index, so it is not called clean")
    try:
        end, names = _read(data)
    except (struct.error, ValueError):
        raise LeakCheckError(f"{search.name}: an index that cannot be read, so it is not called clean") from None
    for number, name in enumerate(names, start=1):
        search.text(f"index:name {number}", name)
    for found in search.needles.find(data, naming=False):
        search.hit(f"index:byte {found.start}", found)
    if end < len(data):
        search.add("index:trailing", "container-field", "medium", "an index ends with its last number")
        search.text("index:trailing", data[end:], names=True)


def _read(data: bytes) -> tuple[int, list[bytes]]:
    """Where the structure ends, and the names in it."""
    magic, at, names = data[:4], 4, b""
    if magic == b"CSI\1":
        _, _, size = struct.unpack_from("<3i", data, at)
        names = _names(data[at + 12 : at + 12 + size]) if size else b""
        at += 12 + size
        (count,) = struct.unpack_from("<i", data, at)
        at += 4
    else:
        (count,) = struct.unpack_from("<i", data, at)
        at += 4
        if magic == b"TBI\1":
            names = _names(data[at:])
            at += _TABIX + len(names)
    for _ in range(_positive(count)):
        at = _bins(data, at, magic)
    # The number of records without a place may follow.
    return (at + 8 if len(data) - at >= 8 else at), [name for name in names.split(b"\0") if name]


def _names(data: bytes) -> bytes:
    (size,) = struct.unpack_from("<i", data, _TABIX - 4)
    if len(data) < _TABIX + _positive(size):
        raise ValueError
    return data[_TABIX : _TABIX + size]


def _bins(data: bytes, at: int, magic: bytes) -> int:
    (bins,) = struct.unpack_from("<i", data, at)
    at += 4
    skipped = 12 if magic == b"CSI\1" else 4
    for _ in range(_positive(bins)):
        (chunks,) = struct.unpack_from("<i", data, at + skipped)
        at += skipped + 4 + 16 * _positive(chunks)
    if magic != b"CSI\1":
        (windows,) = struct.unpack_from("<i", data, at)
        at += 4 + 8 * _positive(windows)
    if at > len(data):
        raise ValueError
    return at


def _positive(value: int) -> int:
    if value < 0:
        raise ValueError
    return value
