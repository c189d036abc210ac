"""Which of some alleles an aligned read shows: single bases, stretches, insertions and deletions wherever they stand.

The promise: an allele counts as shown where the read, laid as its CIGAR says, has ALT's bases in REF's place. An
insertion or a deletion in a repeat may stand at any of several places and be the same: it counts wherever the bases
that the read has between the two places say that it is (VCF 4.3 section 1.6.1; SAM section 1.4.6). The bases that a
deletion takes are in no read: two of one length that these alone could tell apart are taken for the same, since one
too many is held and one too few is given away.
Not here: how many reads make an allele, and whose they are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from deid.dosages import Allele

MATCHES, INSERTION, CLIP, DELETION, SKIP = {0, 7, 8}, 1, 4, 2, 3


class Aligned(Protocol):
    """What is asked of a read, as pysam names it."""

    @property
    def query_sequence(self) -> str | None: ...
    @property
    def reference_start(self) -> int: ...
    @property
    def cigartuples(self) -> Sequence[tuple[int, int]] | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Bases of a read laid one on one from ``start`` on; without any, a gap that only marks the place."""

    start: int
    bases: str

    @property
    def end(self) -> int:
        return self.start + len(self.bases)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What stands between two runs: bases the read has more, or how many of the reference it has not."""

    before: _Run
    after: _Run
    more: str
    fewer: int


@dataclass(slots=True, kw_only=True)
class WantedAlleles:
    """Alleles of one contig, by what shows them; places are from 0. Insertions and deletions are stretches as well."""

    bases: dict[int, dict[str, Allele]] = field(default_factory=dict)
    stretches: list[tuple[int, int, str, Allele]] = field(default_factory=list)
    insertions: dict[int, list[tuple[int, str, Allele]]] = field(default_factory=dict)
    deletions: dict[int, list[tuple[int, str, Allele]]] = field(default_factory=dict)

    def shown(self, read: Aligned) -> set[Allele]:
        """The alleles that the read shows."""
        runs, changes = _laid(read)
        found = {
            named[base]
            for run in runs
            for place, base in enumerate(run.bases, run.start)
            if (named := self.bases.get(place)) and base in named
        }
        if self.stretches and runs:
            found |= self._stretches(runs, changes)
        for change in changes:
            found |= {allele for place, bases, allele in self._near(change) if _is_same(change, place, bases)}
        return found

    def _near(self, change: _Change) -> Iterable[tuple[int, str, Allele]]:
        """Wanted changes of its length at places that the runs on both sides reach."""
        if change.more and not change.fewer:
            listed, reach = self.insertions.get(len(change.more), []), change.after.end
        elif change.fewer and not change.more:
            listed, reach = self.deletions.get(change.fewer, []), change.after.end - change.fewer
        else:
            return []
        return listed[bisect_left(listed, (change.before.start,)) : bisect_right(listed, (reach + 1,))]

    def _stretches(self, runs: Sequence[_Run], changes: Sequence[_Change]) -> set[Allele]:
        first = bisect_left(self.stretches, (runs[0].start,))
        last = bisect_right(self.stretches, (runs[-1].end,))
        return {
            allele
            for start, end, alt, allele in self.stretches[first:last]
            if end <= runs[-1].end and alt in _over(runs, changes, start, end)
        }


def wanted_alleles(alleles: Iterable[Allele]) -> dict[str, WantedAlleles]:
    """The spelt ones of ``alleles`` by contig; symbolic alleles and breakends are shown by no single read."""
    found: dict[str, WantedAlleles] = {}
    for one in alleles:
        ref, alt = one.ref.upper().decode(), one.alt.upper().decode()
        if ref.isalpha() and alt.isalpha():
            _add(found.setdefault(one.contig.decode(), WantedAlleles()), one, ref, alt)
    for wanted in found.values():
        wanted.stretches.sort(key=lambda one: one[:2])
        for listed in (*wanted.insertions.values(), *wanted.deletions.values()):
            listed.sort(key=lambda one: one[:2])
    return found


def _add(wanted: WantedAlleles, allele: Allele, ref: str, alt: str) -> None:
    start = allele.position - 1
    if len(ref) == len(alt) == 1:
        wanted.bases.setdefault(start, {})[alt] = allele
        return
    wanted.stretches.append((start, start + len(ref), alt, allele))
    shorter, longer, kept = (ref, alt, wanted.insertions) if len(ref) < len(alt) else (alt, ref, wanted.deletions)
    if len(shorter) == 1 < len(longer) and shorter in (longer[0], longer[-1]):
        place, bases = (start + 1, longer[1:]) if shorter == longer[0] else (start, longer[:-1])
        kept.setdefault(len(bases), []).append((place, bases, allele))


def _laid(read: Aligned) -> tuple[list[_Run], list[_Change]]:
    """The read's runs of bases, and what stands between two that follow each other; a skip parts them."""
    text, at, place = (read.query_sequence or "").upper(), 0, read.reference_start
    runs: list[_Run] = []
    changes: list[_Change] = []
    more, fewer, parted = "", 0, True
    for operation, length in read.cigartuples or ():
        if operation in MATCHES:
            bases = text[at : at + length]
            if runs and not parted and not more and not fewer:
                bases = runs.pop().bases + bases  # "=" and "X" are one run
                run = _Run(start=place + length - len(bases), bases=bases)
                if changes and changes[-1].after.start == run.start:
                    last = changes.pop()
                    changes.append(_Change(before=last.before, after=run, more=last.more, fewer=last.fewer))
            else:
                run = _Run(start=place, bases=bases)
                if runs and not parted:
                    changes.append(_Change(before=runs[-1], after=run, more=more, fewer=fewer))
            runs.append(run)
            more, fewer, parted = "", 0, False
        elif operation == INSERTION:
            more += text[at : at + length]
        elif operation == DELETION:
            fewer += length
        elif operation == SKIP:
            more, fewer, parted = "", 0, True
        at += length if operation in MATCHES or operation in (INSERTION, CLIP) else 0
        place += length if operation in MATCHES or operation in (DELETION, SKIP) else 0
    return runs, changes


def _is_same(change: _Change, place: int, bases: str) -> bool:
    """Whether the change of a read may be that of ``bases`` at ``place``: nothing between the two tells them apart."""
    here = change.before.end
    if change.more:
        if place <= here:
            between = change.before.bases[place - change.before.start :]
            return bases + between == between + change.more
        between = change.after.bases[: place - here]
        return len(between) == place - here and change.more + between == between + bases
    if place <= here:
        return _repeats(change.before.bases[place - change.before.start :], bases)
    between = change.after.bases[: place - here]
    return len(between) == place - here and _repeats(between[::-1], bases[::-1])


def _repeats(between: str, bases: str) -> bool:
    """Whether ``between`` is ``bases`` over and over, from its beginning on."""
    return between == (bases * (len(between) // len(bases) + 1))[: len(between)]


def _over(runs: Sequence[_Run], changes: Sequence[_Change], start: int, end: int) -> Iterator[str]:
    """What the read has in place of [start, end), with what it has more at either border and without."""
    if not any(run.start <= start <= run.end for run in runs) or not any(run.start <= end <= run.end for run in runs):
        return
    parts = [(run.start, 1, run.bases[max(0, start - run.start) : max(0, end - run.start)]) for run in runs]
    joined = {(change.before.end, change.after.start) for change in changes}
    if any((a.end, b.start) not in joined for a, b in pairwise(runs) if a.end < end and b.start > start):
        return  # a skip: what lies in it was not sequenced
    inside = [
        (change.before.end, 0, change.more)
        for change in changes
        if start <= change.before.end <= change.after.start <= end and (change.fewer or start < change.before.end < end)
    ]
    whole = "".join(part for _, _, part in sorted([*parts, *inside], key=lambda part: part[:2]))
    yield whole
    for change in changes:
        if change.before.end == change.after.start == start:
            yield change.more + whole
        if change.before.end == change.after.start == end:
            yield whole + change.more
