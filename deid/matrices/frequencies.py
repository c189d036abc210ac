"""Allele frequencies of a cohort: a sites-only VCF in which small numbers do not stand.

The promise: only alleles that enough people carry leave (the recipe's ``fewest-carriers``), at sites where enough
copies of REF are left, counted over one frozen set of participants. A second snapshot is refused unless at least
``batch`` people joined and left changed between the two, so that two snapshots never tell one person.
The reading and counting is ``deid.variants``'s. Not here: the membership power of what is released (``deid.genomic``),
and where snapshots are kept.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from deid.matrices.errors import MatrixError
from deid.variants import VariantCounts, VariantPlan, core_view
from deid.variants.stream import Workers, Written, read_text, split_header, whole_lines, write_text

BATCH = 10
LEAST = {"open": 10, "registered": 10, "controlled": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequencyPlan:
    """``carriers``: fewer people than this suppress an allele; ``batch``: fewest people between two snapshots."""

    carriers: int
    batch: int = BATCH


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
) -> VariantCounts:
    """Write sites with AC, AN and AF over the permitted participants; ``earlier``: whom the last snapshot counted.

    Suppressed are alleles with fewer carriers than the floor, and sites with fewer than twice as many copies of REF: a
    frequency of nearly everybody names those who lack it.
    """
    if earlier is not None:
        check_snapshot(plan, earlier, list(participants))
    if len(participants) < 2 * plan.carriers:
        raise MatrixError("too_few_people", "there are not twice as many people as the fewest carriers")
    info = ("AC", "AN", "AF")
    rules = VariantPlan(info=info, format=("GT",), sites_only=True, private="drop", carriers=plan.carriers)
    workers = Workers(threads)
    try:
        with io.BytesIO() as whole:  # sites only: small, and a sandboxed child may write no file
            counts = core_view(rules, source, whole, participants=participants, threads=threads, level=1)
            whole.seek(0)
            written, kept = Written(sink), [0]
            write_text(_with_reference(plan, read_text(whole, workers), kept), written, workers, 6)
    finally:
        workers.close()
    suppressed = counts.records_out - kept[0]
    removed = {**counts.removed, **({"few_reference": suppressed} if suppressed else {})}
    return replace(counts, records_out=kept[0], removed=removed, digest=written.digest(), bytes=written.size)


def _with_reference(plan: FrequencyPlan, pieces: Iterator[bytes], kept: list[int]) -> Iterator[bytes]:
    """The lines on which REF has copies enough; our own lines, so that INFO is AC, AN, AF."""
    head, rest = split_header(pieces)
    yield head
    for chunk in whole_lines(rest, pieces):
        lines = []
        for line in bytes(chunk).splitlines(keepends=True):
            copies, called = (field.split(b"=")[1] for field in line.split(b"\t")[7].split(b";")[:2])
            if int(called) - sum(map(int, copies.split(b","))) >= 2 * plan.carriers:
                lines.append(line)
        kept[0] += len(lines)
        yield b"".join(lines)
