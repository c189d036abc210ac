"""One record as htslib decoded it, written as BAM (SAM specification section 4.2)."""

from __future__ import annotations

import struct
from array import array
from itertools import starmap

import pysam

from deid.reads.errors import ReadsError
from deid.reads.records import FIXED

DIGITS = str.maketrans("=ACMGRSVTWYHKDBN", "0123456789abcdef")
ARRAYS = {"b": b"c", "B": b"C", "h": b"s", "H": b"S", "i": b"i", "I": b"I", "f": b"f"}
NUMBERS = {code: struct.Struct(f"<{form}") for code, form in zip("cCsSiIf", "bBhHiIf", strict=True)}
MOST_OPERATIONS = 65535


def to_bam(read: pysam.AlignedSegment) -> bytes:
    """The record with its length in front. Raises ``ReadsError`` (``long_cigar``): BAM holds 65,535 operations."""
    cigar = read.cigartuples or []
    if len(cigar) > MOST_OPERATIONS:
        raise ReadsError("long_cigar", "a read has more CIGAR operations than BAM holds")
    name = (read.query_name or "*").encode("ascii") + b"\0"
    bases = read.query_sequence or ""
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
    parts.append(bytes.fromhex(bases.translate(DIGITS) + "0" * (len(bases) % 2)))
    parts.append(b"\xff" * len(bases) if qualities is None else bytes(qualities))
    parts += starmap(_tag, read.get_tags(with_value_type=True))
    body = b"".join(parts)
    return struct.pack("<I", len(body)) + body


def _tag(name: str, value: object, kind: str | int) -> bytes:
    code = kind if isinstance(kind, str) else chr(kind)
    if isinstance(value, str):
        return f"{name}{code}{value}{'' if code == 'A' else chr(0)}".encode("utf-8", "surrogateescape")
    if isinstance(value, array):
        head = name.encode("ascii") + b"B" + ARRAYS[value.typecode]
        return head + struct.pack("<I", len(value)) + value.tobytes()
    if code == "I" and isinstance(value, int):
        value &= 0xFFFFFFFF  # pysam shows what has no sign as if it had one
    return f"{name}{code}".encode("ascii") + NUMBERS[code].pack(value)
