"""Search formats made of lines, and BAM: headers by allow-list, then every record.

VCF: header lines off the list, sample names, cells outside the alphabet of genotypes and numbers. SAM and BAM:
header tags off the list. FASTQ: names, and the repetition after ``+``. Anything else is text or bytes and is
searched whole, with the patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from deid import native
from deid.containers import aligned
from deid.errors import LeakCheckError
from deid.leakcheck import Search, decode
from deid.patterns import find_patterns

VCF_LINES = re.compile(rb"##(?:fileformat=|contig=<|FILTER=<|INFO=<|FORMAT=<|ALT=<)")
SAM_TAGS = {b"@HD": b"VN SO GO SS", b"@SQ": b"SN LN M5", b"@RG": b"ID SM PL"}
VCF_COLUMNS = ("CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
_GENOTYPE_BYTES = b"0123456789.,:|/-eE*\t\r"
_ALLOWED = bytes(byte in _GENOTYPE_BYTES for byte in range(256))
_ILLUMINA = re.compile(rb"@[A-Za-z0-9_-]+:[0-9]+:[A-Za-z0-9-]+:[0-9]+:[0-9]+:[0-9]+:[0-9]+")
_MAX_HEADER = 1 << 26


def search_lines(search: Search, head: bytes, blocks: Iterable[bytes]) -> None:
    """Search one decompressed stream by its kind."""
    if head.startswith(b"##fileformat=VCF"):
        _vcf(search, blocks)
    elif head.startswith(b"BAM\1"):
        _bam(search, iter(blocks))
    elif head.startswith(b"BCF\2"):
        from deid.leaks.bcf import search_bcf

        search_bcf(search, blocks)
    elif head[:4] in (b"TBI\1", b"CSI\1", b"BAI\1"):
        from deid.leaks.indexes import search_index

        search_index(search, blocks)
    elif re.match(rb"@(HD|SQ|RG|PG|CO)\t", head):
        _sam(search, blocks)
    elif head.startswith(b"@") and head.count(b"\n") >= 2 and head.split(b"\n")[2][:1] == b"+":
        _fastq(search, blocks)
    else:
        _text(search, blocks)


def _line(block: bytes, at: int, first: int) -> int:
    return first + block.count(b"\n", 0, at)


def header_and_body(blocks: Iterable[bytes], mark: bytes, name: str) -> tuple[list[bytes], Iterator[bytes]]:
    """Lines that begin with the mark, and the rest in blocks of whole lines."""
    lined = aligned(blocks)
    held = b""
    for block in lined:
        held += block
        if len(held) > _MAX_HEADER:
            raise LeakCheckError(f"{name}: the header is absurdly long")
        found = re.search(rb"^[^" + re.escape(mark) + rb"]", held, re.MULTILINE)
        if found:
            return held[: found.start()].splitlines(), chain([held[found.start() :]], lined)
    return held.splitlines(), iter(())


def _vcf(search: Search, blocks: Iterable[bytes]) -> None:
    header, body = header_and_body(blocks, b"#", search.name)
    search_vcf_header(search, header)
    first = 1
    for block in body:
        search_vcf_block(search, block, first)
        first += block.count(b"\n")
        if search.full:
            return


def search_vcf_header(search: Search, lines: Iterable[bytes]) -> None:
    """Lines off the allow-list, and whatever stands in any line."""
    for line in lines:
        if line.startswith(b"#CHROM\t"):
            cells = line.split(b"\t")
            search.text("header:#CHROM", b"\t".join(cells[:9]))
            for number, sample in enumerate(cells[9:], start=1):
                search.text(f"header:sample {number}", sample, names=True)
            continue
        key = decode(line[2:].partition(b"=")[0])[:32]
        allowed = bool(VCF_LINES.match(line))
        if not allowed:
            search.add(f"header:##{key}", "header-line", "medium", "this header line is not on the allow-list")
        # Contigs are called 1 and 2, as patients may be: short numbers count only where names are not expected.
        search.text(f"header:##{key}", line, names=not allowed)


def search_vcf_block(search: Search, block: bytes, first: int) -> None:
    """Search whole record lines, of which the first has the number ``first``."""
    for found in search.needles.find(block, naming=False):
        start = block.rfind(b"\n", 0, found.start) + 1
        column = block.count(b"\t", start, found.start)
        if (
            found.form.bounded
            and column == 1
            and block[found.start - 1 : found.start] + block[found.end : found.end + 1] == b"\t\t"
        ):
            continue  # a position may equal a number
        place = VCF_COLUMNS[column] if column < len(VCF_COLUMNS) else f"sample {column - 8}"
        search.hit(f"record:{_line(block, found.start, first)}:{place}", found)
    for number in odd_lines(block):
        search.add(f"record:{first + number}:samples", "cell", "medium", "neither a genotype nor a number")


def odd_lines(block: bytes) -> list[int]:
    """Numbers, from 0, of the lines whose samples' cells hold a byte off the alphabet of genotypes and numbers."""
    if native.has_measure:
        found: list[int] = np.frombuffer(native._measure.odd_cells(block, _ALLOWED), np.int64).tolist()
        return found
    return odd_lines_in_python(block)


def odd_lines_in_python(block: bytes) -> list[int]:
    """The kernel's twin."""
    split = (line.split(b"\t", 9) for line in block.split(b"\n"))
    return [number for number, cells in enumerate(split) if cells[9:] and cells[9].translate(None, _GENOTYPE_BYTES)]


def search_sam_header(search: Search, lines: Iterable[bytes]) -> None:
    """Lines and tags off the allow-list, and whatever stands in any of them."""
    for line in lines:
        kind, *fields = line.split(b"\t")
        allowed = SAM_TAGS.get(kind, b"").split()
        if not allowed:
            where = f"header:{decode(kind)[:8]}"
            search.add(where, "header-line", "medium", "this header line is not on the allow-list")
            search.text(where, line, names=True)
            continue
        for part in fields:
            tag = part[:2]
            where = f"header:{decode(kind)}:{decode(tag)}"
            if tag not in allowed:
                search.add(where, "header-tag", "medium", "this header tag is not on the allow-list")
            search.text(where, part, names=tag not in allowed or tag in (b"ID", b"SM"))


def _sam(search: Search, blocks: Iterable[bytes]) -> None:
    header, body = header_and_body(blocks, b"@", search.name)
    search_sam_header(search, header)
    search_sam_records(search, body)


def search_sam_records(search: Search, blocks: Iterable[bytes]) -> None:
    """Search SAM lines by column."""
    columns = ("QNAME", "FLAG", "RNAME", "POS", "MAPQ", "CIGAR", "RNEXT", "PNEXT", "TLEN", "SEQ", "QUAL")
    first = 1
    for block in aligned(blocks):
        for found in search.needles.find(block, naming=False):
            start = block.rfind(b"\n", 0, found.start) + 1
            column = block.count(b"\t", start, found.start)
            place = columns[column] if column < len(columns) else "tag"
            search.hit(f"record:{_line(block, found.start, first)}:{place}", found)
        first += block.count(b"\n")


def _bam(search: Search, blocks: Iterator[bytes]) -> None:
    """Header text by allow-list, then the records as bytes: names and text tags stand in them as they are."""
    held = b""
    while len(held) < 8 or len(held) < 8 + int.from_bytes(held[4:8], "little"):
        piece = next(blocks, b"")
        if not piece or len(held) > _MAX_HEADER:
            raise LeakCheckError(f"{search.name}: the BAM header is cut short or absurdly long")
        held += piece
    end = 8 + int.from_bytes(held[4:8], "little")
    search_sam_header(search, held[8:end].rstrip(b"\0").splitlines())
    tail, at = b"", end
    for block in chain([held[end:]], blocks):
        window = tail + block
        for found in search.needles.find(window, naming=False):
            search.hit(f"record:byte {at + found.start}", found)
        tail = window[-max(search.needles.longest, 1) :]
        at += len(window) - len(tail)
        if search.full:
            return


def _fastq(search: Search, blocks: Iterable[bytes]) -> None:
    first = 0
    parts = ("NAME", "SEQ", "PLUS", "QUAL")
    for block in aligned(blocks):
        if first == 0 and _ILLUMINA.match(block):
            search.add("record:1:NAME", "instrument-name", "medium", "read names carry instrument, run and flow cell")
        for found in search.needles.find(block, naming=False):
            line = first + block.count(b"\n", 0, found.start)
            search.hit(f"record:{line // 4 + 1}:{parts[line % 4]}", found)
        first += block.count(b"\n")


def _text(search: Search, blocks: Iterable[bytes]) -> None:
    first = 1
    for block in aligned(blocks):
        for found in search.needles.find(block, naming=True):
            search.hit(f"record:{_line(block, found.start, first)}", found)
        text = decode(block)
        for match in find_patterns(text):
            line = first + text.count("\n", 0, match.start)
            search.add(f"record:{line}", match.kind, match.severity, "a personal number by its form", match.text)
        first += block.count(b"\n")
        if search.full:
            return
