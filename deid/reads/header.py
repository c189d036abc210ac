"""The SAM header and BAM's list of contigs: what is believed of the source's, and our own, written by allow-list.

Believed: contig names, lengths and MD5 sums, whether the reads are sorted by coordinate, and for each read group its
ID, its sample and, where it is one of the specification's words, its platform. Library, barcode, centre, date,
description, programs with their command lines, comments and the address of the reference are passed over unread.
SAM specification sections 1.3 and 4.2. Not here: records.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from deid.reads.errors import ReadsError

MAGIC = b"BAM\x01"
MAX_HEADER = 1 << 26
CONTIG = re.compile(rb"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]{0,253}")
MD5 = re.compile(rb"[0-9a-fA-F]{32}")
PLATFORMS = frozenset(
    b"CAPILLARY DNBSEQ ELEMENT HELICOS ILLUMINA IONTORRENT LS454 ONT PACBIO SINGULAR SOLID ULTIMA".split()
)
GROUP = struct.Struct("<i")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contig:
    """One @SQ: ``md5`` is empty where none is said."""

    name: bytes
    length: int
    md5: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One @RG: ``platform`` is empty where it is none of the specification's."""

    name: bytes
    sample: str
    platform: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHeader:
    """What is believed of a source's header."""

    contigs: tuple[Contig, ...]
    groups: tuple[Group, ...]
    sorted: bool


def parse_header(text: bytes, listed: Sequence[tuple[bytes, int]]) -> SourceHeader:
    """Join the header's text with BAM's own list of contigs, which rules. Raises ``ReadsError`` (``bad_header``)."""
    sums: dict[bytes, bytes] = {}
    groups: dict[bytes, Group] = {}
    is_sorted = False
    for number, line in enumerate(text.rstrip(b"\0").split(b"\n"), start=1):
        if line.endswith(b"\r"):
            raise ReadsError("crlf", f"header line {number} ends with a carriage return")
        fields = {field[:2]: field[3:] for field in line.split(b"\t")[1:] if field[2:3] == b":"}
        if line.startswith(b"@HD\t"):
            is_sorted = fields.get(b"SO") == b"coordinate"
        elif line.startswith(b"@SQ\t") and MD5.fullmatch(fields.get(b"M5", b"")):
            sums[fields.get(b"SN", b"")] = fields[b"M5"].lower()
        elif line.startswith(b"@RG\t"):
            group = _group(fields, number)
            if group.name in groups:
                raise ReadsError("bad_header", f"header line {number} names a read group a second time")
            groups[group.name] = group
    contigs = tuple(Contig(name=name, length=length, md5=sums.get(name, b"")) for name, length in listed)
    if len({contig.name for contig in contigs}) != len(contigs):
        raise ReadsError("bad_header", "the header lists a contig twice")
    return SourceHeader(contigs=contigs, groups=tuple(groups.values()), sorted=is_sorted)


def _group(fields: Mapping[bytes, bytes], number: int) -> Group:
    platform = fields.get(b"PL", b"").upper()
    try:
        sample = fields.get(b"SM", b"").decode("utf-8")
    except UnicodeDecodeError:
        raise ReadsError("not_utf8", f"header line {number} is not UTF-8") from None
    if not fields.get(b"ID"):
        raise ReadsError("bad_header", f"header line {number} is a read group without ID")
    return Group(name=fields[b"ID"], sample=sample, platform=platform if platform in PLATFORMS else b"")


def take_header(text: bytes) -> tuple[SourceHeader, int] | None:
    """The header at the start of decompressed BAM and how many bytes it takes; None where more bytes are needed.

    Raises ``ReadsError``: ``not_bam``, ``bad_header``.
    """
    if text[:4] != MAGIC[: len(text)]:
        raise ReadsError("not_bam", "the file does not begin with BAM\\1")
    if len(text) < 12:
        return None
    size = struct.unpack_from("<I", text, 4)[0]
    if size > MAX_HEADER:
        raise ReadsError("bad_header", f"the header claims more than {MAX_HEADER} bytes")
    if len(text) < 12 + size:
        return None
    listed: list[tuple[bytes, int]] = []
    at = 12 + size
    count = struct.unpack_from("<I", text, 8 + size)[0]
    if count > MAX_HEADER // 16:
        raise ReadsError("bad_header", "the header claims an absurd number of contigs")
    for _ in range(count):
        if len(text) < at + 4:
            return None
        long = struct.unpack_from("<I", text, at)[0]
        if not 2 <= long <= 255:
            raise ReadsError("bad_header", "the header has a contig name of an absurd length")
        if len(text) < at + 8 + long:
            return None
        name, length = text[at + 4 : at + 3 + long], GROUP.unpack_from(text, at + 4 + long)[0]
        if not CONTIG.fullmatch(name) or length < 0:
            raise ReadsError("bad_header", "the header has a contig without a valid name or length")
        listed.append((name, length))
        at += 8 + long
    return parse_header(text[8 : 8 + size], listed), at


def read_header(pieces: Iterator[bytes]) -> tuple[SourceHeader, bytes, int]:
    """The header, all bytes that were taken from ``pieces`` for it, and where among them the records begin.

    Raises ``ReadsError``: ``bad_header``, ``crlf``, ``not_utf8``, ``truncated``.
    """
    text, tried = bytearray(), 0
    for piece in chain(pieces, (None,)):
        text += piece or b""
        # Looked at anew only when it has doubled, or a long header would be read as many times as it has pieces.
        if piece is not None and len(text) < 2 * tried:
            continue
        tried = len(text)
        found = take_header(bytes(text))
        if found is not None:
            return found[0], bytes(text), found[1]
    raise ReadsError("truncated", "the file ends inside its header")


def new_groups(source: SourceHeader, participants: Mapping[str, str]) -> list[bytes]:
    """For each source read group its new ID, empty where its participant is not permitted; numbered per participant."""
    counts: dict[str, int] = {}
    made = []
    for group in source.groups:
        code = participants.get(group.sample)
        counts[code or ""] = counts.get(code or "", 0) + 1
        made.append(b"" if code is None else f"{code}.{counts[code]}".encode())
    return made


def header_text(source: SourceHeader, groups: Sequence[tuple[bytes, str, bytes]], *, is_sorted: bool) -> bytes:
    """Our header: @HD, @SQ with name, length and MD5, @RG (new ID, new sample, platform), nothing else."""
    lines = [b"@HD\tVN:1.6\tSO:" + (b"coordinate" if is_sorted else b"unknown")]
    for contig in source.contigs:
        line = b"@SQ\tSN:%b\tLN:%d" % (contig.name, contig.length)
        lines.append(line + (b"\tM5:" + contig.md5 if contig.md5 else b""))
    for name, code, platform in sorted(groups):
        lines.append(b"@RG\tID:%b\tSM:%b" % (name, code.encode()) + (b"\tPL:" + platform if platform else b""))
    return b"\n".join(lines) + b"\n"


def write_header(text: bytes, contigs: Sequence[Contig]) -> bytes:
    """The header as BAM has it: text, then the contigs (section 4.2)."""
    out = [MAGIC, struct.pack("<I", len(text)), text, struct.pack("<I", len(contigs))]
    for contig in contigs:
        out.append(struct.pack("<I", len(contig.name) + 1) + contig.name + b"\0" + struct.pack("<i", contig.length))
    return b"".join(out)
