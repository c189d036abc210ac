"""Every position of the list of places where identifiers live: found in a naive release, absent from ours.

The planting knows nothing of this package: text is written by hand, BCF by bcftools, BAM and CRAM by pysam. A naive
release is the source as it is; ours is the core view (and for variants the recipient's copy) of the same bytes.
"""

from __future__ import annotations

import gzip
import io
import random
import shutil
import subprocess
from pathlib import Path

import pysam
import pytest

from deid import fastq, reads, variants
from deid.indexes import index_reads, index_variants
from deid.leakcheck import Finding, check
from deid.reads import ReadsOptions, Reference

WHO = "LiMing-00417"
PEOPLE, KEPT = ["KEEP01", "OTHER02"], {"KEEP01": "c1"}
IDENTIFIERS = [WHO, *PEOPLE]
needs_bcftools = pytest.mark.skipif(shutil.which("bcftools") is None, reason="bcftools is not installed")

HEADER_LINES = {
    "##SAMPLE ID": "##SAMPLE=<ID=@,Genomes=Germline>",
    "##SAMPLE file": '##SAMPLE=<ID=s,File="/data/@.bam">',
    "##PEDIGREE": "##PEDIGREE=<ID=child,Father=@>",
    "##pedigreeDB": "##pedigreeDB=http://hospital/@",
    "##META": "##META=<ID=Ward,Type=String,Number=.,Values=[@]>",
    "##fileDate": "##fileDate=20260101 @",
    "##source": "##source=caller /home/@/run",
    "##commandline": "##commandline=call -b @.bam",
    "##GATKCommandLine": '##GATKCommandLine=<ID=HC,CommandLine="-I @.bam">',
    "##bcftools_viewCommand": "##bcftools_viewCommand=view -s @ -o @.vcf.gz; Date=today",
    "##DRAGENCommandLine": '##DRAGENCommandLine=<ID=dragen,CommandLineOptions="--sample @">',
    "##cmdline": "##cmdline=x @",
    "##reference": "##reference=file:///data/@/ref.fa",
    "##contig URL": "##contig=<ID=2,length=99,URL=file:///@.fa>",
    "##contig assembly": "##contig=<ID=2,length=99,assembly=@>",
    "##ALT description": '##ALT=<ID=DEL,Description="seen in @">',
    "##INFO description": '##INFO=<ID=ZZ,Number=1,Type=String,Description="from /anno/@">',
    "##FORMAT description": '##FORMAT=<ID=YY,Number=1,Type=String,Description="for @">',
    "##FILTER description": '##FILTER=<ID=q10,Description="low in @">',
    "##INFO dictionary entry nobody uses": '##INFO=<ID=@,Number=1,Type=String,Description="x">',
    "##FORMAT dictionary entry nobody uses": '##FORMAT=<ID=@,Number=1,Type=String,Description="x">',
    "##FILTER dictionary entry nobody uses": '##FILTER=<ID=@,Description="x">',
    "an unknown line": "##ward=@",
}
COLUMNS = {"ID": "rs@", "INFO SF": "SF=@", "INFO CSQ": "CSQ=A|x|@", "INFO OLD_VARIANT": "OLD_VARIANT=1:9:@"}
KEYS = ("PGT", "PID", "FT", "EC")
VARIANT_PLACES = [*HEADER_LINES, *COLUMNS, *(f"FORMAT {key}" for key in KEYS), "a cell of another", "a sample's name",
                  "another sample's name"]  # fmt: skip


def vcf_text(place: str) -> bytes:
    """A small cohort with the identifier at one place."""
    lines = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=1,length=9999>",
        '##FILTER=<ID=PASS,Description="All filters passed">',
    ]
    lines += [f'##INFO=<ID={key},Number=.,Type=String,Description="x">' for key in ("SF", "CSQ", "OLD_VARIANT")]
    lines += [f'##FORMAT=<ID={key},Number=1,Type=String,Description="x">' for key in ("GT", *KEYS)]
    lines += ['##FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">']
    lines += [HEADER_LINES[place].replace("@", WHO)] if place in HEADER_LINES else []
    names = list(PEOPLE)
    if place == "a sample's name":
        names[0] = WHO
    if place == "another sample's name":
        names[1] = WHO
    lines.append("\t".join(["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT", *names]))
    planted = COLUMNS.get(place, "").replace("@", WHO)
    for at in range(100, 2000, 50):
        name = planted if place == "ID" and at == 500 else "."
        info = planted if place.startswith("INFO") and at == 500 else "."
        mine, other = ["0|1", "9", *["x"] * len(KEYS)], ["1|1", "9", *["x"] * len(KEYS)]
        for number, key in enumerate(KEYS, start=2):
            if place == f"FORMAT {key}" and at == 500:
                mine[number] = WHO
        if place == "a cell of another" and at == 500:
            other[3] = WHO
        cells = [":".join(mine), ":".join(other)]
        lines.append(
            "\t".join(["1", str(at), name, "A", "C", "50", "PASS", info, ":".join(["GT", "DP", *KEYS]), *cells])
        )
    return "\n".join([*lines, ""]).encode()


def found(data: bytes, name: str = "release.bin") -> list[Finding]:
    return check(io.BytesIO(data), name=name, source_identifiers=IDENTIFIERS)


def is_found(data: bytes) -> bool:
    """Whether the very identifier is found, and not only something that is never allowed."""
    return any(
        finding.kind == "source-identifier" for finding in check(io.BytesIO(data), name="x", source_identifiers=[WHO])
    )


def released_variants(source: bytes, place: str, form: str) -> bytes:
    plan = variants.plan_from_steps([{"info": {"keep": ["AC", "AN"]}}, {"format": {"keep": ["GT", "DP"]}}], {})
    core, copy = io.BytesIO(), io.BytesIO()
    people = {WHO: "c1"} if place == "a sample's name" else KEPT
    variants.core_view(plan, io.BytesIO(source), core, participants=people, form=form)
    core.seek(0)
    variants.copy_view(core, copy, names={"c1": "R-1"})
    return copy.getvalue()


@needs_bcftools
@pytest.mark.parametrize("form", ["vcf", "bcf"])
@pytest.mark.parametrize("place", VARIANT_PLACES)
def test_an_identifier_in_variants_is_found_and_does_not_leave(place: str, form: str, tmp_path: Path) -> None:
    text = tmp_path / "s.vcf"
    text.write_bytes(vcf_text(place))
    naive = tmp_path / f"naive.{form}"
    kind = "-Oz" if form == "vcf" else "-Ob"
    subprocess.run(["bcftools", "view", "--no-version", kind, "-o", naive, text], check=True, capture_output=True)
    assert is_found(naive.read_bytes())
    ours = released_variants(naive.read_bytes(), place, form)
    assert found(ours) == []
    assert WHO.encode() not in gzip.decompress(ours)
    assert len(gzip.decompress(ours)) > 500


READ_HEADER = {
    **{f"@SQ {tag}": ("SQ", tag) for tag in ("UR", "SP", "DS", "AS", "AN")},
    **{f"@RG {tag}": ("RG", tag) for tag in ("ID", "SM", "LB", "PU", "BC", "DS", "CN", "PM", "PG", "FO", "KS", "PL")},
    **{f"@PG {tag}": ("PG", tag) for tag in ("CL", "PN", "VN", "DS")},
    "@CO": ("CO", ""),
    "@HD unknown tag": ("HD", "XX"),
}
TAGS = ("BC", "QT", "CB", "CR", "CY", "RX", "QX", "OX", "BZ", "MI", "LB", "PU", "PG", "CO", "CT", "PT", "OQ", "OA", "SA",
        "XA", "OC", "FZ", "X0", "zz", "MM", "RG", "BX", "CS")  # fmt: skip
READ_PLACES = [*READ_HEADER, "QNAME", *(f"tag {tag}" for tag in TAGS), "a supplementary read", "a secondary read",
               "an unmapped read", "another's read"]  # fmt: skip
BASES = "".join(random.Random(1).choices("ACGT", k=600))


def bam_of(place: str, folder: Path) -> Path:
    """Reads of two people with the identifier at one place."""
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "1", "LN": len(BASES)}],
              "RG": [{"ID": "g1", "SM": "KEEP01"}, {"ID": "g2", "SM": "OTHER02"}], "PG": [{"ID": "bwa"}]}  # fmt: skip
    group = "g1"
    if place in READ_HEADER:
        kind, tag = READ_HEADER[place]
        if kind == "CO":
            header["CO"] = [f"slept in bed 4: {WHO}"]
        elif kind == "HD":
            pass  # pysam knows no such tag: written into the text below
        else:
            header[kind][0][tag] = f"/data/{WHO}" if tag in {"UR", "CL"} else WHO
        group = WHO if (kind, tag) == ("RG", "ID") else group
    if place == "tag RG":
        header["RG"][0]["ID"] = group = WHO
    flags = {"a supplementary read": 0x800, "a secondary read": 0x100, "an unmapped read": 4}
    path = folder / "s.bam"
    text = str(pysam.AlignmentHeader.from_dict(header))
    if place == "@HD unknown tag":
        text = text.replace("\tSO:", f"\tXX:{WHO}\tSO:")
    with pysam.AlignmentFile(str(path), "wb", header=pysam.AlignmentHeader.from_text(text)) as sink:
        for number in range(60):
            read = pysam.AlignedSegment(sink.header)
            planted = number == 30
            read.query_name = (
                f"{WHO}:7" if planted and (place == "QNAME" or place in flags or "another" in place) else f"r{number}"
            )
            read.flag = flags.get(place, 0) if planted else 0
            read.reference_id, read.reference_start, read.mapping_quality = 0, number * 5, 60
            read.query_sequence = BASES[number * 5 : number * 5 + 20]
            read.query_qualities = pysam.qualitystring_to_array("I" * 20)
            if not (planted and place == "an unmapped read"):
                read.cigarstring = "20M"
            read.set_tags([("RG", "g2" if planted and place == "another's read" else group), ("NM", 0)])
            if planted and place.startswith("tag ") and place != "tag RG":
                read.set_tag(place.removeprefix("tag "), WHO, "Z")
            sink.write(read)
    return path


def released_reads(source: Path, place: str, reference: Path, form: str) -> bytes:
    plan = reads.plan_from_steps([{"tags": {"keep": ["RG", "NM"]}}, {"quality": {"as": "keep"}}], {})
    options = ReadsOptions(form=form, reference=Reference(reference))
    sink = io.BytesIO()
    with source.open("rb") as given:
        people = {WHO if place == "@RG SM" else "KEEP01": "c1"}
        counts = reads.core_view(plan, given, sink, participants=people, key=bytes(16), options=options)
    assert counts.records_out > 50
    return sink.getvalue()


@pytest.mark.parametrize("form", ["bam", "cram"])
@pytest.mark.parametrize("place", READ_PLACES)
def test_an_identifier_in_reads_is_found_and_does_not_leave(place: str, form: str, tmp_path: Path) -> None:
    reference = tmp_path / "r.fa"
    reference.write_text(f">1\n{BASES}\n")
    pysam.faidx(str(reference))
    source = bam_of(place, tmp_path)
    naive = source
    if form == "cram":
        naive = tmp_path / "n.cram"
        naive.write_bytes(b"")
        pysam.view("--no-PG", "-C", "-T", str(reference), "-o", str(naive), str(source), catch_stdout=False)
    # htslib replaces UR by the path of the reference it was given.
    assert is_found(naive.read_bytes()) or (place, form) == ("@SQ UR", "cram")
    ours = released_reads(source, place, reference, form)
    assert found(ours) == []
    if form == "bam":
        assert WHO.encode() not in gzip.decompress(ours)


FASTQ_PLACES = {
    "name": b"@@ 1:N:0\nACGT\n+\nIIII\n",
    "comment": b"@r1 @ x\nACGT\n+\nIIII\n",
    "index sequence": b"@r1 1:N:0:@\nACGT\n+\nIIII\n",
    "plus line": b"@r1\nACGT\n+@\nIIII\n",
}


@pytest.mark.parametrize("place", FASTQ_PLACES)
def test_an_identifier_in_fastq_is_found_and_does_not_leave(place: str) -> None:
    planted = FASTQ_PLACES[place]
    source = b"@r0\nACGT\n+\nIIII\n" + planted[:1] + planted[1:].replace(b"@", WHO.encode())
    assert is_found(source)
    sink = io.BytesIO()
    fastq.core_view(fastq.plan_from_steps([]), io.BytesIO(source), sink, key=bytes(16))
    assert found(sink.getvalue()) == []


def test_an_identifier_in_an_index_is_found_and_ours_are_clean(tmp_path: Path) -> None:
    named = tmp_path / "named.vcf.gz"
    named.write_bytes(gzip.compress(b""))
    text = vcf_text("ID").replace(b"ID=1,", f"ID={WHO},".encode()).replace(b"\n1\t", f"\n{WHO}\t".encode())
    (tmp_path / "named.vcf").write_bytes(text)
    for csi in (False, True):
        made = pysam.tabix_index(str(tmp_path / "named.vcf"), preset="vcf", force=True, keep_original=True, csi=csi)
        index = Path(f"{made}.{'csi' if csi else 'tbi'}").read_bytes()
        assert ("index:name 1", "source-identifier") in {(one.where, one.kind) for one in found(index)}
        assert is_found(gzip.compress(gzip.decompress(index) + bytes(8) + WHO.encode(), mtime=0))
    ours = tmp_path / "ours.vcf.gz"
    ours.write_bytes(released_variants(gzip.compress(vcf_text("ID")), "ID", "vcf"))
    bam = tmp_path / "ours.bam"
    bam.write_bytes(released_reads(bam_of("QNAME", tmp_path), "QNAME", _fasta(tmp_path), "bam"))
    for index_file in (index_variants(ours), index_reads(bam)):
        assert found(index_file.read_bytes(), index_file.name) == []


def _fasta(folder: Path) -> Path:
    path = folder / "r.fa"
    path.write_text(f">1\n{BASES}\n")
    pysam.faidx(str(path))
    return path


@pytest.mark.parametrize(
    "text",
    [
        f"1\t600\t52\t60\t61\n# {WHO}\n",
        f"@HD\tVN:1.6\n@SQ\tSN:1\tLN:600\tUR:file:///{WHO}.fa\n",
        f"0123abc  {WHO}.bam\n",
        f"fam\t{WHO}\t0\t0\t1\t2\n",
        f"sample,run\n{WHO},7\n",
    ],
    ids=["fai", "dict", "md5", "ped", "sample sheet"],
)
def test_an_identifier_in_a_side_file_is_found(text: str) -> None:
    assert is_found(text.encode())


def test_a_block_that_no_record_reads_and_bytes_behind_the_end_of_a_cram_are_found(tmp_path: Path) -> None:
    ours = released_reads(bam_of("QNAME", tmp_path), "QNAME", _fasta(tmp_path), "cram")
    assert {(one.where, one.kind) for one in found(ours + WHO.encode())} >= {("cram:trailing", "source-identifier")}
    named = ours[:6] + WHO.encode().ljust(20, b"\0") + ours[26:]
    assert ("cram:file-id", "source-identifier") in {(one.where, one.kind) for one in found(named)}


def test_more_than_sixty_positions_are_planted() -> None:
    assert len(VARIANT_PLACES) + len(READ_PLACES) + len(FASTQ_PLACES) >= 60
