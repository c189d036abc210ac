"""CRAM in and out with the reference supplied: nothing is fetched, nothing of the source's containers survives."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
from pathlib import Path

import pysam
import pytest

from deid.indexes import index_reads
from deid.reads import ReadsError, Reference

has_samtools = pytest.mark.skipif(shutil.which("samtools") is None, reason="samtools is not installed")


def as_cram(source: bytes, reference: Reference, folder: Path) -> bytes:
    bam, cram = folder / "s.bam", folder / "s.cram"
    bam.write_bytes(source)
    with (
        pysam.AlignmentFile(str(bam)) as reads,
        pysam.AlignmentFile(str(cram), "wc", template=reads, reference_filename=str(reference.path)) as written,
    ):
        for read in reads:
            written.write(read)
    return cram.read_bytes()


def people_of(path: Path) -> dict[str, str]:
    with pysam.AlignmentFile(str(path), check_sq=False) as reads:
        return {group["SM"]: "p1" for group in reads.header.to_dict()["RG"]}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_cram_gives_the_records_its_bam_gives(made, real, real_reference, number):
    bam, cram = (real / f"mpileup.{number}.{kind}" for kind in ("bam", "cram"))
    _, one = made.run(bam.read_bytes(), ({"quality": {"as": "keep"}},), people=people_of(bam))
    _, other = made.run(
        cram.read_bytes(), ({"quality": {"as": "keep"}},), people=people_of(bam), reference=real_reference
    )
    assert [r.to_string() for r in made.read(one)] == [r.to_string() for r in made.read(other)]
    assert len(made.read(other)) > 200


def fields(read: pysam.AlignedSegment) -> list[str]:
    """A SAM line with its tags in one order: CRAM puts RG last."""
    columns = read.to_string().split("\t")
    return [*columns[:11], *sorted(columns[11:])]


@has_samtools
def test_a_cram_written_holds_what_the_bam_would_and_no_path_and_no_name(made, reference, tmp_path):
    source = made.bam(
        [{"name": f"HX:{at}", "at": at, "flag": 1, "tags": [("RG", "H3.1"), ("AS", 3)]} for at in range(0, 2900, 3)]
    )
    _, bam = made.run(source, reference=reference)
    _, cram = made.run(source, reference=reference, form="cram")
    path = tmp_path / "out.cram"
    path.write_bytes(cram)
    assert cram[:4] == b"CRAM"
    assert cram[6:26] == bytes(20)  # htslib writes the file's name here
    options = [b"decode_md=0"]  # or htslib makes an MD that is not in the file
    with pysam.AlignmentFile(str(path), reference_filename=str(reference.path), format_options=options) as reads:
        assert [fields(read) for read in reads] == [fields(read) for read in made.read(bam)]
        header = str(reads.header)
    assert "UR:" not in header
    assert "M5:" in header
    assert "@PG" not in header
    # The bytes as htslib's own reader unpacks them, names and tags included.
    seen = subprocess.run(
        ["samtools", "view", "--no-PG", "-h", "-T", str(reference.path), str(path)], capture_output=True, check=True
    ).stdout
    for text in (cram, seen):
        assert not [needle for needle in (b"LiMing", b"HX:", str(tmp_path).encode()) if needle in text]
    assert index_reads(path).suffix == ".crai"
    assert gzip.decompress(Path(f"{path}.crai").read_bytes())


def test_a_cram_without_its_reference_is_refused_and_nothing_is_fetched(made, real, tmp_path, reference):
    cram = (real / "mpileup.1.cram").read_bytes()
    people = people_of(real / "mpileup.1.bam")
    with pytest.raises(ReadsError) as caught:
        made.run(cram, people=people)
    assert caught.value.code == "no_reference"
    with pytest.raises(ReadsError) as caught:
        made.run(cram, people=people, reference=reference)
    assert caught.value.code == "reference_missing"


def test_the_address_of_a_reference_in_the_header_is_not_followed(made, tmp_path, reference):
    """@SQ UR names a file that is there and fits; only the reference supplied counts, and it lacks the contig."""
    header = {**made.HEADER, "SQ": [{**contig, "UR": str(reference.path)} for contig in made.HEADER["SQ"]]}
    cram = as_cram(made.bam([{"at": at} for at in range(0, 500, 5)], header), reference, tmp_path)
    other = tmp_path / "other.fa"
    other.write_text(">Y\nACGT\n")
    pysam.faidx(str(other))
    with pytest.raises(ReadsError) as caught:
        made.run(cram, reference=Reference(other))
    assert caught.value.code == "reference_missing"


def test_a_reference_of_another_sequence_is_refused(made, tmp_path, reference):
    cram = as_cram(made.bam([{"at": at} for at in range(0, 500, 5)]), reference, tmp_path)
    other = tmp_path / "other.fa"
    other.write_text("".join(f">{name}\n{'A' * 3000}\n" for name in ("1", "X")))
    pysam.faidx(str(other))
    with pytest.raises(ReadsError) as caught:
        made.run(cram, reference=Reference(other))
    assert caught.value.code == "bad_cram"


@pytest.mark.parametrize("name", ["https://example.org/ref.fa", "s3://bucket/ref.fa", "nowhere.fa"])
def test_a_reference_that_is_no_file_here_is_refused(name):
    with pytest.raises(ReadsError) as caught:
        Reference(Path(name))
    assert caught.value.code == "no_reference"


def test_the_sum_of_a_contig_is_that_of_its_upper_case_bases(reference):
    with pysam.FastaFile(str(reference.path)) as fasta:
        expected = hashlib.md5(fasta.fetch("1").upper().encode(), usedforsecurity=False).hexdigest()
    from deid.reads.header import Contig

    made = reference.with_sums([Contig(name=b"1", length=3000, md5=b"")])
    assert made[0].md5.decode() == expected


@pytest.mark.parametrize("cut", [0.3, 0.7, 0.99])
def test_a_cut_cram_is_refused(made, reference, tmp_path, cut):
    cram = as_cram(made.bam([{"at": at} for at in range(0, 2900)]), reference, tmp_path)
    with pytest.raises(ReadsError) as caught:
        made.run(cram[: int(len(cram) * cut)], reference=reference)
    assert caught.value.code in {"bad_cram", "truncated"}
