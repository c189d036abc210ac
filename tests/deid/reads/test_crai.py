"""The index of a CRAM that is made as the CRAM is, against the one samtools makes of the finished file."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
from pathlib import Path

import pysam
import pytest

from deid.reads import ReadsError, ReadsOptions, copy_view
from deid.reads.crai import indexed
from tests.deid.reads.conftest import ENGINES, KEY

pytestmark = pytest.mark.skipif(shutil.which("samtools") is None, reason="samtools is not installed")
MANY = [
    {"name": f"r{at}", "contig": contig, "at": at % 2900, "flag": 0, "tags": [("RG", "H3.1")]}
    for contig in (0, 1)
    for at in sorted(range(0, 29_000, 1 + 2 * contig), key=lambda at: at % 2900)
]
UNPLACED = [
    {"name": f"u{n}", "contig": -1, "at": -1, "flag": 4, "cigar": None, "tags": [("RG", "H3.1")]} for n in range(9)
]


def copied(core: bytes, reference, **options) -> tuple[bytes, bytes]:
    """A recipient's copy of a core view as CRAM, and its index."""
    sink, index = io.BytesIO(), io.BytesIO()
    set_to = ReadsOptions(form="cram", reference=reference, crai=index, **options)
    made = copy_view(io.BytesIO(core), sink, names={"p1": "q1"}, key=KEY[::-1], options=set_to)
    assert made.bytes == len(sink.getvalue())
    return sink.getvalue(), index.getvalue()


def of_samtools(cram: bytes, folder: Path) -> bytes:
    path = folder / "copy.cram"
    path.write_bytes(cram)
    subprocess.run(["samtools", "index", str(path)], check=True)
    return gzip.decompress(Path(f"{path}.crai").read_bytes())


@pytest.mark.parametrize("compiled", ENGINES)
@pytest.mark.parametrize(
    "reads", [MANY, MANY[:5] + MANY[-5:], [*MANY[:40], *UNPLACED], []], ids=["many", "two", "unplaced", "none"]
)
def test_the_index_is_the_one_samtools_makes(made, reference, tmp_path, reads, compiled):
    _, core = made.run(made.bam(reads), (*made.STEPS, made.EVERY))
    cram, index = copied(core, reference, compiled=compiled)
    lines = gzip.decompress(index)
    assert lines == of_samtools(cram, tmp_path)
    assert {int(line.split()[0]) for line in lines.splitlines()} == {read["contig"] for read in reads}
    assert index[3:8] == bytes(5), "no file name, no time"


def test_a_copy_as_cram_holds_the_reads_of_the_copy_as_bam_and_its_index_finds_them(made, reference, tmp_path):
    _, core = made.run(made.bam(MANY))
    plain = io.BytesIO()
    copy_view(io.BytesIO(core), plain, names={"p1": "q1"}, key=KEY[::-1])
    cram, index = copied(core, reference, threads=2)
    path = tmp_path / "copy.cram"
    path.write_bytes(cram)
    Path(f"{path}.crai").write_bytes(index)

    def view(*words: str) -> list[str]:
        options = ["--input-fmt-option", "decode_md=0", "-T", str(reference.path)]
        done = subprocess.run(["samtools", "view", *options, *words], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    (tmp_path / "copy.bam").write_bytes(plain.getvalue())
    whole = view(str(path))
    assert whole == view(str(tmp_path / "copy.bam"))
    near = view(str(path), "X:1000-1004")
    assert near == [line for line in whole if line.split("\t")[2] == "X" and 991 <= int(line.split("\t")[3]) <= 1004]
    assert len(near) > 30


def test_a_slice_of_several_contigs_is_refused_and_no_index_written(made, reference, tmp_path):
    """htslib writes such slices of its own accord where contigs have few reads; no line of an index is right for them."""
    (tmp_path / "s.bam").write_bytes(made.bam(MANY[:5] + MANY[-5:]))
    target = tmp_path / "s.cram"
    options = ["-C", "-T", str(reference.path), "--output-fmt-option", "multi_seq_per_slice=1"]
    pysam.view(*options, "-o", str(target), str(tmp_path / "s.bam"), catch_stdout=False)
    sink = io.BytesIO()
    with pytest.raises(ReadsError) as caught:
        list(indexed([target.read_bytes()], sink))
    assert caught.value.code == "bad_cram"
    assert sink.getvalue() == b""


def test_pieces_of_any_size_come_out_as_they_went_in(made, reference):
    _, core = made.run(made.bam(MANY[:500]))
    cram, index = copied(core, reference)
    again = io.BytesIO()
    assert b"".join(indexed((cram[at : at + 7] for at in range(0, len(cram), 7)), again)) == cram
    assert again.getvalue() == index
    with pytest.raises(ReadsError) as caught:
        list(indexed([cram[:-38]], io.BytesIO()))
    assert caught.value.code == "truncated"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_real_cram_leaves_as_a_cram_that_samtools_reads_and_indexes_alike(
    made, real, real_reference, tmp_path, number
):
    source = real / f"mpileup.{number}.cram"
    with pysam.AlignmentFile(str(source), check_sq=False) as reads:
        people = {group["SM"]: "p1" for group in reads.header.to_dict()["RG"]}
    _, core = made.run(source.read_bytes(), (*made.STEPS, made.EVERY), people=people, reference=real_reference)
    cram, index = copied(core, real_reference)
    assert gzip.decompress(index) == of_samtools(cram, tmp_path)
    options = ["--no-PG", "--input-fmt-option", "decode_md=0", "-T", str(real_reference.path)]

    def columns(path: Path) -> list[list[str]]:
        done = subprocess.run(["samtools", "view", *options, str(path)], capture_output=True, text=True, check=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    ours, theirs = columns(tmp_path / "copy.cram"), columns(source)
    assert sorted(line[1:6] + line[9:11] for line in ours) == sorted(line[1:6] + line[9:11] for line in theirs)
    assert len(ours) > 200
    assert not {line[0] for line in ours} & {line[0] for line in theirs}
    old = {line[0].encode() for line in theirs} | {name.encode() for name in people}
    assert not [name for name in old if name in cram]
