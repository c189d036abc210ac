"""Allele frequencies of a cohort: a sites-only VCF in which small numbers do not stand.

The promise: only alleles that enough people carry leave (the recipe's ``fewest-carriers``), at sites where enough
copies of REF are left, counted over one frozen set of participants. A second snapshot is refused unless at least
``batch`` people joined and left changed between the two, so that two snapshots never tell one person.
The reading and counting is ``deid.variants``'s, the power of a membership test on the result ``deid.membership``'s; it
is reported and not judged here. Not here: where snapshots are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

from deid.bgzf import Text
from deid.dosages import dosage_of
from deid.matrices.errors import MatrixError
from deid.membership import RATES, Exposure, bound
from deid.variants import VariantCounts, VariantPlan
from deid.variants.core import open_view
from deid.variants.header import write_header
from deid.variants.stream import Workers, Written, read_text, split_header, whole_lines, write_text

BATCH = 10
LEAST = {"open": 10, "registered": 10, "controlled": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequencyPlan:
    """``carriers``: fewer people than this suppress an allele; ``batch``: fewest people between two snapshots."""

    carriers: int
    batch: int = BATCH


class FrequencyCounts(VariantCounts):
    """What was done, and ``membership``: how well what is released tells who was counted (``deid.membership``)."""

    membership: Mapping[str, float]


def frequency_plan(steps: Sequence[Mapping[str, object]], tier: str) -> FrequencyPlan:
    """``fewest-carriers: {count}`` and ``snapshot: {batch}``, neither under the tier's floor."""
    if tier not in LEAST:
        raise MatrixError("bad_step", "frequencies are for the open, registered and controlled tier")
    found = {"fewest-carriers": LEAST[tier], "snapshot": BATCH}
    keys = {"fewest-carriers": "count", "snapshot": "batch"}
    for number, step in enumerate(steps, start=1):
        name = next(iter(step), "") if isinstance(step, Mapping) and len(step) == 1 else ""
        options = step.get(name) if name in keys else None
        value = options.get(keys[name]) if isinstance(options, Mapping) and set(options) == {keys[name]} else None
        if not isinstance(value, int) or isinstance(value, bool) or value < found[name]:
            raise MatrixError("bad_step", f"step {number}: unknown, or under the floor of its tier")
        found[name] = value
    return FrequencyPlan(carriers=found["fewest-carriers"], batch=found["snapshot"])


def check_snapshot(plan: FrequencyPlan, earlier: Sequence[str], now: Sequence[str]) -> None:
    """Raise ``MatrixError`` (``snapshot_too_near``) unless the sets are equal or ``batch`` people lie between them."""
    between = len(set(earlier) ^ set(now))
    if 0 < between < plan.batch:
        raise MatrixError("snapshot_too_near", f"fewer than {plan.batch} people joined or left since the last snapshot")


def core_frequencies(
    plan: FrequencyPlan,
    source: BinaryIO,
    sink: BinaryIO,
    *,
    participants: Mapping[str, str],
    earlier: Sequence[str] | None = None,
    threads: int = 1,
) -> FrequencyCounts:
    """Write sites with AC, AN and AF over the permitted participants; ``earlier``: whom the last snapshot counted.

    Suppressed are alleles with fewer carriers than the floor, and sites with fewer than twice as many copies of REF: a
    frequency of nearly everybody names those who lack it.
    """
    if earlier is not None:
        check_snapshot(plan, earlier, list(participants))
    if len(participants) < 2 * plan.carriers:
        raise MatrixError("too_few_people", "there are not twice as many people as the fewest carriers")
    rules = VariantPlan(info=("AC", "AN", "AF"), format=("GT",), private="drop", carriers=plan.carriers)
    workers, written = Workers(threads), Written(sink)
    released = _Released(floor=2 * plan.carriers, exposure=Exposure(people=len(participants)))
    try:
        view = open_view(rules, source, workers, participants=participants)
        head = write_header(rules.changed(sites_only=True), view.header, ())
        next(view.texts)
        write_text(chain((head,), map(released.chunk, view.texts)), written, workers, 6)
    finally:
        workers.close()
    counts = view.counts(written)
    suppressed = counts.records_out - released.records
    removed = {**counts.removed, **({"few_reference": suppressed} if suppressed else {})}
    kept = {**counts.as_dict(), "records_out": released.records, "removed": removed}
    return FrequencyCounts(**kept, membership=released.exposure.powers())


@dataclass(slots=True, kw_only=True)
class _Released:
    """Lines of a view with genotypes made lines of sites; what each person adds to them is gathered on the way."""

    floor: int
    exposure: Exposure
    records: int = 0

    def chunk(self, text: Text) -> bytes:
        """The lines on which REF has copies enough, without genotypes; our own lines, so that INFO is AC, AN, AF."""
        lines = []
        for line in bytes(text).splitlines():
            fields = line.split(b"\t", 9)
            copies, called = (field.split(b"=")[1] for field in fields[7].split(b";")[:2])
            numbers = list(map(int, copies.split(b",")))
            if int(called) - sum(numbers) >= self.floor:
                lines.append(b"\t".join(fields[:8]) + b"\n")
                for allele in range(1, len(numbers) + 1):
                    self.exposure.add(dosage_of(fields[9], allele, self.exposure.people))
        self.records += len(lines)
        return b"".join(lines)


@dataclass(slots=True)
class _Seen:
    """What a released file of frequencies says of itself."""

    alleles: int = 0
    people: int = 0
    fewest: int | None = None

    def line(self, line: bytes) -> None:
        """One site. Nobody carries more than two copies, so half the copies, rounded up, are people at least."""
        info = dict(part.partition(b"=")[::2] for part in line.split(b"\t", 8)[7].split(b";"))
        copies, called = list(map(int, info[b"AC"].split(b","))), int(info[b"AN"])
        self.alleles += len(copies)
        self.people = max(self.people, called // 2)
        least = -(-min((*copies, called - sum(copies))) // 2)
        self.fewest = least if self.fewest is None else min(self.fewest, least)


def assess_frequencies(released: BinaryIO) -> dict[str, Any]:
    """What a released file gives away, by its own bytes alone.

    ``min_count``: the fewest people who can stand behind a count, that of REF included (0 where there is no site);
    ``genomic``: the membership power from the numbers of alleles and people (``deid.membership.bound``).
    """
    seen, workers = _Seen(), Workers(1)
    pieces = read_text(released, workers)
    _, rest = split_header(pieces)
    for chunk in whole_lines(rest, pieces):
        for line in bytes(chunk).splitlines():
            seen.line(line)
    power = dict(bound(seen.alleles, seen.people)) if seen.alleles else _no_power()
    return {"min_count": seen.fewest or 0, "genomic": power}


def _no_power() -> dict[str, float]:
    return {f"lr_power_at_{name}_fpr": rate for name, rate in RATES.items()}
