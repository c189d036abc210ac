"""CRAM below what htslib shows: blocks nobody reads, padding, damaged containers; numbers in both lengths."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import pysam
import pytest

from deid.errors import LeakCheckError
from deid.leakcheck import Search, check
from deid.leaks.cram import search_container
from deid.leaks.cram_encodings import number
from deid.needles import Needles

WHO = "LiMing-00417"


def kinds(data: bytes) -> set[tuple[str, str]]:
    return {(one.where, one.kind) for one in check(io.BytesIO(data), name="x", source_identifiers=[WHO])}


def itf8(value: int) -> bytes:
    """By the table of the specification, section 2.3, written out."""
    if value < 1 << 7:
        return bytes([value])
    if value < 1 << 14:
        return bytes([0x80 | value >> 8, value & 255])
    if value < 1 << 21:
        return bytes([0xC0 | value >> 16, value >> 8 & 255, value & 255])
    return bytes([0xE0 | value >> 24, value >> 16 & 255, value >> 8 & 255, value & 255])


def summed(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))


def block(kind: int, identity: int, body: bytes, *, method: int = 0) -> bytes:
    stored = zlib.compress(body, wbits=31) if method == 1 else body
    return summed(bytes([method, kind]) + itf8(identity) + itf8(len(stored)) + itf8(len(body)) + stored)


@pytest.fixture
def cram(tmp_path: Path) -> bytes:
    rng = random.Random(1)
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "1", "LN": 99, "M5": "0" * 32}], "RG": [{"ID": "g", "SM": "s"}]}
    path = tmp_path / "x.cram"
    with pysam.AlignmentFile(str(path), "wc", header=header, format_options=["version=3.0"]) as sink:
        for at in range(50):
            read = pysam.AlignedSegment(sink.header)
            read.query_name, read.flag = f"r{at}", 4
            read.query_sequence = "".join(rng.choices("ACGT", k=20))
            read.query_qualities = pysam.qualitystring_to_array("I" * 20)
            sink.write(read)
    data = path.read_bytes()
    return data[:6] + bytes(20) + data[26:]


def with_block(cram: bytes, extra: bytes) -> bytes:
    """The header's container with one more block behind the header, which readers pass over."""
    end = next(n for n in range(30, 90) if zlib.crc32(cram[26:n]) == struct.unpack_from("<I", cram, n)[0]) + 4
    (size,) = struct.unpack_from("<i", cram, 26)
    text = b"@HD\tVN:1.6\n@SQ\tSN:1\tLN:99\tM5:" + b"0" * 32 + b"\n@RG\tID:g\tSM:s\n"
    body = block(0, 0, struct.pack("<i", len(text)) + text) + extra
    head = struct.pack("<i", len(body)) + itf8(0) * 4 + b"\0\0" + itf8(2) + itf8(0)
    return cram[:26] + summed(head) + body + cram[end + size :]


def test_a_plain_or_packed_block_that_htslib_passes_over_is_searched(cram: bytes) -> None:
    for method in (0, 1):
        where = kinds(with_block(cram, block(4, 7, f"ward 3, {WHO}".encode(), method=method)))
        assert ("cram:block 7 of kind 4", "source-identifier") in where


def test_a_clean_cram_has_no_finding_but_its_header(cram: bytes) -> None:
    assert {kind for _, kind in kinds(cram)} <= {"header-line", "header-tag"}
    assert not any("unread" in kind for _, kind in kinds(cram))


@pytest.mark.parametrize("cut", [1, 20, 38, 60, 200])
def test_a_cut_cram_is_never_called_clean(cram: bytes, cut: int) -> None:
    """Invariant 3."""
    with pytest.raises(LeakCheckError):
        kinds(cram[:-cut])


def test_no_changed_byte_of_a_cram_crashes_the_search(cram: bytes) -> None:
    rng, refused = random.Random(2), 0
    for _ in range(200):
        at = rng.randrange(26, len(cram))
        try:
            kinds(cram[:at] + bytes([cram[at] ^ rng.randrange(1, 256)]) + cram[at + 1 :])
        except LeakCheckError:
            refused += 1
    assert refused > 150


def test_numbers_are_read_as_the_specification_writes_them() -> None:
    for value in (0, 1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**28 - 1):
        assert number(itf8(value) + b"rest", 0) == (value, len(itf8(value)))
    assert number(b"\xff\xff\xff\xff\x0f", 0) == (-1, 5)
    assert number(b"\xff" * 9, 0, long=True) == (-1, 9)
    assert number(b"\xff" + (5).to_bytes(8, "big"), 0, long=True) == (5, 9)
    assert number(b"\x81\x02", 0, long=True) == (258, 2)
    with pytest.raises(IndexError):
        number(b"\xe0\x00\x00", 0)


def test_a_block_that_no_encoding_names_is_a_finding() -> None:
    series = b"RN" + bytes([5, 2, 0, 3]) + b"QS" + bytes([1, 1, 4]) + b"BA" + bytes([4, 6, 1, 1, 5, 1, 1, 6])
    encodings = bytes([len(series) + 1, 3]) + series
    header = bytes([1, 0]) + encodings + bytes([1, 0])
    blocks = [block(1, 0, header), *(block(4, identity, b"x") for identity in (3, 4, 5, 6, 9))]
    body = b"".join(blocks)
    head = summed(struct.pack("<i", len(body)) + itf8(0) * 3 + itf8(8) + b"\0\0" + itf8(len(blocks)) + itf8(0))
    search = Search(name="x", needles=Needles([WHO]), show_values=False)
    assert search_container(search, head + body) is False
    assert [(one.where, one.kind) for one in search.findings] == [("cram:block 9", "unread-block")]
