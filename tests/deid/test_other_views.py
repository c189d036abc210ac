"""Alleles left out here and given back there, and people alone in table and genotypes, on files made by hand."""

from __future__ import annotations

import io
from pathlib import Path

import pysam
import pytest

from deid.errors import DeidError
from deid.joint import joint_risk
from deid.other_views import genotype_partition, given_back_by_reads, given_back_by_variants, hidden_alleles
from deid.run import beside
from deid.variants import core_view, plan_from_steps

PEOPLE = ["A", "B", "C"]
CODES = {"A": "c1", "B": "c2", "C": "c3"}
HEAD = (
    "##fileformat=VCFv4.2\n##contig=<ID=1,length=999>\n##FORMAT=<ID=GT,Number=1,Type=String,Description='x'>\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tA\tB\tC\n"
)
DROP = [{"format": {"keep": ["GT"]}}, {"minimum-allele-count": {"count": 2, "action": "drop"}}]
MASKED = [{"format": {"keep": ["GT"]}}, {"mask": {"bed": "m"}}]


def vcf(*records: str) -> bytes:
    lines = ["\t".join(f"1 {record}".replace(" GT ", " . . . GT ").split()) for record in records]
    return (HEAD + "".join(line + "\n" for line in lines)).encode()


SOURCE = vcf(
    "10 . A C GT 0/1 0/0 0/0",  # a singleton: dropped
    "20 . A G GT 0/1 0/1 0/0",  # stays
    "30 . G T GT 0/0 0/0 0/1",  # a singleton
    "40 . CAT C,CGT GT 0/1 0/1 0/2",  # the second is a singleton: the record is dropped
)


def hidden(steps=DROP, **files: bytes) -> set[tuple[int, bytes, bytes]]:
    plan = plan_from_steps(steps, files)
    return {(a.position, a.ref, a.alt) for a in hidden_alleles(plan, io.BytesIO(SOURCE), participants=CODES)}


def test_what_a_plan_leaves_out_is_listed_by_allele() -> None:
    assert hidden() == {(10, b"A", b"C"), (30, b"G", b"T"), (40, b"CAT", b"C"), (41, b"A", b"G")}
    masked = hidden([*DROP[:1], {"minimum-allele-count": {"count": 2, "action": "mask"}}])
    assert masked == {(10, b"A", b"C"), (30, b"G", b"T"), (41, b"A", b"G")}
    assert hidden(MASKED, m=b"1\t0\t15\n") == {(10, b"A", b"C")}
    assert hidden(DROP[:1]) == set()


def test_another_variant_view_gives_back_what_it_holds() -> None:
    plan = plan_from_steps(DROP, {})
    left_out = hidden_alleles(plan, io.BytesIO(SOURCE), participants=CODES)
    other = io.BytesIO()
    only = plan_from_steps([{"format": {"keep": ["GT"]}}, {"mask": {"bed": "m"}}], {"m": b"1\t25\t35\n"})
    core_view(only, io.BytesIO(SOURCE), other, participants=CODES)
    back = given_back_by_variants(left_out, io.BytesIO(other.getvalue()))
    assert {a.position for a in back} == {10, 40, 41}


def bam(folder: Path, reads: list[tuple[int, str, str]]) -> io.BufferedReader:
    path = folder / "r.bam"
    with pysam.AlignmentFile(str(path), "wb", header={"SQ": [{"SN": "1", "LN": 999}]}) as sink:
        for number, (start, cigar, bases) in enumerate(reads):
            read = pysam.AlignedSegment(sink.header)
            read.query_name, read.flag, read.reference_id, read.reference_start = f"r{number}", 0, 0, start
            read.cigarstring, read.query_sequence, read.mapping_quality = cigar, bases, 60
            sink.write(read)
    return path.open("rb")


@pytest.mark.parametrize(
    ("reads", "positions"),
    [
        ([(5, "8M", "AAAACAAA"), (7, "5M", "AACAA")], {10}),  # the base of 0-based place 9
        ([(5, "8M", "AAAACAAA")], set()),  # one read may be an error
        ([(5, "8M", "AAAAGAAA"), (5, "8M", "AAAAGAAA")], set()),  # another base
        ([(5, "2S8M", "TTAAAACAAA"), (3, "2M2D8M", "AAAACAAAAA")], {10}),  # behind a clip, behind a deletion
        ([(5, "2S8M", "TTAACAAAAA"), (3, "2M2D8M", "AAAAAACAAA")], set()),  # where it would be without them
        ([(5, "2M3I6M", "AATTTAACAAA"), (5, "2M50N6M", "AAAACAAA")], {}),  # behind a skip it is elsewhere
        ([(5, "2M3I6M", "AATTTAACAAA"), (5, "8M", "AAAACAAA")], {10}),  # behind an insertion
        ([(25, "8M", "AAAATAAA"), (28, "4=", "ATAA")], {30}),
    ],
)
def test_reads_give_back_the_bases_they_show_at_a_place(tmp_path: Path, reads, positions) -> None:
    left_out = hidden_alleles(plan_from_steps(DROP, {}), io.BytesIO(SOURCE), participants=CODES)
    with bam(tmp_path, reads) as other:
        assert {a.position for a in given_back_by_reads(left_out, other)} == set(positions)


def test_reads_that_cannot_be_read_are_not_called_harmless(tmp_path: Path) -> None:
    """Invariant 3."""
    broken = tmp_path / "b.bam"
    broken.write_bytes(b"no reads")
    with broken.open("rb") as other, pytest.raises(DeidError):
        given_back_by_reads([], other)


def test_people_of_one_class_in_the_table_are_alone_once_genotypes_are_joined() -> None:
    core = io.BytesIO()
    source = vcf("10 . A C GT 0/1 1|0 0/0", "20 . A G GT 0|1 1/0 0/1")
    core_view(plan_from_steps(DROP[:1], {}), io.BytesIO(source), core, participants=CODES)
    genotypes = genotype_partition(io.BytesIO(core.getvalue()))
    assert genotypes == {"c1": [0], "c2": [0], "c3": [1]}
    table = {"c1": (0,), "c2": (0,), "c3": (0,)}
    assert joint_risk(table, [{name: tuple(cells) for name, cells in genotypes.items()}]).k == 1
    assert joint_risk(table, [{name: tuple(cells) for name, cells in genotypes.items()}]).uniques == 1
    assert joint_risk(table, []).uniques == 0


RECIPE = """\
recipe: pairs
version: 1
kind: vcf
tier: controlled
steps:
  - format: {keep: [GT]}
  - minimum-allele-count: {count: 2, action: drop}
"""


@pytest.mark.parametrize(
    ("reads", "given_back"),
    [
        ([(35, "5M2D4M", "GGGGACCCC"), (36, "4M2D5M", "GGGACCCCC")], 1),
        (
            [(35, "6M2D3M", "GGGGACCCC"), (36, "4M2D5M", "GGGACCCCC")],
            1,
        ),  # one base on, and that base is the one gone here
        ([(35, "6M2D3M", "GGGGAGCCC"), (36, "5M2D4M", "GGGAGCCCC")], 0),  # the base between says that it is another
        ([(35, "5M3D4M", "GGGGACCCC"), (36, "4M3D5M", "GGGACCCCC")], 0),  # a base more
        ([(35, "5M2D4M", "GGGGACCCC")], 0),  # one read may be an error
    ],
)
def test_the_task_counts_a_deletion_that_reads_give_back(tmp_path: Path, reads, given_back) -> None:
    """A singleton deletion of two bases that the variants leave out, at the place that the reads' bases allow."""
    source = vcf("40 . ACT A GT 0/1 0/0 0/0", "60 . A G GT 0/1 0/1 0/0")
    spec = {"recipe": RECIPE, "files": {}, "participants": CODES, "shows": "reads"}
    with bam(tmp_path, reads) as other:
        inputs = {"source": io.BytesIO(source), "again": io.BytesIO(source), "other0": other}
        assert beside(spec, inputs, {}) == {"hidden": 1, "given_back": given_back}
