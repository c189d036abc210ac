"""Substituted reads give no variant back: callers find none, and what the bases were changes no byte."""

from __future__ import annotations

import random
import shutil
import subprocess

import pysam
import pytest

from deid.indexes import index_reads
from deid.reads import ReadsError

STEPS = ({"reference-substituted": {}},)
has_callers = pytest.mark.skipif(shutil.which("bcftools") is None, reason="bcftools is not installed")


def calls(path, reference) -> int:
    """Variants that bcftools calls."""
    pile = subprocess.run(
        ["bcftools", "mpileup", "--no-version", "-Ou", "-f", str(reference.path), str(path)],
        capture_output=True, check=True,
    )  # fmt: skip
    called = subprocess.run(
        ["bcftools", "call", "--no-version", "-mv"], input=pile.stdout, capture_output=True, check=True
    )
    return sum(not line.startswith(b"#") for line in called.stdout.splitlines())


def depth(path) -> list[int]:
    with pysam.AlignmentFile(str(path)) as reads:
        parts = reads.count_coverage("17", 0, 4200, quality_threshold=0)
        return [sum(four) for four in zip(*parts, strict=True)]


def correlation(a, b) -> float:
    n, mean_a, mean_b = len(a), sum(a) / len(a), sum(b) / len(b)
    cov = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)) / n
    var_a, var_b = (sum((x - m) ** 2 for x in v) / n for v, m in ((a, mean_a), (b, mean_b)))
    return cov / (var_a * var_b) ** 0.5


@has_callers
@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_variant_is_called_on_what_is_written_and_depth_is_kept(made, real, real_reference, tmp_path, number):
    source = real / f"mpileup.{number}.bam"
    with pysam.AlignmentFile(str(source)) as reads:
        people = {group["SM"]: "p1" for group in reads.header.to_dict()["RG"]}
        eligible = sum(not read.flag & 0xF04 for read in reads)
    counts, out = made.run(source.read_bytes(), STEPS, people=people, reference=real_reference)
    path = tmp_path / "out.bam"
    path.write_bytes(out)
    index_reads(path)
    assert calls(source, real_reference) >= 3
    assert calls(path, real_reference) == 0
    assert counts.records_out >= 0.95 * eligible
    assert correlation(depth(source), depth(path)) >= 0.95
    assert {read.cigarstring for read in made.read(out)} <= {f"{length}M" for length in range(20, 300)}


def test_inv10_neither_bases_nor_indels_nor_clips_nor_mates_change_a_byte(made, reference):
    """Invariant 10: two people with different genomes and the same fragments give the same file."""

    def source(seed: int) -> bytes:
        rng, reads = random.Random(seed), []
        for at in range(40, 2800, 5):
            cigar, shift = rng.choice([("20M", 0), ("5S15M", 5), ("12M4I4M", 0), ("9M30D11M", 0), ("15M5S", 0)])
            reads.append({
                "name": f"r{at}", "at": at + shift, "cigar": cigar, "bases": "".join(rng.choices("ACGT", k=20)),
                "quality": "".join(rng.choices("#AI", k=20)), "flag": rng.choice([0x1, 0x3, 0x41 - 0x40]),
                "mate": (0, rng.randrange(2900)), "template": rng.randrange(900),
                "tags": [("RG", "H3.1"), ("NM", rng.randrange(5)), ("SA", "X,5,+,9M,1,1;")],
            })  # fmt: skip
        return made.bam(sorted(reads, key=lambda read: read["at"]))

    views = {made.run(source(seed), STEPS, reference=reference)[1] for seed in range(5)}
    assert len(views) == 1
    reads = made.read(views.pop())
    assert len(reads) == len(range(40, 2800, 5))
    assert [read.reference_start for read in reads] == sorted(read.reference_start for read in reads)
    with pysam.FastaFile(str(reference.path)) as fasta:
        assert all(
            r.query_sequence == fasta.fetch("1", r.reference_start, r.reference_start + 20).upper() for r in reads
        )


def test_mates_do_not_share_a_name_since_their_distance_would_show(made, reference):
    source = made.bam([{"name": "a", "flag": 0x41}, {"name": "a", "flag": 0x81, "at": 150}])
    one, other = made.read(made.run(source, STEPS, reference=reference)[1])
    assert one.query_name != other.query_name
    assert {one.flag, other.flag} == {0}


def test_spliced_unmapped_and_boundlessly_clipped_reads_are_left_out(made, reference):
    reads = [
        {"name": "a", "cigar": "5M50N5M"},
        {"name": "b", "cigar": "9500H10M9000H"},
        {"name": "c", "cigar": "10M"},
        {"name": "d", "flag": 4, "cigar": "10M"},
    ]
    counts, out = made.run(made.bam(reads), STEPS, reference=reference)
    assert len(made.read(out)) == 1
    assert dict(counts.removed) == {"no_substitute": 2, "flag": 1}


def test_a_read_at_either_end_of_a_contig_stays_inside_it(made, reference):
    source = made.bam([{"at": 2, "cigar": "6S4M"}, {"at": 2996, "cigar": "4M6S"}])
    found = [
        (read.reference_start, read.reference_end)
        for read in made.read(made.run(source, STEPS, reference=reference)[1])
    ]
    assert found == [(0, 10), (2990, 3000)]


def test_without_a_reference_or_sorting_nothing_is_substituted(made, reference):
    with pytest.raises(ReadsError) as caught:
        made.run(made.bam([{}]), STEPS)
    assert caught.value.code == "no_reference"
    header = {**made.HEADER, "HD": {"VN": "1.6"}}
    with pytest.raises(ReadsError) as caught:
        made.run(made.bam([{}], header), STEPS, reference=reference)
    assert caught.value.code == "unsorted"
