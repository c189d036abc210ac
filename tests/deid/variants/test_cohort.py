"""The 1000 Genomes files, compared record by record with a computation that shares no code with ours.

The sources are read as plain text; what we wrote is read by htslib (pysam). chrX mixes full and half-called genotypes.
"""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pysam
import pysam.bcftools
import pytest

from deid.variants import copy_view, core_view, plan_from_steps

CHROMOSOMES = ["22", "X", *(pytest.param(name, marks=pytest.mark.slow) for name in ("1", "14"))]
STEPS = ({"info": {"keep": ["AC", "AN", "AF", "NS"]}}, {"format": {"keep": ["GT"]}})


def source_of(cohort: Path, chromosome: str) -> Path:
    return cohort / f"1KG_phase3_subset_chr{chromosome}.vcf.gz"


def permitted(cohort: Path, chromosome: str) -> tuple[list[str], dict[str, str]]:
    """All sample names, and a random half of them with codes in a random order."""
    with gzip.open(source_of(cohort, chromosome), "rt") as lines:
        names = next(line for line in lines if line.startswith("#CHROM")).split()[9:]
    rng = random.Random(int(chromosome) if chromosome.isdigit() else 23)
    chosen = rng.sample(names, len(names) // 2)
    codes = rng.sample(range(10**6), len(chosen))
    return names, {name: f"c{code:06d}" for name, code in zip(chosen, codes, strict=True)}


def shortest(ref: str, alts: list[str]) -> tuple[str, list[str]]:
    """REF and ALT without the bases they share at the end."""
    while (
        all(allele.isalpha() and len(allele) > 1 for allele in [ref, *alts]) and len({a[-1] for a in [ref, *alts]}) == 1
    ):
        ref, alts = ref[:-1], [alt[:-1] for alt in alts]
    return ref, alts


def expected(cohort: Path, chromosome: str, least: int = 1) -> list[dict[str, object]]:
    """What must be written, from the text: alleles as strings, so that no numbering of ours is trusted."""
    names, codes = permitted(cohort, chromosome)
    made: list[dict[str, object]] = []
    with gzip.open(source_of(cohort, chromosome), "rt") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            fields = line.rstrip("\n").split("\t")
            alleles = [fields[3], *fields[4].split(",")]
            called = {
                name: cell.replace("/", "|").split("|")
                for name, cell in zip(names, fields[9:], strict=True)
                if name in codes
            }
            numbers = [int(a) for genotype in called.values() for a in genotype if a != "."]
            counts = {number: numbers.count(number) for number in set(numbers) - {0}}
            if not counts or min(counts.values()) < least:
                continue
            kept = sorted(counts)
            ref, alts = shortest(alleles[0], [alleles[number] for number in kept])
            spelt = {"0": ref, ".": None, **{str(n): alt for n, alt in zip(kept, alts, strict=True)}}
            made.append(
                {
                    "site": (fields[0], int(fields[1]), ref),
                    "ac": {alt: counts[number] for number, alt in zip(kept, alts, strict=True)},
                    "an": len(numbers),
                    "ns": sum(genotype != ["."] * len(genotype) for genotype in called.values()),
                    "calls": {codes[name]: tuple(spelt[a] for a in genotype) for name, genotype in called.items()},
                    "phased": {codes[name]: "|" in fields[9 + names.index(name)] for name in list(called)[:20]},
                }
            )
    return made


@pytest.mark.parametrize("chromosome", CHROMOSOMES)
def test_every_record_equals_an_independent_computation(cohort, chromosome, tmp_path, compiled):
    _, codes = permitted(cohort, chromosome)
    view = tmp_path / "core.vcf.gz"
    with source_of(cohort, chromosome).open("rb") as source, view.open("wb") as sink:
        counts = core_view(plan_from_steps(STEPS, {}), source, sink, participants=codes, compiled=compiled)
    wanted = expected(cohort, chromosome)
    pysam.tabix_index(str(view), preset="vcf", force=True)
    with pysam.VariantFile(str(view)) as written:
        assert list(written.header.samples) == sorted(codes.values())
        found = list(written)
        assert len(found) == len(wanted) == counts.records_out
        for record, want in zip(found, wanted, strict=True):
            assert (record.chrom, record.pos, record.ref) == want["site"]
            assert dict(zip(record.alts or (), record.info["AC"], strict=True)) == want["ac"]
            assert (record.info["AN"], record.info["NS"]) == (want["an"], want["ns"])
            assert record.info["AF"] == pytest.approx([ac / want["an"] for ac in record.info["AC"]], rel=1e-5)
            assert {name: call.alleles for name, call in record.samples.items()} == want["calls"]
            assert {name: record.samples[name].phased for name in want["phased"]} == want["phased"]
    singles = dict.fromkeys(codes.values(), 0)
    for want in wanted:
        for alt in (alt for alt, ac in want["ac"].items() if ac == 1):
            singles[next(name for name, call in want["calls"].items() if alt in call)] += 1
    assert counts.singletons_per_participant_max == max(singles.values())
    assert counts.called == tuple(sum(any(want["calls"][name]) for want in wanted) for name in sorted(codes.values()))


def test_the_minimum_allele_count_equals_an_independent_computation(cohort, tmp_path):
    _, codes = permitted(cohort, "22")
    view = tmp_path / "core.vcf.gz"
    plan = plan_from_steps([*STEPS, {"minimum-allele-count": {"count": 5, "action": "drop"}}], {})
    with source_of(cohort, "22").open("rb") as source, view.open("wb") as sink:
        core_view(plan, source, sink, participants=codes)
    with gzip.open(view, "rt") as lines:
        sites = [(f[0], int(f[1]), f[3]) for f in (line.split("\t", 5) for line in lines if line[0] != "#")]
    assert sites == [want["site"] for want in expected(cohort, "22", least=5)]


@pytest.mark.parametrize("chromosome", ["22", "X"])
def test_counts_equal_those_of_bcftools(cohort, chromosome, tmp_path, compiled):
    """htslib recounts what we wrote and finds what we wrote: nothing of the source's INFO survived."""
    _, codes = permitted(cohort, chromosome)
    view = tmp_path / "core.vcf.gz"
    with source_of(cohort, chromosome).open("rb") as source, view.open("wb") as sink:
        core_view(plan_from_steps(STEPS, {}), source, sink, participants=codes, compiled=compiled)
    bare = tmp_path / "bare.vcf"
    bare.write_text(pysam.bcftools.annotate("-x", "INFO", "--no-version", str(view)))
    # `view` with a sample list recounts AC and AN; -s takes every sample, -I would switch that off.
    recounted = pysam.bcftools.view("--no-version", "-s", ",".join(sorted(codes.values())), str(bare))
    theirs = [line.split("\t")[7] for line in recounted.splitlines() if line[0] != "#"]
    with gzip.open(view, "rt") as lines:
        ours = [line.split("\t", 8)[7].split(";")[:2] for line in lines if line[0] != "#"]
    assert len(theirs) > 500
    assert [sorted(info.split(";")) for info in theirs] == [sorted(info) for info in ours]


def test_a_copy_has_the_same_calls_under_the_recipients_names(cohort, tmp_path, compiled):
    _, codes = permitted(cohort, "X")
    view, copy = tmp_path / "core.vcf.gz", tmp_path / "copy.vcf.gz"
    with source_of(cohort, "X").open("rb") as source, view.open("wb") as sink:
        counts = core_view(plan_from_steps(STEPS, {}), source, sink, participants=codes)
    names = {code: f"S{code[::-1]}" for code in codes.values()}
    with view.open("rb") as core, copy.open("wb") as sink:
        copied = copy_view(core, sink, names=names, compiled=compiled)
    assert copied.records == counts.records_out
    with gzip.open(view, "rt") as one, gzip.open(copy, "rt") as other:
        before = [line.rstrip("\n").split("\t") for line in one if not line.startswith("##")]
        after = [line.rstrip("\n").split("\t") for line in other if not line.startswith("##")]
    assert after[0][9:] == sorted(names.values())
    place = [before[0].index(next(code for code, name in names.items() if name == new)) for new in after[0][9:]]
    assert [line[:9] + [line[at] for at in place] for line in before[1:]] == after[1:]
