"""What a view is said to hold is what pysam sees in it; and the tasks a release is made of, one after another."""

from __future__ import annotations

import gzip
import io
import random
import struct
from dataclasses import asdict

import pysam
import pytest

from deid import native
from deid.bgzf import EOF_BLOCK, deflate_block
from deid.errors import DeidError
from deid.leakcheck import check
from deid.reads import ReadsError, assess_view
from deid.run import assess, copy, core

STEPS = ({"tags": {"keep": ["RG", "NM", "MC"]}}, {"quality": {"as": "bins-4"}}, {"keep": {"also": ["unmapped"]}})
SUBSTITUTED = ({"reference-substituted": {}},)


def packed(raw: bytes) -> bytes:
    return b"".join(deflate_block(raw[at : at + 60000], 1) for at in range(0, len(raw), 60000)) + EOF_BLOCK


@pytest.fixture
def view(made) -> bytes:
    """A view of reads of several kinds."""
    rng, reads = random.Random(6), []
    for at in range(20, 1500, 9):
        reads.append({"name": f"HX:{at}", "at": at, "cigar": rng.choice(["10M", "3S7M", "5M2I3M", "4M9D6M"]),
                      "flag": rng.choice([0, 16, 99, 147, 4]), "mate": (0, rng.randrange(900)),
                      "quality": "".join(rng.choices("#AI", k=10)),
                      "tags": [("RG", rng.choice(["H3.1", "H3.2"])), ("NM", 3), ("MC", "9M"), ("BC", "AC")]})  # fmt: skip
    return made.run(made.bam(reads), STEPS)[1]


def test_a_view_holds_what_pysam_sees_in_it(made, view, compiled):
    found, reads = assess_view(io.BytesIO(view), compiled=compiled), made.read(view)
    flags = operations = 0
    for read in reads:
        flags |= read.flag
        for operation, _ in read.cigartuples or []:
            operations |= 1 << operation
    assert asdict(found) == {
        "records": len(reads),
        "participants": 1,
        "tags": tuple(sorted({name for read in reads for name, _ in read.get_tags()})),
        "quality_levels": len({value for read in reads for value in read.query_qualities}),
        "flags": flags,
        "operations": operations,
        "unplaced": 0,
        "with_mates": sum(read.next_reference_start >= 0 for read in reads),
        "is_substituted": False,
        "bases_are_reference": None,
    }
    assert len(reads) > 100


def test_substituted_reads_are_known_by_their_form_and_their_bases(made, reference, compiled):
    out = made.run(
        made.bam([{"at": at, "bases": "ACGTTTTTAC"} for at in range(5, 900, 7)]), SUBSTITUTED, reference=reference
    )[1]
    found = assess_view(io.BytesIO(out), reference=reference, compiled=compiled)
    assert (found.is_substituted, found.bases_are_reference) == (True, True)
    assert assess_view(io.BytesIO(out), compiled=compiled).bases_are_reference is None


FORMS = {
    "a tag": lambda read: read.set_tag("NM", 1),
    "a flag": lambda read: setattr(read, "flag", 1024),
    "a mate": lambda read: setattr(read, "next_reference_start", 5),
    "a template": lambda read: setattr(read, "template_length", 9),
    "an insertion": lambda read: setattr(read, "cigarstring", "4M2I4M"),
    "two matches": lambda read: setattr(read, "cigarstring", "5M5M"),
    "a mapping quality": lambda read: setattr(read, "mapping_quality", 59),
    "a quality": lambda read: setattr(read, "query_qualities", pysam.qualitystring_to_array("AAAAAAAAA?")),
}


@pytest.mark.parametrize("case", FORMS)
def test_one_read_of_another_form_among_substituted_ones_is_seen(made, reference, compiled, tmp_path, case):
    out = made.run(made.bam([{"at": at} for at in range(5, 900, 7)]), SUBSTITUTED, reference=reference)[1]
    (tmp_path / "a.bam").write_bytes(out)
    with (
        pysam.AlignmentFile(str(tmp_path / "a.bam")) as reads,
        pysam.AlignmentFile(str(tmp_path / "b.bam"), "wb", template=reads) as changed,
    ):
        for number, read in enumerate(reads):
            if number == 50:
                FORMS[case](read)
            changed.write(read)
    assert not assess_view(io.BytesIO((tmp_path / "b.bam").read_bytes()), compiled=compiled).is_substituted


def records_of(raw: bytes) -> tuple[bytes, list[bytes]]:
    """Header and records of decompressed BAM."""
    at = 8 + struct.unpack_from("<I", raw, 4)[0]
    (contigs,) = struct.unpack_from("<I", raw, at)
    at += 4
    for _ in range(contigs):
        at += 8 + struct.unpack_from("<I", raw, at)[0]
    head, found = raw[:at], []
    while at < len(raw):
        end = at + 4 + struct.unpack_from("<I", raw, at)[0]
        found.append(raw[at:end])
        at = end
    return head, found


@pytest.mark.parametrize("number", [1, 2, 700, 2900, 3998])
def test_reads_that_do_not_come_sorted_are_refused_with_the_number(made, reference, compiled, number):
    """Within one chunk and where two chunks meet: a record is some 70 bytes, a chunk 256 KiB."""
    reads = [{"at": at, "name": f"n{at}", "bases": "ACGTTTTTAC"} for at in sorted(n % 2900 for n in range(4000))]
    head, records = records_of(gzip.decompress(made.run(made.bam(reads), SUBSTITUTED, reference=reference)[1]))
    number += next(at for at in range(len(records)) if records[number + at][8:12] != records[number + at - 1][8:12])
    records[number - 1 : number + 1] = records[number - 1 : number + 1][::-1]
    with pytest.raises(ReadsError) as caught:
        assess_view(io.BytesIO(packed(head + b"".join(records))), compiled=compiled)
    assert (caught.value.code, caught.value.record) == ("unsorted", number + 1)


def test_a_read_out_of_order_is_seen_wherever_two_chunks_meet(made, reference, compiled, monkeypatch):
    monkeypatch.setattr("deid.reads.blocks.GROUP", 1)
    reads = [{"at": at, "name": f"n{at}", "bases": "ACGTTTTTAC"} for at in range(0, 2000, 100)]
    head, records = records_of(gzip.decompress(made.run(made.bam(reads), SUBSTITUTED, reference=reference)[1]))
    records[9:11] = records[9:11][::-1]
    blocks = [deflate_block(one, 1) for one in (head, *records)]
    with pytest.raises(ReadsError) as caught:
        assess_view(io.BytesIO(b"".join(blocks) + EOF_BLOCK), compiled=compiled)
    assert (caught.value.code, caught.value.record) == ("unsorted", 11)


def test_reads_whose_header_does_not_say_that_they_are_sorted_are_not_substituted_ones(made, reference, compiled):
    out = gzip.decompress(made.run(made.bam([{"at": 5}, {"at": 50}]), SUBSTITUTED, reference=reference)[1])
    text = out.replace(b"SO:coordinate", b"SO:unknown", 1)
    text = text[:4] + struct.pack("<I", struct.unpack_from("<I", out, 4)[0] - 3) + text[8:]
    assert assess_view(io.BytesIO(packed(out)), compiled=compiled).is_substituted
    assert not assess_view(io.BytesIO(packed(text)), compiled=compiled).is_substituted


def test_one_base_that_is_not_the_references_is_seen(made, reference, compiled):
    out = gzip.decompress(made.run(made.bam([{"at": 5}, {"at": 50}]), SUBSTITUTED, reference=reference)[1])
    last = out.rindex(b"\x1e" * 10)  # the qualities behind the last read's bases
    other = out[: last - 1] + bytes([out[last - 1] ^ 0x30]) + out[last:]
    found = assess_view(io.BytesIO(packed(other)), reference=reference, compiled=compiled)
    assert (found.is_substituted, found.bases_are_reference) == (True, False)


@pytest.mark.parametrize("odd", [0, 1])
def test_any_base_of_any_read_that_is_not_the_references_is_seen(made, reference, compiled, odd):
    """The first and the last base, of reads of even and of odd length, at the ends of a contig and beside a border."""
    places = [0, 1, 1490, 2989, 2990 - odd]
    cigar, bases = f"{10 + odd}M", "ACGTTTTTACG"[: 10 + odd]
    reads = [{"at": at, "cigar": cigar, "bases": bases, "name": f"n{at}"} for at in places]
    out = gzip.decompress(made.run(made.bam(reads), SUBSTITUTED, reference=reference)[1])

    def is_reference(raw: bytes) -> bool | None:
        return assess_view(io.BytesIO(packed(raw)), reference=reference, compiled=compiled).bases_are_reference

    assert is_reference(out)
    quality = -1
    for _ in places:
        quality = out.index(b"\x1e" * (10 + odd), quality + 1)
        for at, change in ((quality - 5 - odd, 0x30), (quality - 5 - odd, 0x03), (quality - 1, 0x30)):
            assert not is_reference(out[:at] + bytes([out[at] ^ change]) + out[at + 1 :])
        if odd:  # the spare half byte is nobody's base, and nobody's room for a note
            assert not is_reference(out[: quality - 1] + bytes([out[quality - 1] ^ 1]) + out[quality:])


def test_bases_are_judged_by_short_stretches_as_by_long_ones(made, reference, compiled, monkeypatch):
    out = made.run(made.bam([{"at": at} for at in range(0, 2990, 7)]), SUBSTITUTED, reference=reference)[1]
    monkeypatch.setattr("deid.reads.places.STRETCH", 1)
    assert assess_view(io.BytesIO(out), reference=reference, compiled=compiled).bases_are_reference
    assert made.run(made.bam([{"at": at} for at in range(0, 2990, 7)]), SUBSTITUTED, reference=reference)[1] == out


def test_a_read_behind_the_end_of_its_contig_is_not_the_references(made, reference, compiled):
    out = gzip.decompress(made.run(made.bam([{"at": 2990}]), SUBSTITUTED, reference=reference)[1])
    behind = out.replace(struct.pack("<ii", 0, 2990), struct.pack("<ii", 0, 2991))
    assert behind != out
    assert not assess_view(io.BytesIO(packed(behind)), reference=reference, compiled=compiled).bases_are_reference


@pytest.mark.parametrize("line", [b"@CO\tLiMing\n", b"@PG\tID:x\n", b"@RG\tID:z\tSM:p1\tLB:LiMing\n"])
def test_a_header_with_anything_beside_ours_is_refused(view, compiled, line):
    raw = gzip.decompress(view)
    size = struct.unpack_from("<I", raw, 4)[0]
    other = raw[:4] + struct.pack("<I", size + len(line)) + raw[8 : 8 + size] + line + raw[8 + size :]
    with pytest.raises(ReadsError) as caught:
        assess_view(io.BytesIO(packed(other)), compiled=compiled)
    assert caught.value.code == "not_ours"
    assert "LiMing" not in str(caught.value)


@pytest.mark.parametrize(("name", "group"), [("HX:1:2:3:4:5:6", "p1.1"), ("AAAAAAAAAAAAA", "p1.1"), ("A" * 14, "zz")])
def test_a_name_or_a_group_that_is_not_ours_is_refused(made, compiled, name, group):
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": "1", "LN": 3000}],
        "RG": [{"ID": "p1.1", "SM": "p1"}],
    }
    data = made.bam([{"name": name, "tags": [("RG", group)]}], header)
    with pytest.raises(ReadsError) as caught:
        assess_view(io.BytesIO(data), compiled=compiled)
    assert caught.value.code == "not_ours"


@pytest.mark.skipif(not native.has_reads, reason="no compiler")
def test_kernel_and_twin_find_the_same_in_mutants(made, view):
    from tests.deid.reads.test_bad_input import mutate

    rng, raw, answers = random.Random(7), gzip.decompress(view), set()
    for _ in range(300):
        mutant, said = packed(mutate(rng, raw)), []
        for engine in (True, False):
            try:
                said.append(repr(assess_view(io.BytesIO(mutant), compiled=engine)))
            except ReadsError as error:
                said.append(str(error))
        assert said[0] == said[1]
        answers.add(said[0][:9])
    assert len(answers) > 2


RECIPE = "recipe: r\nversion: 1\nkind: {kind}\ntier: {tier}\nsteps: {steps}\n"


def spec_of(kind: str, tier: str, steps: str, **more: object) -> dict[str, object]:
    recipe = RECIPE.format(kind=kind, tier=tier, steps=steps)
    return {"kind": kind, "recipe": recipe, "files": {}, "key": "00" * 16, "participants": {"LiMing": "c1"}, **more}


@pytest.mark.parametrize("tier", ["controlled", "registered"])
def test_the_tasks_of_a_release_of_reads_follow_one_another(made, reference, tier):
    """Core view, what it holds, two recipients' copies, and the leak check on each copy."""
    source = made.bam([{"name": f"HX:{at}", "at": at} for at in range(5, 900, 7)])
    steps = "[reference-substituted: {}]" if tier == "registered" else "[quality: {as: bins-8}]"
    options = {"options": {"reference": str(reference.path), "threads": 1}}
    spec, frozen = spec_of("reads", tier, steps, **options), io.BytesIO()
    report = core(spec, {"source": io.BytesIO(source)}, {"core": frozen})
    found = assess(spec, {"core": io.BytesIO(frozen.getvalue())}, {})
    assert found["reads"]["records"] == report["output"]["records"] == 128
    assert found["reads"]["is_substituted"] is (tier == "registered")
    copies = []
    for name, key in (("P-1", "11" * 16), ("P-2", "22" * 16)):
        sink = io.BytesIO()
        made_of = copy(
            {"kind": "reads", "names": {"c1": name}, "key": key},
            {"core": io.BytesIO(frozen.getvalue())},
            {"copy": sink},
        )
        assert made_of["records_out"] == 128
        leaks = check(
            io.BytesIO(sink.getvalue()),
            name="view.bam",
            source_identifiers=["LiMing", "c1-is-not-short", "H3.ACGT", "HX:"],
        )
        assert leaks == []
        copies.append({read.query_name for read in made.read(sink.getvalue())})
    assert not copies[0] & copies[1]


def test_the_registered_tier_is_not_taken_at_its_word(made, reference):
    """A core view that is not substituted, or cannot be shown to be, stops at the judgement whatever made it."""
    plain = made.run(made.bam([{"at": 5}]), ({"quality": {"as": "keep"}},))[1]
    substituted = made.run(made.bam([{"at": 5}]), SUBSTITUTED, reference=reference)[1]
    for data, options in ((plain, {"reference": str(reference.path)}), (substituted, {})):
        spec = spec_of("reads", "registered", "[reference-substituted: {}]", options=options)
        with pytest.raises(DeidError) as caught:
            assess(spec, {"core": io.BytesIO(data)}, {})
        assert caught.value.code == "not_substituted"


def test_the_tasks_of_a_release_of_fastq_follow_one_another():
    text = b"".join(b"@HX:%d x\nACGT\n+\n!#AI\n" % n for n in range(50))
    spec, frozen, sink = spec_of("fastq", "controlled", "[]"), io.BytesIO(), io.BytesIO()
    core(spec, {"source": io.BytesIO(text)}, {"core": frozen})
    assert assess(spec, {"core": io.BytesIO(frozen.getvalue())}, {}) == {
        "fastq": {"records": 50, "quality_levels": 2},
        "linkable": True,
    }
    copy({"kind": "fastq", "key": "11" * 16, "names": {}}, {"core": io.BytesIO(frozen.getvalue())}, {"copy": sink})
    names = [set(gzip.decompress(data).split(b"\n")[:-1:4]) for data in (frozen.getvalue(), sink.getvalue())]
    assert len(names[0]) == len(names[1]) == 50
    assert not names[0] & names[1]


@pytest.mark.parametrize("people", [{}, {"LiMing": "c1", "WangFang": "c2"}])
def test_a_fastq_leaves_for_exactly_one_permitted_person(people):
    spec = {**spec_of("fastq", "controlled", "[]"), "participants": people}
    with pytest.raises(DeidError) as caught:
        core(spec, {"source": io.BytesIO(b"@a\nA\n+\nI\n")}, {"core": io.BytesIO()})
    assert caught.value.code == "one_participant"
