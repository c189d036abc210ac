"""Measure what a file of genotypes gives away, on the very bytes that would leave.

A reader of its own, independent of the code that wrote the file. Genotypes of a person are always linkable (GB/T
42460-2023 level 2 at best), so nothing here says "safe": singletons (alleles counted once in the file), private
alleles (carried by one participant, once or twice) and close kin nobody declared. Kinship is KING-robust
(Manichaikul 2010, between families) over autosomal sites with one ALT and diploid calls; 0.0442 is the border of
third-degree kin. It takes the first 20,000 such sites and at most 3,000 people, else its keys are absent.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from deid.errors import DeidError

THIRD_DEGREE = 0.0442
MAX_SITES, MAX_PEOPLE, MIN_SHARED = 20_000, 3_000, 100
_AUTOSOME = re.compile(rb"(?:chr)?(?:[1-9]|1[0-9]|2[0-2])\Z")
_DIPLOID = {b"0/0": 0, b"0/1": 1, b"1/0": 1, b"1/1": 2}
Matrix = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Seen:
    people: list[bytes] = field(default_factory=list)
    records: int = 0
    singletons: Counter[int] = field(default_factory=Counter)
    private: Counter[int] = field(default_factory=Counter)
    sites: list[npt.NDArray[np.int8]] = field(default_factory=list)


def assess_variants(released: BinaryIO, *, declared: Collection[frozenset[str]] = ()) -> dict[str, Any]:
    """The ``genomic`` part of a report. ``declared`` holds pairs of names that a pedigree already states as kin.

    Raises DeidError when the file is not a readable VCF (plain or gzip).
    """
    seen = _Seen()
    try:
        for line in _lines(released):
            _take(line, seen)
    except (OSError, EOFError, zlib.error, ValueError, IndexError):
        raise DeidError("released VCF: cannot be read, so its risk is unknown", code="assess_unreadable") from None
    found: dict[str, Any] = {
        "records": seen.records,
        "participants": len(seen.people),
        "singletons_per_participant_max": max(seen.singletons.values(), default=0),
        "private_alleles_per_participant_max": max(seen.private.values(), default=0),
    }
    if 2 <= len(seen.people) <= MAX_PEOPLE and len(seen.sites) >= MIN_SHARED:
        found |= _kin(seen, declared)
    return found


def _lines(released: BinaryIO) -> Iterator[bytes]:
    head = released.read(2)
    rest = _Prefixed(head, released)
    if head == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=cast("BinaryIO", rest)) as lines:
            yield from lines
    else:
        data = head + released.read()
        yield from data.splitlines(keepends=True)


class _Prefixed:
    """A stream with the bytes already read put back, so that a pipe can be sniffed."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int = -1) -> bytes:
        head, self._head = self._head, b""
        return head + self._rest.read(size if size < 0 else max(size - len(head), 0))


def _take(line: bytes, seen: _Seen) -> None:
    if line.startswith(b"#"):
        if line.startswith(b"#CHROM\t"):
            seen.people = line.rstrip(b"\r\n").split(b"\t")[9:]
        return
    cells = line.rstrip(b"\r\n").split(b"\t")
    if len(cells) < 8 or (seen.people and len(cells) != 9 + len(seen.people)):
        raise ValueError
    seen.records += 1
    if not seen.people or cells[8].split(b":", 1)[0] != b"GT":
        return
    calls = [cell.split(b":", 1)[0].replace(b"|", b"/") for cell in cells[9:]]
    _count(calls, seen)
    if b"," not in cells[4] and _AUTOSOME.match(cells[0]) and len(seen.sites) < MAX_SITES:
        dosage = np.fromiter((_DIPLOID.get(call, -1) for call in calls), np.int8, len(calls))
        if (dosage == 1).any():
            seen.sites.append(dosage)


def _count(calls: list[bytes], seen: _Seen) -> None:
    copies: dict[bytes, Counter[int]] = {}
    for person, call in enumerate(calls):
        if call == b"0/0":
            continue
        for allele in call.split(b"/"):
            if allele not in (b"0", b"."):
                copies.setdefault(allele, Counter())[person] += 1
    for holders in copies.values():
        if len(holders) == 1:
            (person, count) = next(iter(holders.items()))
            seen.private[person] += 1
            seen.singletons[person] += count == 1


def _kin(seen: _Seen, declared: Collection[frozenset[str]]) -> dict[str, int]:
    kinship = king_robust(np.stack(seen.sites, axis=1))
    first, second = np.nonzero(np.triu(kinship > THIRD_DEGREE, 1))
    names = [name.decode("utf-8", "replace") for name in seen.people]
    pairs = [frozenset((names[a], names[b])) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    known = set(declared)
    return {
        "kinship_pairs": len(pairs),
        "kinship_undeclared": sum(pair not in known for pair in pairs),
        "kinship_sites": len(seen.sites),
    }


def king_robust(dosage: npt.NDArray[np.int8]) -> Matrix:
    """Kinship of each pair from ALT counts (people x sites; -1 is missing); pairs with too few shared sites are 0."""
    hets, low, high = ((dosage == copies).astype(np.float32) for copies in (1, 0, 2))
    called = (dosage >= 0).astype(np.float32)
    both_het = hets @ hets.T
    opposite = low @ high.T + high @ low.T
    mine = hets @ called.T  # heterozygous in the row's person, called in the column's
    fewest = np.minimum(mine, mine.T)
    shared = called @ called.T
    with np.errstate(divide="ignore", invalid="ignore"):
        kinship = (both_het - 2 * opposite) / (2 * fewest) + 0.5 - (mine + mine.T) / (4 * fewest)
    result: Matrix = np.where((fewest > 0) & (shared >= MIN_SHARED), kinship, 0).astype(np.float32)
    return result
