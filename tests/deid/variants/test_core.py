"""What leaves a cohort VCF, seen through lines written by hand. Each test runs with both engines."""

from __future__ import annotations

import gzip
import io
import os
import threading

import pytest

from deid.variants import VariantError, copy_view

PEOPLE = ["LiMing", "WangFang", "ZhangWei", "ChenJie"]
TWO = {"WangFang": "p2", "LiMing": "p1"}
ALL = {"LiMing": "p1", "WangFang": "p2", "ZhangWei": "p3", "ChenJie": "p4"}
GT = {"format": {"keep": ["GT"]}}
COUNTS = {"info": {"keep": ["AC", "AN", "AF", "NS"]}}


def test_a_site_that_only_others_carry_does_not_leave(made, records):
    """Invariant 10: the presence of a site tells of somebody who is not permitted."""
    source = made.vcf(["1 10 . A C . . . GT 0/0 0/0 0/1 0/0", "1 20 . A C . . . GT 0/1 0/0 0/1 0/0"], PEOPLE)
    assert [line[1] for line in records(source, TWO)] == ["20"]


def test_an_allele_that_only_others_carry_is_cut_away_with_the_bases_it_needed(made, records):
    """Invariant 10: REF is as long as the longest deletion anybody has, so it is cut to what is left."""
    source = made.vcf(["1 10 . CAA C,CA,T . . . GT 0/2 2|0 0/1 3/3"], PEOPLE)
    (line,) = records(source, TWO, COUNTS, GT)
    assert line[3:5] == ["CA", "C"]
    assert line[7:] == ["AC=2;AN=4;AF=0.5;NS=2", "GT", "0/1", "1|0"]


def test_alt_alleles_stand_in_byte_order_whatever_the_callers_order(made, records):
    one = made.vcf(["1 10 . A T,G . . . GT:AD 0/1:5,3,1 2/2:1,0,9 0/0:0,0,0 0/0:0,0,0"], PEOPLE)
    other = made.vcf(["1 10 . A G,T . . . GT:AD 0/2:5,1,3 1/1:1,9,0 0/0:0,0,0 0/0:0,0,0"], PEOPLE)
    (line,) = records(one, TWO)
    assert line[4] == "G,T"
    assert line[9:] == ["0/2:.:.:5,1,3", "1/1:.:.:1,9,0"]
    assert records(other, TWO) == [line]


def test_a_spanning_deletion_alone_is_no_reason_for_a_record(made, records):
    """Invariant 10: a ``*`` record stands there because somebody else has a variant at that base."""
    source = made.vcf(["1 10 . A C,* . . . GT 0/2 0/2 0/1 0/0", "1 11 . A C,* . . . GT 0/2 0/1 0/1 0/0"], PEOPLE)
    assert [(line[1], line[4]) for line in records(source, TWO)] == [("11", "*,C")]


def test_id_quality_and_unlisted_fields_are_emptied_by_default(made, records):
    source = made.vcf(
        ["1 10 rs5 A C 99 PASS SF=LiMing.bam;AC=7 GT:PGT:DP 0/1:LiMing:3 0/0:x:4 0/0:y:5 0/0:z:6"], PEOPLE
    )
    (line,) = records(source, TWO, {"format": {"keep": ["GT", "DP"]}})
    assert line[2:3] + line[5:] == [".", ".", ".", ".", "GT:DP", "0/1:3", "0/0:4"]


def test_id_quality_and_filter_stay_where_the_recipe_asks(made, records):
    source = made.vcf(["1 10 rs5 A C 99.5 q10 . GT 0/1 0/0 0/0 0/0"], PEOPLE)
    steps = [{"id": {"keep": True}}, {"quality": {"keep": True}}, {"filter": {"keep": True}}, GT]
    (line,) = records(source, TWO, *steps)
    assert (line[2], line[5], line[6]) == ("rs5", "99.5", "q10")


def test_counts_are_those_of_the_genotypes_written(made, records):
    """The peers' trap: a stale INFO/AC. Partly called genotypes count what is called; DP sums the depths written."""
    source = made.vcf(["1 10 . A C . . AC=900;AN=2000;DP=77777 GT:DP:GQ 0/1:7:30 ./1:.:4 ./.:9:9 1/1:50:50"], PEOPLE)
    three = {"LiMing": "p1", "WangFang": "p2", "ZhangWei": "p3"}
    (line,) = records(source, three, *made.KEEP_ALL[1:2], {"format": {"keep": ["GT", "DP", "GQ"]}})
    assert line[7:] == ["AC=2;AN=3;AF=0.666667;NS=2;DP=16", "GT:DP:GQ", "0/1:7:30", "./1:.:4", "./.:9:9"]


def test_any_ploidy_and_phase_are_kept(made, records):
    source = made.vcf(["X 10 . A C . . . GT 1 0|1|1 . 1/."], PEOPLE)
    (line,) = records(source, ALL, COUNTS, GT)
    assert line[7:] == ["AC=4;AN=5;AF=0.8;NS=3", "GT", "1", "0|1|1", ".", "1/."]


def test_symbolic_alleles_keep_one_base_and_their_end(made, records):
    source = made.vcf(["1 10 . ACG A,<DEL> . . SF=x;END=400 GT 0/2 0/0 0/1 0/0"], PEOPLE)
    (line,) = records(source, TWO, {"info": {"keep": ["END", "AC"]}}, GT)
    assert line[3:5] == ["A", "<DEL>"]
    assert line[7] == "END=400;AC=1"


def test_what_touches_the_mask_does_not_leave_unless_the_panel_holds_all_of_it(made, records):
    lines = [
        f"1 {at} . {ref} C . . . GT 0/1 0/0 0/0 0/0" for at, ref in ((99, "A"), (100, "A"), (98, "AAAA"), (105, "A"))
    ]
    lines += ["1 105 . AC C . . . GT 0/1 0/0 0/0 0/0", "1 50 . A <DEL> . . END=101 GT 0/1 0/0 0/0 0/0"]
    steps = [GT, {"mask": {"bed": "m.bed", "except": "approved-panel"}}]
    files = {"m.bed": b"1\t99\t110\textra\n", "approved-panel": b"1\t104\t105\n1\t200\t300\n"}
    kept = records(made.vcf(lines, PEOPLE), TWO, *steps, files=files)
    assert [(line[1], line[3]) for line in kept] == [("99", "A"), ("105", "A")]
    assert [
        line[1] for line in records(made.vcf(lines, PEOPLE), TWO, GT, steps[1], files={"m.bed": files["m.bed"]})
    ] == ["99"]


def test_the_mask_is_judged_on_the_bases_that_leave(made, records):
    """Invariant 10: somebody else's long deletion must not decide whether a record of ours is masked."""
    step = {"mask": {"bed": "m.bed"}}
    with_other = made.vcf(["1 10 . AAAA A,CAAA . . . GT 0/2 0/0 0/1 0/0"], PEOPLE)
    assert [line[3] for line in records(with_other, TWO, GT, step, files={"m.bed": b"1\t12\t20\n"})] == ["A"]


def test_rare_alleles_are_dropped_with_their_record(made, records):
    lines = [
        "1 10 . A C . . . GT 0/1 0/1 0/0 1/1",
        "1 20 . A C . . . GT 0/1 0/1 0/0 0/0",
        "1 30 . A C,G . . . GT 1/1 1/1 0/2 0/0",
    ]
    step = {"minimum-allele-count": {"count": 3, "action": "drop"}}
    assert [line[1] for line in records(made.vcf(lines, PEOPLE), ALL, GT, step)] == ["10"]


def test_rare_alleles_are_masked_and_everything_counted_anew_until_none_is_rare(made, records):
    lines = ["1 10 . A C,G . . . GT:DP 1/1:4 1/1:5 1/2:6 0/1:7", "1 20 . A C,G . . . GT:DP 1/2:1 0/1:1 0/1:1 0/0:1"]
    steps = [COUNTS, {"format": {"keep": ["GT", "DP"]}}, {"minimum-allele-count": {"count": 3, "action": "mask"}}]
    (line,) = records(made.vcf(lines, PEOPLE), ALL, *steps)
    assert line[1:2] + line[4:5] + line[7:] == [
        "10",
        "C",
        "AC=5;AN=6;AF=0.833333;NS=3",
        "GT:DP",
        "1/1:4",
        "1/1:5",
        "./.:.",
        "0/1:7",
    ]


def test_private_alleles_are_those_of_one_participant_however_many_copies(made, records):
    lines = [
        "1 10 . A C . . . GT 1/1 0/0 0/0 0/0",
        "1 20 . A C . . . GT 0/1 0/1 0/0 0/0",
        "1 300 . A C . . . GT 0/1 0/0 0/0 0/0",
    ]
    step = {"private-alleles": {"action": "drop", "except": "approved-panel"}}
    kept = records(made.vcf(lines, PEOPLE), ALL, GT, step, files={"approved-panel": b"1\t290\t310\n"})
    assert [line[1] for line in kept] == ["20", "300"]


def test_depth_and_quality_are_written_as_the_lower_edge_of_their_bin(made, records):
    source = made.vcf(["1 10 . A C . . . GT:DP:GQ 0/1:007:99 0/0:23:. 0/0:1:1 0/0:1:1"], PEOPLE)
    steps = [{"info": {"keep": ["DP"]}}, {"format": {"keep": ["GT", "DP", "GQ"]}}, {"bin": {"DP": 5, "GQ": 20}}]
    (line,) = records(source, TWO, *steps)
    assert line[7:] == ["DP=25", "GT:DP:GQ", "0/1:5:80", "0/0:20:."]


def test_sites_only_has_counts_and_no_columns_of_people(made, records, compiled):
    source = made.vcf(["1 10 . A C . . . GT:DP 0/1:3 1/1:3 0/0:3 0/0:3"], PEOPLE)
    steps = [{"sites-only": {}}, COUNTS]
    assert records(source, TWO, *steps) == [["1", "10", ".", "A", "C", ".", ".", "AC=3;AN=4;AF=0.75;NS=2"]]
    counts, view = made.run(source, TWO, steps, compiled=compiled)
    assert b"FORMAT" not in gzip.decompress(view)
    sink = io.BytesIO()
    assert copy_view(io.BytesIO(view), sink, names={}, compiled=compiled).records == counts.records_out == 1
    assert gzip.decompress(sink.getvalue()) == gzip.decompress(view)


def test_columns_are_internal_codes_in_their_order(made, compiled):
    source = made.vcf(["1 10 . A C . . . GT 0/1 1/1 0/0 0/0"], PEOPLE)
    _, view = made.run(source, {"LiMing": "z9", "WangFang": "a1"}, [GT], compiled=compiled)
    assert gzip.decompress(view).decode().splitlines()[-2:] == [
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta1\tz9",
        "1\t10\t.\tA\tC\t.\t.\t.\tGT\t1/1\t0/1",
    ]


def test_the_header_is_ours_line_by_line(made, compiled):
    source = made.vcf(["1 10 . A C . PASS . GT 0/1 1/1 0/0 0/0"], PEOPLE)
    _, view = made.run(source, TWO, [{"filter": {"keep": True}}, {"info": {"keep": ["AC"]}}], compiled=compiled)
    assert gzip.decompress(view).decode().splitlines()[:-2] == [
        "##fileformat=VCFv4.2",
        '##FILTER=<ID=PASS,Description="All filters passed">',
        '##FILTER=<ID=q10,Description="As named by the source">',
        "##contig=<ID=1,length=1000000>",
        "##contig=<ID=X,length=500000>",
        "##contig=<ID=HLA*01:01,length=300>",
        '##INFO=<ID=AC,Number=A,Type=Integer,Description="Copies of each ALT allele in the genotypes of this file">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Read depth">',
        '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Genotype quality">',
    ]


def test_a_format_key_that_the_source_does_not_declare_is_not_promised(made, compiled):
    """No column of ``.`` for a key that nobody measured; INFO DP goes with the depths it sums."""
    header = "".join(line + "\n" for line in made.HEADER.splitlines() if "FORMAT=<ID=DP" not in line)
    source = made.vcf(["1 10 . A C . . . GT:DP:GQ 0/1:3:40 0/0:5:50 0/0:1:1 0/0:1:1"], PEOPLE, header)
    _, view = made.run(source, TWO, compiled=compiled)
    (line,) = made.lines_of(view)
    assert line[7:] == ["AC=1;AN=4;AF=0.25;NS=2", "GT:GQ:AD", "0/1:40:.", "0/0:50:."]
    assert b"ID=DP" not in gzip.decompress(view)


def test_counts_say_what_was_done(made, compiled):
    lines = [
        "1 10 . A C . . . GT 0/1 0/0 0/0 0/0",
        "1 20 . A C,G . . . GT 0/2 0/1 0/0 0/0",
        "1 30 . A C . . . GT 0/0 0/0 0/1 0/0",
        "1 40 . A C . . . GT ./. 1/1 0/1 0/0",
        "1 99 . A C . . . GT 1/1 1/1 0/1 0/0",
    ]
    steps = [GT, {"mask": {"bed": "m"}}]
    counts, view = made.run(made.vcf(lines, PEOPLE), TWO, steps, files={"m": b"1 98 99"}, compiled=compiled)
    assert (counts.records_in, counts.records_out, dict(counts.removed)) == (5, 3, {"no_carrier": 1, "masked": 1})
    assert (counts.participants, counts.singletons_per_participant_max, counts.called) == (2, 2, (2, 3))
    assert counts.bytes == len(view)


def test_the_digest_is_of_the_bytes_in_the_sink(made):
    import hashlib

    counts, view = made.run(made.vcf(["1 10 . A C . . . GT 0/1 0/0 0/0 0/0"], PEOPLE), TWO)
    assert counts.digest == "sha256:" + hashlib.sha256(view).hexdigest()


def test_bgzip_gzip_and_plain_input_give_the_same_bytes_through_pipes(made, compiled):
    text = made.vcf([f"1 {at} . A C . . . GT:DP 0/1:3 0/0:4 0/1:5 0/0:6" for at in range(1, 400)], PEOPLE)
    views = {made.run(data, TWO, compiled=compiled)[1] for data in (text, made.bgzip(text), gzip.compress(text))}
    two_members = gzip.compress(text[:1000]) + gzip.compress(text[1000:])
    views |= {made.run(two_members, TWO, compiled=compiled, threads=3)[1], through_pipes(made.bgzip(text), compiled)}
    assert len(views) == 1


def through_pipes(source: bytes, compiled: bool) -> bytes:
    """The same, with a source and a sink that cannot be sought."""
    from deid.variants import core_view, plan_from_steps

    (read_in, write_in), (read_out, write_out) = os.pipe(), os.pipe()
    received: list[bytes] = []

    def feed() -> None:
        with open(write_in, "wb") as pipe:  # noqa: PTH123 -- a descriptor, not a path
            pipe.write(source)

    def drain() -> None:
        with open(read_out, "rb") as pipe:  # noqa: PTH123
            received.append(pipe.read())

    threads = [threading.Thread(target=feed), threading.Thread(target=drain)]
    for thread in threads:
        thread.start()
    plan = plan_from_steps([{"filter": {"keep": True}}, {"info": {"keep": ["AC", "AN", "AF", "NS", "DP"]}},
                            {"format": {"keep": ["GT", "DP", "GQ", "AD"]}}], {})  # fmt: skip
    with open(read_in, "rb", buffering=0) as pipe, open(write_out, "wb", buffering=0) as sink:  # noqa: PTH123
        core_view(plan, pipe, sink, participants=TWO, compiled=compiled, level=1)
    for thread in threads:
        thread.join()
    return received[0]


def test_the_copy_has_the_recipients_names_in_their_order_and_the_same_records(made, compiled):
    lines = ["1 10 . A C . . . GT:DP 0/1:3 1:44 0/0:5 ./.:6", "1 20 . A C . . . GT 0|1 1|1 0|0 .|."]
    _, view = made.run(made.vcf(lines, PEOPLE), ALL, compiled=compiled)
    sink = io.BytesIO()
    names = {"p1": "S-zz", "p2": "S-mm", "p3": "S-aa", "p4": "S-bb"}
    counts = copy_view(io.BytesIO(view), sink, names=names, compiled=compiled)
    assert gzip.decompress(sink.getvalue()).decode().split("\n")[-4].split("\t")[9:] == ["S-aa", "S-bb", "S-mm", "S-zz"]
    before, after = made.lines_of(view), made.lines_of(sink.getvalue())
    assert [line[:9] for line in before] == [line[:9] for line in after]
    assert [[line[9 + at] for at in (2, 3, 1, 0)] for line in before] == [line[9:] for line in after]
    assert (counts.records, counts.participants, counts.bytes) == (2, 4, len(sink.getvalue()))


@pytest.mark.parametrize("names", [{"p1": "a"}, {"p1": "a", "p2": "b", "p3": "c"}, {"p1": "a", "px": "b"}])
def test_a_copy_needs_a_name_for_exactly_the_participants(made, names):
    _, view = made.run(made.vcf(["1 10 . A C . . . GT 0/1 0/0 0/0 0/0"], PEOPLE), TWO)
    with pytest.raises(VariantError) as caught:
        copy_view(io.BytesIO(view), io.BytesIO(), names=names)
    assert caught.value.code == "names_differ"


def test_a_source_file_is_not_taken_for_a_core_view(made):
    source = made.vcf(["1 10 . A C . . . GT 0/1 0/0 0/0 0/0"], PEOPLE)
    with pytest.raises(VariantError) as caught:
        copy_view(io.BytesIO(source), io.BytesIO(), names={name: f"n{at}" for at, name in enumerate(PEOPLE)})
    assert caught.value.code == "not_a_core_view"
