"""``tongguan deid`` over small files: the output, its index and report, and nothing left where something is wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import jsonschema
import pysam
import pytest
from typer.testing import CliRunner

from gateway.cli.app import app

VCF = """##fileformat=VCFv4.2
##source=LiMing
##contig=<ID=1,length=99999>
##FORMAT=<ID=GT,Number=1,Type=String,Description="x">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tLiMing\tWangFang
1\t10\trs1\tA\tC\t.\t.\tSF=1\tGT\t0/1\t1/1
1\t90\trs2\tA\tC\t.\t.\tSF=1\tGT\t0/1\t1/1
"""
STEPS = {
    "vcf": "[{mask: {bed: m.bed}}]",
    "reads": "[{mask: {bed: m.bed}}]",
    "fastq": "[]",
    "matrix": "[{fewest-people: {count: 1}}]",
    "frequencies": "[]",
}


@pytest.fixture
def run(tmp_path: Path):
    (tmp_path / "people.yaml").write_text("LiMing: p1\n")
    (tmp_path / "m.bed").write_text("1\t80\t120\n")

    def call(kind: str, source: bytes | Path, out: str, *more: str, tier: str = "controlled"):
        if isinstance(source, bytes):
            (tmp_path / "source").write_bytes(source)
            source = tmp_path / "source"
        recipe = f"recipe: r\nversion: 1\nkind: {kind}\ntier: {tier}\nsteps: {STEPS[kind]}\n"
        (tmp_path / "recipe.yaml").write_text(recipe)
        words = ["deid", kind, str(source), str(tmp_path / out), "--recipe", str(tmp_path / "recipe.yaml")]
        words += ["--report", str(tmp_path / "report.json"), *more]
        if kind != "fastq":
            words += ["--participants", str(tmp_path / "people.yaml")]
        return CliRunner().invoke(app, words)

    call.folder = tmp_path
    return call


def report_of(folder: Path, repository: Path) -> dict:
    body = json.loads((folder / "report.json").read_text())
    jsonschema.validate(body, json.loads((repository / "deid/schemas/report.json").read_text()))
    return body


@pytest.mark.parametrize("out", ["out.vcf.gz", "out.bcf"])
def test_a_vcf_becomes_a_view_with_index_and_report(run, repository, out):
    result = run("vcf", VCF.encode(), out, "--region", "1:1-100")
    assert result.exit_code == 0, result.output
    with pysam.VariantFile(str(run.folder / out)) as records:
        assert [(r.pos, list(r.samples)) for r in records.fetch("1", 0, 100)] == [(10, ["p1"])]
    assert report_of(run.folder, repository)["removed"] == {"masked": 1}


@pytest.mark.parametrize("out", ["out.bam", "out.cram"])
def test_reads_become_a_view_with_index_and_report(run, repository, out):
    fasta = run.folder / "ref.fa"
    fasta.write_text(">1\n" + "ACGT" * 300 + "\n")
    pysam.faidx(str(fasta))
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": "1", "LN": 1200}],
        "RG": [{"ID": "a", "SM": "LiMing"}],
    }
    with pysam.AlignmentFile(str(run.folder / "s.bam"), "wb", header=header) as sink:
        for at in (0, 84, 200):
            read = pysam.AlignedSegment(sink.header)
            read.query_name, read.query_sequence, read.cigarstring = f"LiMing{at}", "ACGTACGT", "8M"
            read.reference_id, read.reference_start, read.flag = 0, at, 0
            sink.write(read)
    result = run("reads", run.folder / "s.bam", out, "--reference", str(fasta))
    assert result.exit_code == 0, result.output
    with pysam.AlignmentFile(str(run.folder / out), reference_filename=str(fasta)) as reads:
        assert [r.reference_start for r in reads.fetch("1", 0, 1000)] == [0, 200]
    assert report_of(run.folder, repository)["output"]["records"] == 2


def test_reads_for_the_registered_tier_must_be_substituted(run):
    result = run("reads", b"BAM", "out.bam", tier="registered")
    assert result.exception is not None
    assert "substituted" in str(result.exception)
    assert not (run.folder / "out.bam").exists()


def test_fastq_and_matrix_become_views(run, repository):
    assert run("fastq", b"@LiMing x\nAC\n+\nII\n", "out.fq.gz").exit_code == 0
    assert b"LiMing" not in gzip.decompress((run.folder / "out.fq.gz").read_bytes())
    assert run("matrix", b"g\tLiMing\nENSG00000000001\t5\n", "out.tsv.gz").exit_code == 0
    assert gzip.decompress((run.folder / "out.tsv.gz").read_bytes()) == b"feature\tp1\nENSG00000000001\t5\n"
    assert report_of(run.folder, repository)["output"]["participants"] == 1


def test_the_two_files_of_a_pair_stay_one(run, repository):
    for number in (1, 2):
        text = b"".join(b"@LiMing:%d/%d x\nAC\n+\nII\n" % (read, number) for read in range(9))
        (run.folder / f"R{number}.fq").write_bytes(text)
    result = run("fastq", run.folder / "R1.fq", "o1.gz", "--pair", str(run.folder / "R2.fq"), str(run.folder / "o2.gz"))
    assert result.exit_code == 0, result.output
    one, other = (gzip.decompress((run.folder / name).read_bytes()).split(b"\n")[::4] for name in ("o1.gz", "o2.gz"))
    assert one == other
    assert len(set(one)) == 10
    assert report_of(run.folder, repository)["mate"]["output"]["records"] == 9


@pytest.mark.parametrize(("mate", "out"), [("R1.fq", "o2.gz"), ("R2.fq", "o1.gz"), ("R2.fq", "../{0}/o1.gz")])
def test_a_file_is_neither_its_own_mate_nor_written_twice(run, mate, out):
    for name in ("R1.fq", "R2.fq"):
        (run.folder / name).write_bytes(b"@LiMing:1\nAC\n+\nII\n")
    second = run.folder / out.format(run.folder.name)
    result = run("fastq", run.folder / "R1.fq", "o1.gz", "--pair", str(run.folder / mate), str(second))
    assert "four different files" in str(result.exception)
    assert not list(run.folder.glob("o*"))


def test_of_files_that_are_no_pair_nothing_is_left_and_the_line_is_named(run):
    (run.folder / "R1.fq").write_bytes(b"@a\nA\n+\nI\n@b\nA\n+\nI\n")
    (run.folder / "R2.fq").write_bytes(b"@a\nA\n+\nI\n@LiMing\nA\n+\nI\n")
    result = run("fastq", run.folder / "R1.fq", "o1.gz", "--pair", str(run.folder / "R2.fq"), str(run.folder / "o2.gz"))
    assert "line 5" in str(result.exception)
    assert "LiMing" not in str(result.exception)
    assert not list(run.folder.glob("o*.gz*"))
    assert not (run.folder / "report.json").exists()


@pytest.mark.parametrize("source", [b"", b"garbage", VCF.encode()[:-9], VCF.replace("GT\t0/1", "GT\t0/9").encode()])
def test_of_a_broken_source_nothing_is_left(run, source):
    result = run("vcf", source, "out.vcf.gz")
    assert result.exception is not None
    assert "LiMing" not in str(result.exception)
    assert not list(run.folder.glob("out*"))
    assert not (run.folder / "report.json").exists()


@pytest.mark.parametrize("out", ["out.vcf.gz", "out.bcf"])
@pytest.mark.parametrize("order", [[(1, 60), (1, 10)], [(1, 10), (2, 10), (1, 60)]])
def test_of_an_unsorted_source_the_record_is_named_and_nothing_is_left(run, out, order):
    head = VCF[: VCF.index("\n1\t") + 1].replace("##FORMAT", "##contig=<ID=2,length=99999>\n##FORMAT")
    rows = [f"{contig}\t{at}\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/0\n" for contig, at in order]
    result = run("vcf", (head + "".join(rows)).encode(), out)
    assert f"record {len(order)} of the output is not sorted" in str(result.exception)
    assert not list(run.folder.glob("out*"))
    assert not (run.folder / "report.json").exists()


def test_a_source_that_is_an_address_is_refused(run):
    result = run("vcf", Path("https://example.org/a.vcf.gz"), "out.vcf.gz")
    assert "not a file of this machine" in str(result.exception)


ADDRESS = "https://example.org/a"


@pytest.mark.parametrize(
    ("kind", "source", "more"),
    [
        ("reads", Path(f"{ADDRESS}.bam"), ()),
        ("fastq", Path(f"{ADDRESS}.fq.gz"), ()),
        ("fastq", b"@a\nA\n+\nI\n", ("--pair", f"{ADDRESS}_2.fq.gz", "o2.gz")),
        ("reads", b"BAM", ("--reference", f"{ADDRESS}.fa")),
    ],
)
def test_no_file_of_reads_is_ever_an_address(run, kind, source, more):
    """What a library would open as an address is refused as a file that is not there; no output is begun."""
    result = run(kind, source, "out.cram" if "--reference" in more else "out.bam", *more)
    assert "file of this machine" in str(result.exception)
    assert not list(run.folder.glob("out*"))


def test_a_recipe_for_another_kind_is_refused(run):
    (run.folder / "other.yaml").write_text("recipe: r\nversion: 1\nkind: fastq\ntier: controlled\nsteps: []\n")
    result = run("vcf", VCF.encode(), "out.vcf.gz", "--recipe", str(run.folder / "other.yaml"))
    assert "a recipe for the kind fastq" in str(result.exception)


def test_frequencies_of_too_few_people_are_refused(run):
    result = run("frequencies", VCF.encode(), "out.vcf.gz")
    assert "twice as many people" in str(result.exception)
    assert not (run.folder / "out.vcf.gz").exists()
