"""The core view of reads: whose reads leave, and what of them; pysam and samtools are the independent readers."""

from __future__ import annotations

import gzip
import io
import random

import pysam
import pytest

from deid.indexes import index_reads
from deid.reads import ReadsError, ReadsOptions, copy_view, core_view, plan_from_steps
from deid.reads.names import siphash128

NEEDLES = (b"LiMing", b"WangFang", b"H3", b"bwa", b"/home", b"ward", b"2026", b"free", b"ERR", b"HG00", b"HX:")


def test_siphash_gives_its_authors_vectors():
    key = bytes(range(16))
    assert b"".join(word.to_bytes(8, "little") for word in siphash128(key, b"")).hex() == (
        "a3817f04ba25a8e66df67214c7550293"
    )
    assert b"".join(word.to_bytes(8, "little") for word in siphash128(key, b"\0")).hex() == (
        "da87c1d86b99af44347659119b22fc45"
    )


def test_no_header_line_no_name_and_no_unlisted_tag_leaves(made, compiled):
    source = made.bam([{"tags": [("RG", "H3.1"), ("NM", 1), ("XX", "LiMing"), ("BC", "H3.ACGT")]}])
    _, out = made.run(source, compiled=compiled)
    raw = gzip.decompress(out)
    assert not [needle for needle in NEEDLES if needle in raw]
    assert made.header(out) == (
        "@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:1\tLN:3000\n@SQ\tSN:X\tLN:3000\n"
        "@RG\tID:p1.1\tSM:p1\tPL:ILLUMINA\n@RG\tID:p1.2\tSM:p1\n"
    )
    assert made.read(out)[0].get_tags() == [("RG", "p1.1"), ("NM", 1)]


def test_reads_of_somebody_not_permitted_or_of_nobody_do_not_leave(made, compiled):
    reads = [{"tags": [("RG", group)]} for group in ("H3.1", "H4", "H3.2", "H5")] + [{"tags": []}]
    counts, out = made.run(made.bam(reads), compiled=compiled)
    assert [read.get_tag("RG") for read in made.read(out)] == ["p1.1", "p1.2"]
    assert dict(counts.removed) == {"not_permitted": 3}


def test_a_read_without_group_leaves_where_the_file_is_one_persons(made, compiled):
    header = {**made.HEADER, "RG": made.HEADER["RG"][:2]}
    _, out = made.run(made.bam([{"tags": []}], header), compiled=compiled)
    assert made.read(out)[0].get_tag("RG") == "p1.1"


def test_mates_keep_a_name_in_common_and_two_reads_do_not(made, compiled):
    source = made.bam([{"name": "a", "flag": 65}, {"name": "a", "flag": 129}, {"name": "b"}])
    first, second, other = (read.query_name for read in made.read(made.run(source, compiled=compiled)[1]))
    assert first == second != other
    assert len(first) == 14


@pytest.mark.parametrize("flag", [0x4, 0x100, 0x200, 0x400, 0x800])
def test_only_mapped_primary_reads_leave_unless_asked_for(made, compiled, flag):
    source = made.bam([{"flag": flag}])
    assert made.read(made.run(source, compiled=compiled)[1]) == []
    assert len(made.read(made.run(source, (*made.STEPS, made.EVERY), compiled=compiled)[1])) == 1


@pytest.mark.parametrize(("how", "shown"), [("bins-4", [2, 2, 12, 23, 37]), ("bins-8", [0, 6, 6, 27, 40])])
def test_qualities_are_written_in_few_levels(made, compiled, how, shown):
    source = made.bam([{"bases": "ACGTA", "cigar": "5M", "quality": "!#(:K" if how == "bins-8" else "!#(:I"}])
    _, out = made.run(source, ({"quality": {"as": how}},), compiled=compiled)
    assert list(made.read(out)[0].query_qualities) == shown


MASK = ({"mask": {"bed": "m"}},)
TOUCHES = {
    "a base": ({"at": 495}, True),
    "the base before": ({"at": 490}, False),
    "the base behind": ({"at": 510}, False),
    "clipped bases behind": ({"at": 485, "cigar": "5M5S"}, False),
    "clipped bases that reach in": ({"at": 491, "cigar": "5M5S"}, True),
    "clipped bases in front that reach in": ({"at": 514, "cigar": "5S5M"}, True),
    "hard clips that reach in": ({"at": 480, "cigar": "10M15H"}, True),
    "a deletion over it": ({"at": 480, "cigar": "5M60D5M"}, True),
}


@pytest.mark.parametrize("case", TOUCHES)
def test_a_read_whose_bases_or_clips_touch_the_mask_does_not_leave(made, compiled, case):
    given, touches = TOUCHES[case]
    _, out = made.run(made.bam([given]), (*made.STEPS, *MASK), files={"m": b"1\t500\t510\n"}, compiled=compiled)
    assert (made.read(out) == []) is touches


@pytest.mark.parametrize("flag", [0x1, 0x100, 0x400, 0x800, 0x4])
def test_with_a_piece_that_touches_the_mask_goes_every_piece_of_that_name(made, compiled, flag):
    """Whatever the piece is, even one that a flag would drop: its mate or its primary may hold the same bases."""
    reads = [{"name": "a", "at": 100}, {"name": "b", "at": 200}, {"name": "a", "at": 500, "flag": flag}]
    _, out = made.run(made.bam(reads), (*made.STEPS, *MASK), files={"m": b"1\t500\t510\n"}, compiled=compiled)
    assert [read.reference_start for read in made.read(out)] == [200]


def test_the_approved_panel_is_exempt_where_the_read_lies_wholly_in_it(made, compiled):
    steps = (*made.STEPS, {"mask": {"bed": "m", "except": "approved-panel"}})
    files = {"m": b"1\t500\t600\n", "approved-panel": b"1\t520\t540\n"}
    source = made.bam([{"name": "a", "at": 515}, {"name": "b", "at": 525}, {"name": "c", "at": 525, "cigar": "10M9H"}])
    _, out = made.run(source, steps, files=files, compiled=compiled)
    assert [(read.reference_start, read.cigarstring) for read in made.read(out)] == [(525, "10M")]


def test_a_region_shows_nothing_of_a_mate_outside_it(made, compiled):
    reads = [
        {"name": "a", "at": 100, "flag": 99, "mate": (0, 900), "template": 810, "tags": [("RG", "H3.1"), ("MC", "9M")]},
        {"name": "b", "at": 120, "flag": 99, "mate": (0, 180), "template": 70, "tags": [("RG", "H3.1"), ("MC", "9M")]},
        {"name": "a", "at": 900, "flag": 147, "mate": (0, 100), "template": -810},
    ]
    _, out = made.run(made.bam(reads), region="1:50-200", compiled=compiled)
    far, near = made.read(out)
    assert (far.next_reference_id, far.next_reference_start, far.template_length) == (-1, -1, 0)
    assert far.flag == 0x1 | 0x8 | 0x40
    assert not far.has_tag("MC")
    assert (near.next_reference_start, near.template_length, near.get_tag("MC"), near.flag) == (180, 70, "9M", 99)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_real_reads_are_the_sources_in_every_listed_field(made, real, compiled, number):
    path = real / f"mpileup.{number}.bam"
    with pysam.AlignmentFile(str(path)) as reads:
        people = {group["SM"]: "p1" for group in reads.header.to_dict()["RG"]}
        wanted = [read for read in reads if not read.flag & 0xF04]
    counts, out = made.run(path.read_bytes(), people=people, compiled=compiled)
    got = made.read(out)
    assert counts.records_out == len(got) == len(wanted) > 200
    names = {}
    for ours, theirs in zip(got, wanted, strict=True):
        a, b = ours.to_string().split("\t"), theirs.to_string().split("\t")
        assert a[1:11] == b[1:11]
        kept = [tag for tag in b[11:] if tag[:2] in {"NM", "MD", "AS", "MC", "MQ"}]
        assert [tag for tag in a[11:] if not tag.startswith("RG")] == kept
        assert names.setdefault(b[0], a[0]) == a[0]
    assert len(set(names.values())) == len(names)
    assert not [needle for needle in (b"ERR", b"HG00", b"bwa") if needle in gzip.decompress(out)]


def test_an_index_of_the_output_answers_as_a_scan_does(made, tmp_path):
    _, out = made.run(made.bam([{"at": at} for at in range(0, 2900, 7)]))
    path = tmp_path / "v.bam"
    path.write_bytes(out)
    assert index_reads(path).suffix == ".bai"
    with pysam.AlignmentFile(str(path)) as reads:
        found = [read.reference_start for read in reads.fetch("1", 1000, 1100)]
    assert found == [at for at in range(0, 2900, 7) if 990 < at < 1100]


def test_a_recipients_copy_has_that_recipients_names_and_shares_none(made, compiled):
    _, core = made.run(made.bam([{"name": f"r{n}"} for n in range(50)]), compiled=compiled)
    copies = []
    for name, key in (("P-1", b"a" * 16), ("P-2", b"b" * 16)):
        sink = io.BytesIO()
        copy_view(io.BytesIO(core), sink, names={"p1": name}, key=key, options=ReadsOptions(compiled=compiled))
        copies.append(sink.getvalue())
        assert f"SM:{name}\t" in made.header(sink.getvalue())
        assert b"p1" not in gzip.decompress(sink.getvalue())
    one, other = ({read.query_name for read in made.read(copy)} for copy in copies)
    assert len(one) == len(other) == 50
    assert not one & other


def test_inv10_unlisted_fields_change_no_byte(made, compiled):
    """Invariant 10: names of others, unlisted tags, header lines, other people's reads, the spare half byte."""

    def source(seed: int) -> bytes:
        fixed, rng = random.Random(1), random.Random(seed)
        reads = []
        for at in range(0, 2000, 9):
            bases = "".join(fixed.choices("ACGT", k=11))
            tags = [("RG", "H3.1"), ("NM", fixed.randrange(9)), ("XY", rng.randrange(99)), ("ZZ", f"n{rng.random()}")]
            reads.append({"name": f"r{at}", "at": at, "cigar": "11M", "bases": bases, "tags": tags})
            others = "".join(rng.choices("ACGT", k=11))
            for _ in range(rng.randrange(3)):
                reads.append({"name": f"o{rng.random()}", "at": at, "cigar": "11M", "bases": others,
                              "tags": [("RG", "H4"), ("NM", rng.randrange(9))]})  # fmt: skip
        header = {**made.HEADER, "CO": [f"c{rng.random()}"], "PG": [{"ID": "x", "CL": str(rng.random())}]}
        return made.bam(reads, header)

    files = {"m": b"1\t500\t600\n"}
    views = {made.run(source(seed), (*made.STEPS, *MASK), files=files, compiled=compiled)[1] for seed in range(4)}
    assert len(views) == 1
    assert len(made.read(views.pop())) > 150


def test_the_same_bytes_whatever_the_threads(made, monkeypatch):
    """Invariant 11."""
    monkeypatch.setattr("deid.bgzf.GROUP", 3000)
    source = made.bam([{"name": f"r{at}", "at": at} for at in range(0, 2900, 3)])
    assert len({made.run(source, threads=threads)[1] for threads in (1, 2, 5)}) == 1


def test_a_mask_over_a_pipe_is_refused_because_it_needs_two_readings(made):
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    plan = plan_from_steps(MASK, {"m": b"1\t1\t2\n"})
    with pytest.raises(ReadsError) as caught:
        core_view(plan, Pipe(made.bam([{}])), io.BytesIO(), participants={"LiMing": "p1"}, key=made.KEY)
    assert caught.value.code == "needs_file"
