"""One record as htslib decoded it, written as BAM (SAM specification section 4.2)."""

from __future__ import annotations

import struct
from array import array

import pysam

from deid.reads.errors import ReadsError
from deid.reads.records import FIXED

NIBBLES = bytes("=ACMGRSVTWYHKDBN".find(chr(code)) & 15 for code in range(256))
ARRAYS = {"b": b"c", "B": b"C", "h": b"s", "H": b"S", "i": b"i", "I": b"I", "f": b"f"}
NUMBERS = {"c": "<b", "C": "<B", "s": "<h", "S": "<H", "i": "<i", "I": "<I", "f": "<f"}
MOST_OPERATIONS = 65535


def to_bam(read: pysam.AlignedSegment) -> bytes:
    """The record with its length in front. Raises ``ReadsError`` (``long_cigar``): BAM holds 65,535 operations."""
    cigar = read.cigartuples or []
    if len(cigar) > MOST_OPERATIONS:
        raise ReadsError("long_cigar", "a read has more CIGAR operations than BAM holds")
    name = (read.query_name or "*").encode("ascii") + b"\0"
    bases = (read.query_sequence or "").encode("ascii").translate(NIBBLES)
    padded = bases + bytes(len(bases) % 2)
    qualities = read.query_qualities
    fixed = FIXED.pack(
        read.reference_id,
        read.reference_start,
        len(name),
        read.mapping_quality,
        0,  # bin: made anew where the record is written
        len(cigar),
        read.flag,
        len(bases),
        read.next_reference_id,
        read.next_reference_start,
        read.template_length,
    )
    parts = [fixed, name, struct.pack(f"<{len(cigar)}I", *(size << 4 | operation for operation, size in cigar))]
    parts.append(bytes(high << 4 | low for high, low in zip(padded[::2], padded[1::2], strict=True)))
    parts.append(b"\xff" * len(bases) if qualities is None else bytes(qualities))
    parts += [_tag(*tag) for tag in read.get_tags(with_value_type=True)]
    body = b"".join(parts)
    return struct.pack("<I", len(body)) + body


def _tag(name: str, value: object, kind: str | int) -> bytes:
    head = name.encode("ascii")
    if isinstance(value, array):
        return head + b"B" + ARRAYS[value.typecode] + struct.pack("<I", len(value)) + value.tobytes()
    code = kind if isinstance(kind, str) else chr(kind)
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogateescape")
        return head + code.encode() + text + (b"" if code == "A" else b"\0")
    if code == "I" and isinstance(value, int):
        value &= 0xFFFFFFFF  # pysam shows what has no sign as if it had one
    return head + code.encode() + struct.pack(NUMBERS[code], value)
