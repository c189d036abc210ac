"""Singletons, private alleles and kin on the written genotypes, against pysam and simulated families."""

from __future__ import annotations

import gzip
import io
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pysam
import pytest

from deid.errors import DeidError
from deid.genomic import assess_variants, king_robust

HEAD = '##fileformat=VCFv4.3\n##contig=<ID={c}>\n##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'


def vcf(lines: list[str], people: list[str], contig: str = "chr1") -> bytes:
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(people) + "\n"
    body = "".join(
        f"{contig}\t{n}\t.\tA\t{line.split()[0]}\t.\tPASS\t.\tGT\t" + "\t".join(line.split()[1:]) + "\n"
        for n, line in enumerate(lines, 1)
    )
    return (HEAD.format(c=contig) + columns + body).encode()


def test_singletons_and_private_alleles_are_counted_per_allele_as_by_hand() -> None:
    data = vcf(
        [
            "G 0/1 0/0 0/0",  # a singleton of the first
            "G 1/1 0/0 ./.",  # private to the first, two copies
            "G,T 1|2 0/0 2/0",  # G is a singleton of the first, T is shared
            "G 0/1 0/1 0/0",  # shared
            "G,T 0 1 2/2/0",  # haploid and triploid: a singleton of the second, private of the third
        ],
        ["p1", "p2", "p3"],
    )
    found = assess_variants(io.BytesIO(data))
    assert found == {
        "records": 5,
        "participants": 3,
        "singletons_per_participant_max": 2,
        "private_alleles_per_participant_max": 3,
    }
    assert assess_variants(io.BytesIO(gzip.compress(data))) == found


def family(seed: int = 4, sites: int = 4000) -> tuple[list[str], np.ndarray]:
    """Four strangers, two children of the first two (siblings), made by Mendel's rule."""
    draw = np.random.default_rng(seed)
    frequency = draw.uniform(0.1, 0.5, sites)
    founders = draw.random((4, 2, sites)) < frequency
    children = []
    for _ in range(2):
        picks = draw.integers(0, 2, (2, sites))
        children.append([np.where(picks[parent] == 0, founders[parent, 0], founders[parent, 1]) for parent in (0, 1)])
    every = np.concatenate([founders, np.array(children)])
    return ["f1", "f2", "f3", "f4", "c1", "c2"], every


def test_kin_nobody_declared_are_found_and_declared_kin_are_not_counted() -> None:
    people, alleles = family()
    lines = ["G " + " ".join(f"{int(a)}/{int(b)}" for a, b in alleles[:, :, site]) for site in range(alleles.shape[2])]
    data = vcf(lines, people)
    found = assess_variants(io.BytesIO(data))
    assert found["kinship_pairs"] == found["kinship_undeclared"] == 5  # four parent and child, one pair of siblings
    declared = [frozenset(pair) for pair in (("f1", "c1"), ("f2", "c1"), ("f1", "c2"), ("f2", "c2"))]
    assert assess_variants(io.BytesIO(data), declared=declared)["kinship_undeclared"] == 1
    assert found["pedigree_flag_proposed"] == 1
    every = [frozenset(pair) for pair in itertools.combinations(["f1", "f2", "f3", "f4", "c1", "c2"], 2)]
    assert assess_variants(io.BytesIO(data), declared=every)["pedigree_flag_proposed"] == 0


def test_kinship_of_twins_parents_and_strangers_is_near_its_expectation() -> None:
    _, alleles = family(9, 20_000)
    dosage = alleles.sum(axis=1).astype(np.int8)
    dosage = np.concatenate([dosage, dosage[:1]])
    kinship = king_robust(dosage)
    assert kinship[0, 6] == pytest.approx(0.5)
    assert kinship[0, 4] == pytest.approx(0.25, abs=0.02)
    assert kinship[4, 5] == pytest.approx(0.25, abs=0.03)
    assert abs(kinship[2, 3]) < 0.03
    np.testing.assert_allclose(kinship, kinship.T, atol=1e-6)


def test_kinship_needs_autosomes_and_enough_sites() -> None:
    people, alleles = family(sites=400)
    lines = ["G " + " ".join(f"{int(a)}/{int(b)}" for a, b in alleles[:, :, site]) for site in range(400)]
    assert "kinship_pairs" not in assess_variants(io.BytesIO(vcf(lines, people, contig="chrX")))
    assert "kinship_pairs" not in assess_variants(io.BytesIO(vcf(lines[:50], people)))


@pytest.mark.parametrize(
    "data", [b"\x1f\x8bbroken", gzip.compress(vcf(["G 0/1"], ["p"]))[:-9], vcf(["G 0/1 0/0"], ["p"])]
)
def test_a_file_that_cannot_be_read_has_no_figures(data: bytes) -> None:
    with pytest.raises(DeidError) as caught:
        assess_variants(io.BytesIO(data))
    assert caught.value.code == "assess_unreadable"


def test_singletons_of_the_thousand_genomes_cohort_equal_those_of_pysam(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "deid" / "vcf" / "1KG_phase3_subset_chr22.vcf.gz"
    singles: Counter[str] = Counter()
    plain = tmp_path / "plain.vcf"
    plain.write_bytes(gzip.decompress(path.read_bytes()))  # the file is gzip, not BGZF, which pysam does not open
    with pysam.VariantFile(str(plain)) as file:
        for record in file:
            calls = [(name, sample.allele_indices or ()) for name, sample in record.samples.items()]
            for allele in range(1, len(record.alleles or ())):
                carriers = [(name, held.count(allele)) for name, held in calls if allele in held]
                if sum(count for _, count in carriers) == 1:
                    singles[carriers[0][0]] += 1
    found = assess_variants(io.BytesIO(path.read_bytes()))
    assert found["singletons_per_participant_max"] == max(singles.values())
    assert found["participants"] == 1126
    assert found["kinship_pairs"] == found["kinship_undeclared"]
