"""Masks and panels: BED text to merged, sorted intervals, and two questions about a span.

Coordinates are BED's own: 0-based, half-open (UCSC BED; GA4GH BED v1 section 1.1). Not here: which mask applies.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Mapping
from types import MappingProxyType

from deid.nouns import Noun
from deid.variants.errors import VariantError

LAST_BASE = (1 << 31) - 1
NOWHERE: Mapping[bytes, tuple[int, ...]] = MappingProxyType({})


class Regions(Noun):
    """Per contig name, the starts and the ends of intervals that are sorted and do not touch."""

    starts: Mapping[bytes, tuple[int, ...]] = NOWHERE
    ends: Mapping[bytes, tuple[int, ...]] = NOWHERE

    def overlaps(self, contig: bytes, start: int, end: int) -> bool:
        """Whether any base of [start, end) lies in a region."""
        index = bisect_right(self.ends.get(contig, ()), start)
        starts = self.starts.get(contig, ())
        return index < len(starts) and starts[index] < end

    def contains(self, contig: bytes, start: int, end: int) -> bool:
        """Whether every base of [start, end) lies in a region."""
        index = bisect_right(self.ends.get(contig, ()), start)
        starts = self.starts.get(contig, ())
        return index < len(starts) and starts[index] <= start and self.ends[contig][index] >= end


def parse_bed(text: bytes, *, name: str) -> Regions:
    """Read BED; blank lines and ``#``, ``track``, ``browser`` lines are passed over.

    Raises ``VariantError`` (``bad_bed``) naming ``name`` and the line.
    """
    found: dict[bytes, list[tuple[int, int]]] = {}
    for number, line in enumerate(text.split(b"\n"), start=1):
        line = line.rstrip(b"\r")
        if not line.strip() or line.startswith((b"#", b"track", b"browser")):
            continue
        contig, start, end = _interval(line, name, number)
        found.setdefault(contig, []).append((start, end))
    return _regions(found)


REGION = re.compile(r"(.+?)(?::([0-9,]{1,14})(-([0-9,]{1,14})?)?)?\Z")


def parse_regions(text: str, contigs: Collection[bytes]) -> Regions:
    """What ``CONTIG``, ``CONTIG:BASE``, ``CONTIG:FIRST-`` or ``CONTIG:FIRST-LAST`` stands for; several by spaces.

    Counted as people do: from 1, the last base included, commas allowed. ``CONTIG:BASE`` is that one base, as bcftools
    reads it (samtools reads on to the end of the contig): of two readings the one that gives less.
    Raises ``VariantError`` (``bad_region``).
    """
    found: dict[bytes, list[tuple[int, int]]] = {}
    for part in text.split():
        if part.encode() in contigs:  # a contig's own name may hold a colon
            found.setdefault(part.encode(), []).append((0, LAST_BASE))
            continue
        name, first, last = _range(part)
        if name not in contigs or not 1 <= first <= last:
            raise VariantError("bad_region", "a region is CONTIG, CONTIG:BASE or CONTIG:FIRST-LAST on a known contig")
        found.setdefault(name, []).append((first - 1, last))
    if not found:
        raise VariantError("bad_region", "no region is named")
    return _regions(found)


def _range(part: str) -> tuple[bytes, int, int]:
    match = REGION.match(part)
    if match is None:
        return b"", 1, 1
    numbers = [text.replace(",", "") for text in (match[2] or "1", match[4] or "")]
    first = int(numbers[0] or 0)
    is_open = match[2] is None or (match[3] is not None and not numbers[1])
    return match[1].encode(), first, LAST_BASE if is_open else int(numbers[1] or first)


def _regions(found: Mapping[bytes, list[tuple[int, int]]]) -> Regions:
    merged = {contig: _merge(sorted(spans)) for contig, spans in found.items()}
    return Regions(
        starts={contig: tuple(start for start, _ in spans) for contig, spans in merged.items()},
        ends={contig: tuple(end for _, end in spans) for contig, spans in merged.items()},
    )


def _interval(line: bytes, name: str, number: int) -> tuple[bytes, int, int]:
    columns = line.split(b"\t") if b"\t" in line else line.split()
    if len(columns) < 3 or not columns[0] or not all(c.isdigit() and len(c) <= 10 for c in columns[1:3]):
        raise VariantError("bad_bed", f"{name} line {number} is not contig, start, end")
    start, end = int(columns[1]), int(columns[2])
    if start >= end:
        raise VariantError("bad_bed", f"{name} line {number} has no base between start and end")
    return columns[0], start, end


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
