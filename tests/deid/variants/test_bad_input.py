"""Files that are broken: one clear sentence with the place, never a name or a genotype, whichever engine reads them."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys

import pytest

from deid.bgzf import EOF_BLOCK
from deid.variants import VariantError, plan_from_steps

PEOPLE = ["LiMing", "WangFang"]
ONE = {"LiMing": "p1"}
GOOD = "1 10 . A C 5 PASS . GT:DP:AD 0/1:3:1,2 0/0:4:4,0"
OPEN = (
    {"id": {"keep": True}},
    {"quality": {"keep": True}},
    {"filter": {"keep": True}},
    {"info": {"keep": ["AC", "END"]}},
    {"format": {"keep": ["GT", "DP", "AD"]}},
)
BAD_RECORDS = {
    "a column too few": ("1 10 . A C . . . GT 0/1", "ragged_line"),
    "a column too many": ("1 10 . A C . . . GT 0/1 0/0 1/1", "ragged_line"),
    "a column too many of the common width": ("1 10 . A C . . . GT 0/1 0/0 0/0", "ragged_line"),
    "only two columns": ("1 10", "ragged_line"),
    "an undeclared contig": ("chr1 10 . A C . . . GT 0/1 0/0", "unknown_contig"),
    "the start of a contig's name": ("HLA*01 10 . A C . . . GT 0/1 0/0", "unknown_contig"),
    "a negative position": ("1 -1 . A C . . . GT 0/1 0/0", "bad_position"),
    "a huge position": ("1 99999999999 . A C . . . GT 0/1 0/0", "bad_position"),
    "a position over 31 bits": ("1 2147483648 . A C . . . GT 0/1 0/0", "bad_position"),
    "a position with a leading zero": ("1 010 . A C . . . GT 0/1 0/0", "bad_position"),
    "an id outside ASCII": ("1 10 李 A C . . . GT 0/1 0/0", "bad_identifier"),
    "a REF that is no base": ("1 10 . <DEL> C . . . GT 0/1 0/0", "bad_allele"),
    "an ALT that is no allele": ("1 10 . A LiMing . . . GT 0/1 0/0", "bad_allele"),
    "an empty ALT": ("1 10 . A C, . . . GT 0/1 0/0", "bad_allele"),
    "an ALT that stands twice": ("1 10 . A C,C . . . GT 1/2 0/0", "bad_allele"),
    "a thousand and one ALTs": ("1 10 . A " + ",".join(["C"] * 1001) + " . . . GT 0/1 0/0", "too_many_alleles"),
    "a QUAL that is text": ("1 10 . A C LiMing . . GT 0/1 0/0", "bad_quality"),
    "an undeclared FILTER": ("1 10 . A C . PASS;LiMing . GT 0/1 0/0", "unknown_filter"),
    "GT second": ("1 10 . A C . . . DP:GT 3:0/1 3:0/0", "bad_format"),
    "a FORMAT key twice": ("1 10 . A C . . . GT:DP:DP 0/1:3:3 0/0:3:3", "bad_format"),
    "too many FORMAT keys": ("1 10 . A C . . . GT" + ":X" * 256 + " 0/1 0/0", "bad_format"),
    "an END that is text": ("1 10 . A <DEL> . . END=x GT 0/1 0/0", "bad_info"),
    "an allele that is not there": ("1 10 . A C . . . GT 0/2 0/0", "bad_genotype"),
    "an allele number without end": ("1 10 . A C . . . GT 0/11111111111111111111 0/0", "bad_genotype"),
    "an allele number that would wrap to 1": ("1 10 . A C . . . GT 0/4294967297 0/0", "bad_genotype"),
    "an allele with a leading zero": ("1 10 . A C . . . GT 0/01 0/0", "bad_genotype"),
    "a genotype that ends in a separator": ("1 10 . A C . . . GT 0/ 0/0", "bad_genotype"),
    "a genotype of the common width that is none": ("1 10 . A C . . . GT 0x1 0/0", "bad_genotype"),
    "an empty genotype": ("1 10 . A C . . . GT:DP :3 0/0:3", "bad_genotype"),
    "text for a genotype": ("1 10 . A C . . . GT LiMing 0/0", "bad_genotype"),
    "more values than keys": ("1 10 . A C . . . GT:DP 0/1:3:4 0/0:3", "ragged_cell"),
    "a depth that is text": ("1 10 . A C . . . GT:DP 0/1:LiMing 0/0:3", "bad_value"),
    "a depth that is empty": ("1 10 . A C . . . GT:DP 0/1: 0/0:3", "bad_value"),
    "a depth of ten digits": ("1 10 . A C . . . GT:DP 0/1:1234567890 0/0:3", "bad_value"),
    "a depth too few for the alleles": ("1 10 . A C . . . GT:AD 0/1:3 0/0:3,0", "bad_value"),
    "a depth too many for the alleles": ("1 10 . A C . . . GT:AD 0/1:3,4,5 0/0:3,0", "bad_value"),
}


def refusal(made, source: bytes, compiled: bool = True, **options: object) -> VariantError:
    participants = options.pop("participants", ONE)
    with pytest.raises(VariantError) as caught:
        made.run(source, participants, OPEN, compiled=compiled, **options)
    assert "LiMing" not in str(caught.value)
    assert "李" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_broken_record_is_named_by_its_line(made, compiled, name):
    record, code = BAD_RECORDS[name]
    source = made.vcf([GOOD, record, GOOD], PEOPLE)
    error = refusal(made, source, compiled)
    line = made.HEADER.count("\n") + 3
    assert (error.code, error.line) == (code, line)
    assert str(error).startswith(f"line {line}: ")


def test_a_broken_record_far_into_the_file_is_named_by_its_line_on_any_number_of_threads(made, compiled, monkeypatch):
    monkeypatch.setattr("deid.bgzf.GROUP", 1 << 14)
    source = made.vcf([GOOD] * 4000 + ["1 10 . A C . . . GT 0/3 0/0"] + [GOOD] * 9, PEOPLE)
    for threads in (1, 3):
        error = refusal(made, made.bgzip(source), compiled, threads=threads)
        assert (error.code, error.line) == ("bad_genotype", made.HEADER.count("\n") + 4002)


def test_carriage_returns_are_refused(made, compiled):
    text = made.vcf([GOOD], PEOPLE)
    assert refusal(made, text.replace(b"\n", b"\r\n"), compiled).code == "crlf"
    assert refusal(made, text[:-1] + b"\r\n", compiled).code == "crlf"


def test_an_empty_line_is_refused(made, compiled):
    assert refusal(made, made.vcf([GOOD], PEOPLE) + b"\n", compiled).code == "ragged_line"


@pytest.mark.parametrize("cut", [1, 27, 28, 29, 40, 300])
def test_a_cut_bgzip_file_is_refused_with_the_offset(made, cut):
    whole = made.bgzip(made.vcf([GOOD] * 100, PEOPLE))
    error = refusal(made, whole[:-cut])
    assert error.code == "truncated"
    assert "byte" in str(error)


def test_a_cut_gzip_or_plain_file_is_refused(made):
    text = made.vcf([GOOD] * 100, PEOPLE)
    assert refusal(made, gzip.compress(text, mtime=0)[:-9]).code == "truncated"
    assert refusal(made, gzip.compress(text, mtime=0)[:-4]).code == "truncated"
    assert refusal(made, text[:-1]).code == "truncated"
    assert refusal(made, text[:300]).code == "truncated"


def test_a_damaged_block_is_refused(made):
    whole = bytearray(made.bgzip(made.vcf([GOOD] * 100, PEOPLE)))
    whole[200] ^= 0x10
    assert refusal(made, bytes(whole)).code == "damaged"
    checksum = bytearray(made.bgzip(made.vcf([GOOD], PEOPLE), 60_000))
    checksum[-len(EOF_BLOCK) - 6] ^= 1
    assert refusal(made, bytes(checksum)).code == "damaged"
    garbage = gzip.compress(made.vcf([GOOD], PEOPLE), mtime=0)[:-8] + bytes(8)
    assert refusal(made, garbage).code == "damaged"


def test_a_block_that_claims_too_much_text_is_refused(made):
    whole = bytearray(made.bgzip(made.vcf([GOOD], PEOPLE), 60_000))
    whole[-len(EOF_BLOCK) - 2] = 9
    assert refusal(made, bytes(whole)).code == "not_bgzf"


def test_bytes_behind_bgzip_blocks_that_are_none_are_refused(made):
    assert refusal(made, made.bgzip(made.vcf([GOOD], PEOPLE)) + b"LiMing and more bytes").code == "not_bgzf"


@pytest.mark.parametrize(
    "source", [b"", b"LiMing", b"\x1f\x8b", b"BAM\x01", EOF_BLOCK, gzip.compress(b"##nothing\n", mtime=0)]
)
def test_what_is_no_vcf_is_refused(made, source):
    assert refusal(made, source).code in {"not_vcf", "truncated"}


def test_bcf_that_holds_nothing_is_refused(made):
    assert refusal(made, made.bgzip(b"BCF\x02\x02" + bytes(100))).code == "bad_bcf"


BAD_HEADERS = {
    "another version": (lambda t: t.replace("VCFv4.2", "VCFv5.0"), "not_vcf"),
    "no column line": (lambda t: t[: t.index("#CHROM")], "truncated"),
    "a contig twice": (lambda t: t.replace("ID=X,", "ID=1,"), "bad_header"),
    "a contig without a name": (lambda t: t.replace("ID=X,", "Name=X,"), "bad_header"),
    "a contig length that is text": (lambda t: t.replace("500000", "LiMing"), "bad_header"),
    "a filter without a name": (lambda t: t.replace("##FILTER=<ID=q10", "##FILTER=<ID=Li Ming"), "bad_header"),
    "a line without ##": (lambda t: t.replace("##reference", "reference"), "bad_header"),
    "a column line with other words": (lambda t: t.replace("\tQUAL\t", "\tLiMing\t"), "bad_header"),
    "a sample twice": (lambda t: t.replace("WangFang", "LiMing"), "duplicate_sample"),
    "a sample without a name": (lambda t: t.replace("\tWangFang", "\t"), "bad_header"),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_a_broken_header_is_refused(made, name):
    change, code = BAD_HEADERS[name]
    assert refusal(made, change(made.vcf([GOOD], PEOPLE).decode()).encode()).code == code


def test_a_header_that_is_not_utf8_is_refused_with_its_line(made):
    error = refusal(made, made.vcf([GOOD], PEOPLE).replace(b"source=caller", b"source=\xc0\xee"))
    assert (error.code, error.line) == ("not_utf8", 3)


def test_a_contig_name_in_quotes_or_behind_other_fields_is_understood(made):
    text = made.vcf([GOOD], PEOPLE).replace(b"ID=1,length=1000000", b'Description="a, ID=x",length=1000000,ID=1')
    assert b"##contig=<ID=1,length=1000000>" in gzip.decompress(made.run(text, ONE)[1])


def test_a_listed_participant_without_a_column_is_refused_without_a_name(made):
    error = refusal(made, made.vcf([GOOD], PEOPLE), participants={"LiMing": "p1", "Ghost": "p2"})
    assert error.code == "participant_missing"
    assert "Ghost" not in str(error)
    assert "1 of the 2" in str(error)


@pytest.mark.parametrize(
    ("participants", "code"),
    [({}, "no_participants"), ({"LiMing": "a", "WangFang": "a"}, "bad_name"), ({"LiMing": "a b"}, "bad_name"),
     ({"LiMing": "a\tb"}, "bad_name"), ({"LiMing": ""}, "bad_name")],
)  # fmt: skip
def test_codes_that_cannot_be_columns_are_refused(made, participants, code):
    assert refusal(made, made.vcf([GOOD], PEOPLE), participants=participants).code == code


def test_a_line_without_end_is_refused_before_memory_is_filled(made, monkeypatch):
    monkeypatch.setattr("deid.variants.stream.MAX_LINE", 1 << 20)
    text = made.vcf([GOOD], PEOPLE) + b"1\t10\t" + bytes(9 << 20)
    assert refusal(made, gzip.compress(text, mtime=0)).code == "line_too_long"
    monkeypatch.setattr("deid.variants.stream.MAX_HEADER", 1 << 20)
    assert refusal(made, gzip.compress(b"##fileformat=VCFv4.2\n##x=" + bytes(9 << 20))).code == "bad_header"


def test_a_file_of_no_records_and_a_file_of_one_person_are_fine(made, compiled):
    assert made.lines_of(made.run(made.vcf([], PEOPLE), ONE, compiled=compiled)[1]) == []
    source = made.vcf(["1 10 . A C . . . GT 0/1", "1 11 . A C . . . GT 1"], ["LiMing"])
    assert [line[-1] for line in made.lines_of(made.run(source, ONE, compiled=compiled)[1])] == ["0/1:.:.:.", "1:.:.:."]


BOMBS = {
    "a line without end": (b"##fileformat=VCFv4.2\n##contig=<ID=1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tLiMing\n1\t10\t",
                           "line_too_long"),
    "a header without end": (b"##fileformat=VCFv4.2\n##note=", "bad_header"),
    "a BCF record without end": (b"BCF\x02\x02\x00\x00\x00\x00\xff\xff\xff\x7f\xff\xff\xff\x7f", "bad_bcf"),
    "a BCF header without end": (b"BCF\x02\x02\xff\xff\xff\x7f", "bad_bcf"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_unpacks_to_a_gigabyte_is_refused_in_little_memory(name):
    """In a child, whose peak memory is its own."""
    start, code = BOMBS[name]
    script = f"""
import io
from deid.bgzf import deflate_block
from deid.variants import VariantError, core_view, plan_from_steps
from tests.memory import peak_mb
bomb = deflate_block({start!r}, 6) + deflate_block(bytes(0xFF00), 6) * 16_000
try:
    core_view(plan_from_steps([], {{}}), io.BytesIO(bomb), io.BytesIO(), participants={{"LiMing": "p"}})
except VariantError as error:
    print(error.code, peak_mb())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    said, peak = done.stdout.split()
    assert said == code
    assert int(peak) < 512


def test_a_file_without_samples_is_refused(made):
    text = made.vcf([], []).replace(b"\tFORMAT\n", b"\n") + b"1\t10\t.\tA\tC\t.\t.\t.\n"
    assert refusal(made, text).code == "participant_missing"


BAD_STEPS = [
    [{"sort": {}}],
    [{"filter": {"keep": "yes"}}],
    [{"filter": {"keep": True, "drop": True}}],
    [{"filter": {"keep": True}}, {"filter": {"keep": True}}],
    [{"filter": {"keep": True}, "id": {"keep": True}}],
    ["filter"],
    [{"info": ["AC"]}],
    [{"info": {"keep": ["AC", "SF"]}}],
    [{"info": {"keep": ["AC", "AC"]}}],
    [{"info": {"keep": "AC"}}],
    [{"info": {"keep": ["DP"]}}, {"format": {"keep": ["GT"]}}],
    [{"format": {"keep": ["GT", "PL"]}}],
    [{"format": {"keep": ["DP", "GT"]}}],
    [{"header": {"keep": ["fileformat", "SAMPLE"]}}],
    [{"header": {"keep": ["contig"]}}],
    [{"minimum-allele-count": {"count": 0, "action": "drop"}}],
    [{"minimum-allele-count": {"count": True, "action": "drop"}}],
    [{"minimum-allele-count": {"count": 5, "action": "hide"}}],
    [{"minimum-allele-count": {"count": 5}}],
    [{"minimum-allele-count": {"count": 5, "action": "drop", "except": "panel"}}],
    [{"mask": {}}],
    [{"bin": {"AD": 5}}],
    [{"bin": {"DP": 0}}],
    [{"sites-only": {"keep": True}}],
    [{"private-alleles": {"action": "keep"}}],
]


@pytest.mark.parametrize("steps", BAD_STEPS, ids=str)
def test_an_unknown_step_key_or_field_is_refused_and_nothing_is_guessed(steps):
    """Invariant 3: unknown means refuse."""
    with pytest.raises(VariantError) as caught:
        plan_from_steps(steps, {})
    assert caught.value.code == "bad_step"
    assert "step" in str(caught.value) or "DP" in str(caught.value)


def test_a_mask_that_was_not_given_is_refused():
    with pytest.raises(VariantError) as caught:
        plan_from_steps([{"mask": {"bed": "masks/incidental.bed"}}], {})
    assert caught.value.code == "missing_file"


@pytest.mark.parametrize("bed", [b"1\t5", b"1\t5\t5\n", b"1\t9\t5\n", b"1\tx\t5\n", b"1\t-1\t5\n", b"\t1\t5\n"])
def test_a_broken_bed_is_refused_with_its_line(bed):
    with pytest.raises(VariantError, match="line 2") as caught:
        plan_from_steps([{"mask": {"bed": "m"}}], {"m": b"#comment\n" + bed})
    assert caught.value.code == "bad_bed"


def test_nothing_is_written_before_the_header_is_proven(made):
    from deid.variants import core_view

    sink = io.BytesIO()
    with pytest.raises(VariantError):
        core_view(plan_from_steps([], {}), io.BytesIO(made.vcf([GOOD], PEOPLE)), sink, participants={"Ghost": "p"})
    assert sink.getvalue() == b""
