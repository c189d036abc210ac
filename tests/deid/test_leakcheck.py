"""Identifiers planted by byte position in every container are found; clean files stay clean; unreadable is never clean."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pysam
import pytest

from deid.errors import LeakCheckError
from deid.leakcheck import Finding, as_json, check
from deid.needles import Needles
from deid.run import leakcheck

SAMPLE, NAME, PHONE, RESIDENT = "HOSP-00417", "欧阳娜娜", "10012345678", "990000197303150761"
SOURCE = [SAMPLE, NAME, PHONE, RESIDENT, "李娜", "Q7"]


def found(data: bytes, name: str = "release.bin") -> list[Finding]:
    return check(io.BytesIO(data), name=name, source_identifiers=SOURCE)


def kinds(data: bytes, name: str = "release.bin") -> set[tuple[str, str]]:
    return {(finding.where, finding.kind) for finding in found(data, name)}


VCF = (
    b'##fileformat=VCFv4.3\n##contig=<ID=chr1,length=1000>\n##FILTER=<ID=PASS,Description="All filters passed">\n'
    b'##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tP1a2b\tP3c4d\n"
    b"chr1\t100\t.\tA\tG\t.\tPASS\tAC=1;AN=4\tGT:DP\t0/1:30\t0/0:22\n"
    b"chr1\t200\t.\tC\tT\t.\tPASS\tAC=2;AN=4\tGT:DP\t0|1:30\t1|0:22\n"
)
SAM = b"@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:1000\n@RG\tID:R1\tSM:P1\tPL:ILLUMINA\nr1\t4\t*\t0\t0\t*\t*\t0\t0\tACGT\tFFFF\tRG:Z:R1\n"
FASTQ = b"@r1\nACGT\n+\nFFFF\n@r2\nACGT\n+\nFFFF\n"
CSV = "id,sex,note\nP1,男,-\nP2,女,-\n".encode()


def bgzip(data: bytes, extra: bytes = b"") -> bytes:
    """An independent BGZF writer: RFC 1952 with the BC field, and the empty block at the end."""
    out = b""
    for at in [*range(0, len(data), 60_000), None]:
        part = b"" if at is None else data[at : at + 60_000]
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = packer.compress(part) + packer.flush()
        field = extra + b"BC\2\0" + struct.pack("<H", 12 + len(extra) + 6 + len(body) + 8 - 1)
        out += b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H", len(field)) + field + body
        out += struct.pack("<II", zlib.crc32(part), len(part))
    return out


def plain_gzip(data: bytes, *, name: bytes = b"", comment: bytes = b"", time: int = 0) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = packer.compress(data) + packer.flush()
    flags = (8 if name else 0) | (16 if comment else 0)
    head = b"\x1f\x8b\x08" + bytes([flags]) + struct.pack("<I", time) + b"\0\xff"
    head += (name + b"\0" if name else b"") + (comment + b"\0" if comment else b"")
    return head + body + struct.pack("<II", zlib.crc32(data), len(data))


def parquet(table: pa.Table, **options: object) -> bytes:
    held = io.BytesIO()
    settings = {"use_dictionary": False, "write_statistics": False, "store_schema": False} | options
    pq.write_table(table.replace_schema_metadata(None) if not options.get("store_schema") else table, held, **settings)
    return held.getvalue()


CLEAN_PARQUET = parquet(pa.table({"id": ["P1", "P2"], "sex": ["男", "女"]}))


@pytest.mark.parametrize("data", [VCF, bgzip(VCF), SAM, FASTQ, CSV, plain_gzip(CSV), CLEAN_PARQUET, bgzip(FASTQ), b""])
def test_a_clean_file_is_clean(data: bytes) -> None:
    assert found(data) == []


@pytest.mark.parametrize("value", [SAMPLE, NAME, PHONE, RESIDENT, "李娜", SAMPLE.lower()])
@pytest.mark.parametrize("wrap", [bytes, bgzip, plain_gzip])
@pytest.mark.parametrize("base", [VCF, SAM, FASTQ, CSV], ids=["vcf", "sam", "fastq", "csv"])
def test_a_value_planted_anywhere_in_text_is_found(value: str, wrap: Callable[[bytes], bytes], base: bytes) -> None:
    """At every tenth byte position, between two separators so that digits stay a number of their own."""
    for at in range(base.index(b"\n") + 1, len(base), 10):
        naming = b" " + value.encode() + b" "
        findings = found(wrap(base[:at] + naming + base[at:]))
        assert any(finding.kind == "source-identifier" for finding in findings), at


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16-le", "utf-16-be"])
def test_a_chinese_name_is_found_in_other_encodings(encoding: str) -> None:
    assert ("record:1", "source-identifier") in kinds(b"-- " + NAME.encode(encoding) + b" --")


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_an_unsalted_hash_of_an_identifier_is_found(algorithm: str) -> None:
    made = hashlib.new(algorithm, RESIDENT.encode()).hexdigest()
    assert ("record:2", "hashed-identifier") in kinds(b"id,sex\n" + made.upper().encode() + b",M\n")


def test_the_place_is_named_by_header_line_sample_record_and_column() -> None:
    planted = VCF.replace(b"P3c4d", SAMPLE.encode()).replace(b"AC=2", b"AC=2;S=" + SAMPLE.encode())
    planted = planted.replace(b"#CHROM", b"##source=x -s HOSP-00417\n#CHROM")
    assert kinds(bgzip(planted)) == {
        ("header:sample 2", "source-identifier"),
        ("header:##source", "header-line"),
        ("header:##source", "source-identifier"),
        ("record:2:INFO", "source-identifier"),
    }
    assert kinds(SAM.replace(b"r1\t4", b"HOSP-00417:1\t4")) == {("record:1:QNAME", "source-identifier")}
    assert kinds(FASTQ.replace(b"+\nFFFF\n@r2", b"+HOSP-00417\nFFFF\n@r2")) == {("record:1:PLUS", "source-identifier")}


def test_kinds_that_are_never_allowed_are_found_without_any_list_of_values() -> None:
    lines = [
        b"##fileDate=20240101",
        b"##SAMPLE=<ID=x>",
        b"##PEDIGREE=<C=a>",
        b"##bcftools_viewCommand=view",
        b"##odd=1",
    ]
    for line in lines:
        planted = VCF.replace(b"#CHROM", line + b"\n#CHROM")
        assert any(finding.kind == "header-line" for finding in found(planted)), line
    assert ("record:1:samples", "cell") in kinds(VCF.replace(b"0/1:30", b"0/1:x"))
    tags = {b"LB:lib", b"PU:flow", b"DS:text", b"CN:centre", b"DT:2024"}
    for tag in tags:
        planted = SAM.replace(b"PL:ILLUMINA", b"PL:ILLUMINA\t" + tag)
        assert (f"header:@RG:{tag[:2].decode()}", "header-tag") in kinds(planted)
    for line in (b"@PG\tID:bwa\tCL:bwa mem", b"@CO\tany"):
        assert any(finding.kind == "header-line" for finding in found(SAM.replace(b"r1\t4", line + b"\nr1\t4")))
    assert ("record:1:NAME", "instrument-name") in kinds(
        FASTQ.replace(b"@r1", b"@A00123:45:HXXDMXX:1:1101:1000:2000 1:N:0:AC")
    )


def test_gzip_header_fields_and_trailing_bytes_are_found() -> None:
    assert kinds(plain_gzip(CSV, name=b"HOSP-00417.csv")) == {
        ("gzip:FNAME", "container-field"),
        ("gzip:FNAME", "source-identifier"),
        # "raw": the header is part of the raw bytes too
        ("raw:byte 10", "source-identifier"),
    }
    assert ("gzip:FCOMMENT", "source-identifier") in kinds(plain_gzip(CSV, comment=NAME.encode()))
    assert kinds(plain_gzip(CSV, time=1_700_000_000)) == {("gzip:MTIME", "container-time")}
    assert ("gzip:FEXTRA", "source-identifier") in kinds(bgzip(VCF, extra=b"XX\x0a\0" + SAMPLE.encode()))
    assert ("gzip:trailing", "source-identifier") in kinds(plain_gzip(CSV) + b"HOSP-00417")
    second = plain_gzip(CSV) + plain_gzip(b"", name=SAMPLE.encode())
    assert ("gzip:FNAME", "source-identifier") in kinds(second)


def test_what_python_and_its_gzip_module_write_by_default_is_found(tmp_path: object) -> None:
    held = io.BytesIO()
    with gzip.GzipFile(filename="pat_HOSP-00417.csv", fileobj=held, mode="wb") as file:
        file.write(CSV)
    where = {place for place, _ in kinds(held.getvalue())}
    assert {"gzip:FNAME", "gzip:MTIME"} <= where


def test_parquet_pages_metadata_statistics_and_numbers_are_found() -> None:
    whole = pa.table({"id": ["P1", "P2"], "name": pa.array([NAME, "x"]).dictionary_encode()})
    kept = whole.slice(1)
    dirty = parquet(kept, use_dictionary=True)
    assert NAME not in str(pq.read_table(io.BytesIO(dirty)).to_pylist())
    assert ("parquet:dictionary:name", "source-identifier") in kinds(dirty)
    assert ("parquet:values:id", "source-identifier") in kinds(parquet(pa.table({"id": [SAMPLE]})))
    assert ("parquet:values:phone", "source-identifier") in kinds(parquet(pa.table({"phone": [int(PHONE)]})))
    assert ("parquet:statistics:age", "statistics") in kinds(parquet(pa.table({"age": [3, 97]}), write_statistics=True))
    named = pa.table({"age": [3]}).replace_schema_metadata({"pandas": json.dumps({"index_columns": [SAMPLE]})})
    held = io.BytesIO()
    pq.write_table(named, held, use_dictionary=False, write_statistics=False)
    assert {("parquet:metadata:pandas", "schema-metadata"), ("parquet:metadata:pandas", "source-identifier")} <= kinds(
        held.getvalue()
    )
    assert ("parquet:column-name", "source-identifier") in kinds(parquet(pa.table({f"x {NAME}": [1]})))
    nested = parquet(pa.table({"id": [[{"name": NAME}]]}))
    assert ("parquet:values:id", "source-identifier") in kinds(nested)


def test_bam_written_by_another_tool_is_opened(tmp_path: object) -> None:
    path = f"{tmp_path}/x.bam"
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "chr1", "LN": 1000}], "RG": [{"ID": "R1", "SM": SAMPLE, "LB": "g1k"}]}
    with pysam.AlignmentFile(path, "wb", header=header) as file:
        for number in range(2000):
            read = pysam.AlignedSegment(file.header)
            read.query_name, read.query_sequence = f"r{number}", "ACGT" * 10
            read.query_qualities = pysam.qualitystring_to_array("F" * 40)
            read.flag = 4
            read.set_tag("CO", NAME if number == 1500 else "-")
            file.write(read)
    where = kinds(Path(path).read_bytes())
    assert ("header:@RG:SM", "source-identifier") in where
    assert ("header:@RG:LB", "header-tag") in where
    assert any(place.startswith("record:byte") and kind == "source-identifier" for place, kind in where)


def test_archives_are_opened_to_the_bottom() -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/x.vcf.gz", bgzip(VCF.replace(b"P3c4d", SAMPLE.encode())))
        archive.writestr(f"{NAME}.txt", "-")
    assert {("header:sample 2", "source-identifier"), ("zip:member 2", "source-identifier")} <= kinds(held.getvalue())
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as tar:
        member = tarfile.TarInfo("x.csv")
        member.uname, member.size = SAMPLE, len(CSV)
        tar.addfile(member, io.BytesIO(CSV))
    assert ("tar:member 1", "source-identifier") in kinds(held.getvalue())


def test_the_file_name_is_part_of_what_leaves() -> None:
    assert kinds(CSV, f"{SAMPLE}.csv") == {("name", "source-identifier")}


def test_short_values_count_as_whole_words_only() -> None:
    assert ("record:1", "source-identifier") in kinds(b"ward Q7, bed 2")
    assert kinds(b"ward Q7a, AQ7, Q72") == set()
    digits = check(io.BytesIO(b"age,n\n41,7\n"), name="x", source_identifiers=["41"])
    assert digits == []
    named = check(io.BytesIO(VCF.replace(b"P3c4d", b"41")), name="x", source_identifiers=["41"])
    assert [finding.where for finding in named] == ["header:sample 2"]


def test_a_number_inside_a_longer_number_is_not_that_number() -> None:
    assert kinds(b"9" + PHONE.encode() + b"9") == set()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (bgzip(VCF)[:-40], "cut short"),
        (bgzip(VCF)[:20], "cut short"),
        (plain_gzip(CSV)[:-9], "cut short"),
        (b"\x1f\x8b\x08\0" + b"\0" * 6 + b"\xff" * 90, "damaged"),
        (CLEAN_PARQUET[:-7], "Parquet"),
        (b"CRAM\3\0" + b"x" * 30, "CRAM"),
        (b"BCF\2\2" + b"x" * 30, "BCF"),
        (b"ARROW1\0\0", "Arrow"),
        (b"PK\3\4broken", "archive"),
        (b"BAM\1\xff\xff\0\0", "BAM header"),
        (bgzip(b"CRAM\3\0"), "CRAM"),
    ],
)
def test_a_file_that_cannot_be_read_to_the_bottom_is_never_called_clean(data: bytes, sentence: str) -> None:
    """Invariant 3."""
    with pytest.raises(LeakCheckError, match=sentence):
        found(data)


def test_the_value_is_shown_only_when_asked_for() -> None:
    """Invariant 18."""
    data = plain_gzip(f"x,{SAMPLE},{RESIDENT}\n".encode(), name=NAME.encode())
    quiet = json.dumps(as_json(found(data)), ensure_ascii=False)
    for value in (SAMPLE, NAME, RESIDENT):
        assert value not in quiet
    assert '"value"' not in quiet
    loud = leakcheck({"name": "x", "identifiers": SOURCE, "show_values": True}, {"file": io.BytesIO(data)}, {})
    assert {finding.get("value") for finding in loud["findings"]} >= {SAMPLE, NAME, RESIDENT}


def test_a_value_across_the_pieces_in_which_a_file_is_read_is_found() -> None:
    piece = 1 << 18
    for shift in range(0, len(SAMPLE) + 2):
        text = b"a\n" * ((piece - shift) // 2) + b"\n" * ((piece - shift) % 2) + SAMPLE.encode() + b"\nrest\n"
        assert any(kind == "source-identifier" for _, kind in kinds(text)), shift
        one_line = b"a" * (piece - shift) + b" " + SAMPLE.encode() + b" "
        assert any(kind == "source-identifier" for _, kind in kinds(one_line)), shift


def test_the_fast_search_finds_what_a_plain_search_finds() -> None:
    draw = random.Random(5)
    for _ in range(300):
        letters = draw.choice(["ab", "abcdefgh", "李娜王伟ab", "xyz01"])
        values = {"".join(draw.choices(letters, k=draw.randint(4, 24))) for _ in range(draw.randint(1, 12))}
        text = "".join(draw.choices([*letters, *values], k=draw.randint(0, 60)))
        needles = Needles(values)
        hits = {
            needles.values[hit.form.value]
            for hit in needles.find(text.encode(), naming=True)
            if hit.form.kind == "source-identifier"
        }
        assert hits == {value for value in values if value in text and not value.isdigit()} | (
            hits & {value for value in values if value.isdigit()}
        )
