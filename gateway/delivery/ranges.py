"""HTTP byte ranges (RFC 9110 section 14) over a file of known size, one range at a time, and merging of spans."""

from __future__ import annotations

import re
from collections.abc import Iterable

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Unsatisfiable(ValueError):
    """The range lies outside the file: 416."""


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Half-open (start, end), or None for the whole file (no header, or several ranges, which a server may ignore)."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
    if start >= end:
        raise Unsatisfiable
    return start, end


def merge(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted, disjoint half-open spans that cover the same bytes."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def covered(spans: Iterable[tuple[int, int]]) -> int:
    """How many distinct bytes the spans hold."""
    return sum(end - start for start, end in merge(spans))
