"""Measure what a file of genotypes gives away, on the very bytes that would leave.

A reader of its own, independent of the code that wrote the file. Genotypes of a person are always linkable (GB/T
42460-2023 level 2 at best), so nothing here says "safe": singletons (alleles counted once in the file), private
alleles (carried by one participant, once or twice) and close kin nobody declared. Kinship is KING-robust
(Manichaikul 2010, between families) over autosomal sites with one ALT and diploid calls; 0.0442 is the border of
third-degree kin. It takes the first 20,000 such sites and at most 3,000 people, else its keys are absent.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from deid import native
from deid.bgzf import (
    ContainerError,
    Incoming,
    block_groups,
    gzip_groups,
    inflate_blocks,
    is_bgzf,
    is_gzip,
    plain_groups,
)
from deid.containers import aligned
from deid.errors import DeidError
from deid.variants.errors import VariantError

THIRD_DEGREE = 0.0442
MAX_SITES, MAX_PEOPLE, MIN_SHARED, MAX_ALLELE = 20_000, 3_000, 100, 4096
_AUTOSOME = re.compile(rb"(?:chr)?(?:[1-9]|1[0-9]|2[0-2])\Z")
_DIPLOID = {b"0/0": 0, b"0/1": 1, b"1/0": 1, b"1/1": 2}
Matrix = npt.NDArray[np.float32]
Places: TypeAlias = npt.NDArray[np.int64]


@dataclass(slots=True)
class _Seen:
    """What has been counted so far; ``dosage`` holds one row of ALT counts for each site that kinship is judged on."""

    people: list[bytes]
    dosage: npt.NDArray[np.int8]
    singles: npt.NDArray[np.int64]
    private: npt.NDArray[np.int64]
    records: int = 0
    sites: int = 0

    @classmethod
    def of(cls, people: list[bytes]) -> _Seen:
        count = len(people)
        rows = MAX_SITES if 2 <= count <= MAX_PEOPLE else 0
        return cls(people, np.empty((rows, count), np.int8), np.zeros(count, np.int64), np.zeros(count, np.int64))


def assess_variants(released: BinaryIO, *, declared: Collection[frozenset[str]] = ()) -> dict[str, Any]:
    """The ``genomic`` part of a report. ``declared`` holds pairs of names that a pedigree already states as kin.

    Raises DeidError when the file is not a readable VCF (plain or gzip) or BCF.
    """
    try:
        seen = _count_all(aligned(_texts(released)))
    except (OSError, EOFError, zlib.error, ValueError, IndexError, ContainerError, VariantError):
        raise DeidError("released VCF: cannot be read, so its risk is unknown", code="assess_unreadable") from None
    found: dict[str, Any] = {
        "records": seen.records,
        "participants": len(seen.people),
        "singletons_per_participant_max": int(seen.singles.max(initial=0)),
        "private_alleles_per_participant_max": int(seen.private.max(initial=0)),
    }
    if seen.sites >= MIN_SHARED:
        found |= _kin(seen, declared)
    return found


def _texts(released: BinaryIO) -> Iterator[bytes]:
    """VCF text in large pieces, whatever it is packed in; a BCF is decoded by htslib."""
    pieces = _unpacked(released)
    first = next(pieces, b"")
    if first.startswith(b"BCF\x02"):
        from deid.variants.bcf import bcf_to_text

        yield from bcf_to_text(chain((first,), pieces))
        return
    yield first
    yield from pieces


def _unpacked(released: BinaryIO) -> Iterator[bytes]:
    incoming = Incoming(released)
    start = incoming.peek(18)
    if is_bgzf(start):
        for group in block_groups(incoming):
            yield inflate_blocks(group)
    elif is_gzip(start):
        yield from gzip_groups(incoming)
    else:
        yield from plain_groups(incoming)


def _count_all(blocks: Iterator[bytes]) -> _Seen:
    header = b""
    for block in blocks:
        header += block
        found = re.search(rb"^[^#]", header, re.MULTILINE)
        if found:
            seen = _Seen.of(_people(header[: found.start()]))
            for records in chain([header[found.start() :]], blocks):
                count_block(records, seen)
            return seen
    return _Seen.of(_people(header))


def _people(header: bytes) -> list[bytes]:
    columns = [line for line in header.splitlines() if line.startswith(b"#CHROM\t")]
    return columns[-1].split(b"\t")[9:] if columns else []


def count_block(block: bytes, seen: _Seen) -> None:
    """Count whole record lines. Raises ValueError for a line that does not hold together."""
    if not native.has_measure:
        count_block_in_python(block, seen)
        return
    records, seen.sites = native._measure.genotypes(block, seen.singles, seen.private, seen.dosage, seen.sites)
    seen.records += records


def count_block_in_python(block: bytes, seen: _Seen) -> None:
    """The kernel's twin."""
    for line in block.split(b"\n"):
        if line:
            _take(line.removesuffix(b"\r"), seen)


def _take(line: bytes, seen: _Seen) -> None:
    cells = line.split(b"\t")
    if len(cells) < 8 or (seen.people and len(cells) != 9 + len(seen.people)):
        raise ValueError
    seen.records += 1
    if not seen.people or cells[8].split(b":", 1)[0] != b"GT":
        return
    calls = [cell.split(b":", 1)[0].replace(b"|", b"/") for cell in cells[9:]]
    _count(calls, seen)
    if b"," not in cells[4] and _AUTOSOME.match(cells[0]) and seen.sites < len(seen.dosage):
        dosage = np.fromiter((_DIPLOID.get(call, -1) for call in calls), np.int8, len(calls))
        seen.dosage[seen.sites] = dosage
        seen.sites += bool((dosage == 1).any())


def _count(calls: list[bytes], seen: _Seen) -> None:
    copies: dict[int, Counter[int]] = {}
    for person, call in enumerate(calls):
        if call == b"0/0":
            continue
        for allele in call.split(b"/"):
            if allele != b"." and not allele.isdigit():
                raise ValueError
            number = 0 if allele == b"." else int(allele)
            if number > MAX_ALLELE:
                raise ValueError
            if number:
                copies.setdefault(number, Counter())[person] += 1
    for holders in copies.values():
        if len(holders) == 1:
            (person, count) = next(iter(holders.items()))
            seen.private[person] += 1
            seen.singles[person] += count == 1


def _kin(seen: _Seen, declared: Collection[frozenset[str]]) -> dict[str, int]:
    first, second = close_pairs(seen.dosage[: seen.sites])
    names = [name.decode("utf-8", "replace") for name in seen.people]
    pairs = [frozenset((names[a], names[b])) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    known = set(declared)
    undeclared = sum(pair not in known for pair in pairs)
    return {
        "kinship_pairs": len(pairs),
        "kinship_undeclared": undeclared,
        # Relatives in a dataset that declares none: its manifest's pedigree flag should be yes.
        "pedigree_flag_proposed": int(undeclared > 0),
        "kinship_sites": seen.sites,
    }


def close_pairs(sites: npt.NDArray[np.int8]) -> tuple[Places, Places]:
    """Pairs above third-degree kin from ALT counts (sites x people; -1 is missing): their first and second people."""
    if not native.has_measure:
        kinship = king_robust(sites.T)
        first, second = np.nonzero(np.triu(kinship > THIRD_DEGREE, 1))
        return first.astype(np.int64), second.astype(np.int64)
    planes = np.stack([_bits(sites == 1), _bits(sites == 0), _bits(sites == 2), _bits(sites >= 0)], axis=1)
    people, words = sites.shape[1], planes.shape[2] // 8
    packed = np.ascontiguousarray(planes)
    found = native._measure.kin(packed, people, words, MIN_SHARED, THIRD_DEGREE)
    pairs = np.frombuffer(found, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _bits(plane: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """One row of bits for each person, padded to whole words of 64."""
    rows = np.packbits(plane.T, axis=1)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 8)))


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
