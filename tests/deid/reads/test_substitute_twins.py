"""The compiled kernel of substituted reads against its plain twin, and both against what is worked out by hand."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deid import native
from deid.reads import ReadsError, ReadsPlan, Reference
from deid.reads.errors import FAULT
from deid.reads.layout import Chunk, Layout, Rewritten
from deid.reads.places import in_order, placer, writer
from deid.reads.plan import quality_table
from deid.reads.records import split
from deid.reads.substitute import PLACE
from deid.variants.regions import Regions

STEPS = ({"reference-substituted": {}},)
LENGTHS = (700, 60_000)
BASES = ("ACGTRNacgtnYKM*-=" * 50)[:700], ("GATTACA" * 9000)[:60_000]
ENGINES = (True, False)
both = pytest.mark.skipif(not native.has_reads, reason="no compiler")


@pytest.fixture(scope="module")
def odd_reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Two contigs, one of them with letters that are no base and in lower case."""
    path = tmp_path_factory.mktemp("odd") / "odd.fa"
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in zip("ab", BASES, strict=True)))
    pysam.faidx(str(path))
    return Reference(path)


def layout_of(*, lengths: Sequence[int] = LENGTHS, hidden: Sequence[int] = (), **more: Any) -> Layout:
    masked, region = more.get("mask"), more.get("region")
    return Layout(
        plan=ReadsPlan(substituted=True, mask=spans(masked)) if masked else ReadsPlan(substituted=True),
        key=bytes(range(16)),
        quality=quality_table("keep"),
        groups=(b"g", b"other", b"h"),
        codes=(b"p1.1", b"", b"p2.1"),
        default_group=more.get("default_group", -1),
        contigs=tuple(b"%c" % (97 + n) for n in range(len(lengths))),
        lengths=tuple(lengths),
        region=spans(region) if region else None,
        sorted=True,
        hidden=tuple(hidden),
    )


def spans(found: tuple[int, int]) -> Regions:
    return Regions(starts={b"a": (found[0],), b"b": (found[0],)}, ends={b"a": (found[1],), b"b": (found[1],)})


def record(given: Mapping[str, Any]) -> bytes:
    """A BAM record, sound or not, with its length in front."""
    name, cigar, length = given.get("name", b"r"), given.get("cigar", [(0, 10)]), given.get("bases", 10)
    fixed = struct.pack(
        "<iiBBHHHiiii", given.get("contig", 0), given.get("at", 100), len(name) + 1, 50, 0, len(cigar),
        given.get("flag", 0), length, given.get("mate", -1), -1, 0,
    )  # fmt: skip
    words = struct.pack(f"<{len(cigar)}I", *(size << 4 | operation for operation, size in cigar))
    body = fixed + name + b"\0" + words + b"\x12" * ((max(length, 0) + 1) // 2) + b"\x1e" * max(length, 0)
    body += given.get("tags", b"RGZg\0")
    body = body[: len(body) - given.get("cut", 0)]
    return struct.pack("<I", len(body)) + body


def through(layout: Layout, reference: Reference, chunks: Sequence[Chunk], compiled: bool) -> list[list[Any]]:
    """All that each of the three steps gives."""
    done = [placer(layout, compiled=compiled)(chunk) for chunk in chunks]
    batches = list(in_order([one for one in done if not one.fault], compiled=compiled))
    write = writer(layout, reference, compiled=compiled)
    return [done, batches, [write(batch) for batch in batches]]


def chunk_of(records: bytes) -> Chunk:
    return Chunk(b"", records, 0, len(records))


SIZES = st.sampled_from([0, 1, 4, 20, 20, 99, 700, 9_999, 10_001])
CIGARS = st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 2, 4, 5, 6, 7, 8]), SIZES), min_size=1, max_size=4)
PLACES = st.one_of(st.integers(0, 720), st.sampled_from([9_000, 20_000, 59_990, 59_999, 60_000, 70_000]))
BROKEN: dict[str, list[Any]] = {
    "name": [b"", b"\xe6", b"a b", b"x" * 254],
    "contig": [-1, 2, -2],
    "at": [-1, -2, 2**31 - 1],
    "bases": [-1, 0, 1, 7],
    "cigar": [[], [(9, 1)], [(3, 50)], [(0, 5), (3, 50), (0, 5)], [(0, (1 << 28) - 1)], [(4, 10), (3, 99)]],
    "tags": [b"", b"RGZnone\0", b"RGZg\0RGZg\0", b"RGig\0\0\0", b"XXBc\2\0\0\0ab", b"NMC", b"XQZ", b"RGZ\0"],
    "mate": [2, -2],
    "cut": [1, 5, 30],
}
"""One thing that is wrong or odd, at most, in a record."""


@st.composite
def records_of(draw: st.DrawFn) -> dict[str, Any]:
    cigar = draw(CIGARS)
    fits = sum(size for operation, size in cigar if operation in (0, 1, 4, 7, 8))
    made = {
        "name": b"n%d" % draw(st.integers(0, 10**9)),
        "contig": draw(st.sampled_from([0, 1, 1])),
        "at": draw(PLACES),
        "flag": draw(st.sampled_from([0, 0, 0, 16, 99, 147, 0x81, 0x91, 4, 0x100, 0x200, 0x400, 0x800, 0xF000])),
        "cigar": cigar,
        "bases": fits,
        "tags": draw(st.sampled_from([b"RGZg\0"] * 3 + [b"NMC\1RGZh\0", b"RGZother\0", b"XXBc\2\0\0\0abRGZh\0"])),
        "mate": draw(st.sampled_from([-1, 0, 1])),
    }
    if draw(st.integers(0, 9)) == 0:
        field = draw(st.sampled_from(sorted(BROKEN)))
        made[field] = draw(st.sampled_from(BROKEN[field]))
    return made


def place_of(one: Mapping[str, Any]) -> tuple[int, int]:
    return (one["contig"] if one["contig"] >= 0 else 1 << 31, one["at"])


CASE = {
    "made": st.lists(records_of(), max_size=8),
    "in_place": st.sampled_from([True, True, False]),
    "cut": st.integers(0, 8),
    "chunks": st.booleans(),
    "mask": st.sampled_from([None, None, (90, 110), (0, 60_000)]),
    "region": st.sampled_from([None, None, (80, 130)]),
}


@both
def test_the_kernel_does_what_its_twin_does(odd_reference):
    written = []

    @settings(max_examples=150, deadline=None)
    @given(**CASE)
    def holds(made, in_place, cut, chunks, mask, region):
        each = [record(one) for one in (sorted(made, key=place_of) if in_place else made)]
        head, text = b"".join(each[:cut]), b"junk" + b"".join(each[cut:])
        parts = [chunk_of(one) for one in each] if chunks else [Chunk(head, text, 4, len(text))]
        layout = layout_of(mask=mask, region=region, default_group=0 if cut % 2 else -1, hidden=(5, 9))
        one, other = (through(layout, odd_reference, parts, engine) for engine in ENGINES)
        assert one == other
        written.append(bool(one[2]))

    holds()
    assert sum(written) > 20, "compared on refusals alone the engines would always agree"


@both
def test_the_kernel_hides_the_names_its_twin_hides(odd_reference):
    from deid.reads.names import siphash128

    names = [b"n%d" % n for n in range(60)]
    words = sorted(siphash128(bytes(range(16)), name)[0] for name in names[::3])
    layout, chunk = layout_of(hidden=words), chunk_of(b"".join(record({"name": name}) for name in names))
    one, other = (through(layout, odd_reference, [chunk], engine) for engine in ENGINES)
    assert one == other
    assert one[0][0].written == 40


@both
@pytest.mark.parametrize("form", ["bam", "cram"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_real_reads_are_the_same_from_both(made, real, real_reference, number, form):
    source = (real / f"mpileup.{number}.{form}").read_bytes()
    with pysam.AlignmentFile(str(real / f"mpileup.{number}.bam")) as reads:
        people = {group["SM"]: "p1" for group in reads.header.to_dict()["RG"]}
    one, other = (
        made.run(source, STEPS, people=people, reference=real_reference, compiled=engine) for engine in ENGINES
    )
    assert one == other
    assert one[0].records_out > 200


# What stands for one read on the contig of 60,000 bases: start and end, or the reason why nothing does.
CASES: dict[str, tuple[dict[str, Any], tuple[int, int] | str]] = {
    "a match": ({}, (100, 110)),
    "the last base of the contig": ({"at": 59_999, "cigar": [(0, 1)], "bases": 1}, (59_999, 60_000)),
    "a clip over the start": ({"at": 2, "cigar": [(4, 6), (0, 4)]}, (0, 10)),
    "a clip over the end": ({"at": 59_996, "cigar": [(0, 4), (4, 6)]}, (59_990, 60_000)),
    "hard clips count": ({"cigar": [(5, 30), (0, 10), (5, 5)]}, (70, 115)),
    "hard and soft clips": ({"cigar": [(5, 3), (4, 2), (0, 8)]}, (95, 108)),
    "an insertion": ({"cigar": [(0, 4), (1, 2), (0, 4)]}, (100, 110)),
    "a deletion": ({"cigar": [(0, 4), (2, 900), (0, 6)]}, (100, 110)),
    "a clip of 10,000": ({"at": 20_000, "cigar": [(5, 10_000), (0, 10)]}, (10_000, 20_010)),
    "a clip of one more": ({"at": 20_000, "cigar": [(5, 10_001), (0, 10)]}, "no_substitute"),
    "10,000 bases that are not in the file": ({"at": 0, "cigar": [(0, 10), (5, 10_000)]}, (0, 10_010)),
    "one more": ({"at": 0, "cigar": [(0, 10), (5, 10_001)]}, "no_substitute"),
    "a clip at the end that would move it": ({"at": 59_999, "cigar": [(0, 1), (5, 9_999)], "bases": 1}, (50_000, 60_000)),
    "and too far": ({"at": 59_999, "cigar": [(0, 9), (5, 10_000)], "bases": 9}, "no_substitute"),
    "no CIGAR": ({"cigar": []}, "no_substitute"),
    "a CIGAR of nothing": ({"cigar": [(0, 0)], "bases": 0}, "no_substitute"),
    "no bases": ({"cigar": [(0, 20)], "bases": 0}, (100, 120)),
    "only a deletion": ({"cigar": [(2, 20)], "bases": 0}, "no_substitute"),
    "spliced": ({"cigar": [(0, 5), (3, 50), (0, 5)]}, "no_substitute"),
    "more of it than of the contig": ({"cigar": [(0, 10), (5, 59_991)]}, "no_substitute"),
    "behind the end of the contig": ({"at": 70_001}, "no_substitute"),
    "behind it by a clip": ({"at": 60_005}, (59_990, 60_000)),
    "no place": ({"at": -1}, "flag"),
    "no contig": ({"contig": -1}, "flag"),
    "unmapped": ({"flag": 4}, "flag"),
    "somebody else's": ({"tags": b"RGZother\0"}, "not_permitted"),
    "nobody's": ({"tags": b""}, "not_permitted"),
    "a group that is not in the header": ({"tags": b"RGZnone\0"}, "not_permitted"),
}  # fmt: skip


def one_of(given: Mapping[str, Any], compiled: bool, **more: Any) -> Rewritten:
    return placer(layout_of(**more), compiled=compiled)(chunk_of(record({"contig": 1, **given})))


@pytest.mark.parametrize("case", CASES)
def test_where_a_read_stands_or_why_it_does_not(odd_reference, compiled, case):
    given, expected = CASES[case]
    done = one_of(given, compiled)
    assert done.fault == 0
    if isinstance(expected, str):
        reasons = ("flag", "masked", "not_permitted", "outside_region", "no_substitute")
        assert (done.data, done.removed) == (b"", tuple(int(reason == expected) for reason in reasons))
        return
    contig, start, _, length, _, _ = PLACE.unpack(done.data)
    assert (contig, start, start + length) == (1, *expected)
    (body,) = split(writer(layout_of(), odd_reference, compiled=compiled)(done.data))
    letters = "".join("=ACMGRSVTWYHKDBN"[body[51 + n // 2] >> (4 if n % 2 == 0 else 0) & 15] for n in range(length))
    assert letters == BASES[1][expected[0] : expected[1]]


FAULTS = {
    "cut": ({"cut": 1}, "bad_tag"),
    "cut in the qualities": ({"cut": 6}, "bad_length"),
    "a negative length": ({"bases": -1}, "bad_length"),
    "a name that is not ASCII": ({"name": b"\xe6"}, "bad_name"),
    "a contig that is not there": ({"contig": 2}, "bad_contig"),
    "a CIGAR of another length": ({"cigar": [(0, 9)]}, "bad_cigar"),
    "a CIGAR that ends behind all places": ({"cigar": [(2, (1 << 28) - 1)] * 9, "bases": 0}, "bad_position"),
    "two read groups": ({"tags": b"RGZg\0RGZg\0"}, "bad_tag"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_record_that_does_not_hold_together_is_a_fault(compiled, case):
    given, code = FAULTS[case]
    done = one_of(given, compiled)
    assert (done.fault, done.records, done.data) == (FAULT[code], 0, b"")


def test_a_record_that_claims_more_than_it_holds_is_a_fault(compiled):
    claims = bytearray(record({"contig": 1}))
    for at, value in ((20, 1 << 30), (16, 65535), (0, 1 << 24), (0, 9)):
        broken = claims[:at] + struct.pack("<I", value) + claims[at + 4 :]
        done = placer(layout_of(), compiled=compiled)(chunk_of(bytes(broken)))
        assert (done.fault, done.data) == (FAULT["bad_length"], b"")


@pytest.mark.parametrize("cigar", [[(0, (1 << 28) - 1)], [(0, 9), (5, (1 << 28) - 1)], [(1, (1 << 28) - 1), (0, 1)]])
def test_a_read_of_a_few_bytes_does_not_become_a_read_of_a_gigabyte(compiled, cigar):
    done = one_of({"at": 0, "cigar": cigar, "bases": 0}, compiled, lengths=(9, 1 << 30))
    assert (done.data, done.removed[-1]) == (b"", 1)


def test_what_is_none_of_the_four_letters_is_written_as_n(odd_reference, compiled):
    done = placer(layout_of(), compiled=compiled)(chunk_of(record({"at": 0, "cigar": [(0, 17)], "bases": 17})))
    (body,) = split(writer(layout_of(), odd_reference, compiled=compiled)(done.data))
    assert body[51:60].hex() == "1248" + "ff" + "12" + "48" + "ff" + "ff" + "ff" + "f0"
    assert BASES[0][:17] == "ACGTRNacgtnYKM*-="


def test_reads_stand_in_order_wherever_a_clip_moves_them_and_however_they_come(odd_reference, compiled):
    """Found by reading: a clip behind the end of a contig moved a read in front of reads that were written already."""
    given = [{"at": at, "name": b"n%d" % at} for at in range(30_000, 59_900, 700)]
    given += [
        {"at": 59_999, "cigar": [(0, 9), (5, size)], "bases": 9, "name": b"e%d" % size}
        for size in range(9_000, 20_000, 500)
    ]
    given += [{"at": 59_999, "cigar": [(5, 40), (0, 9)], "bases": 9, "name": b"z"}]
    each = [record({"contig": 1, **one}) for one in given]
    ways = [[chunk_of(b"".join(each))], [chunk_of(one) for one in each]]
    one, other = (
        b"".join(in_order(map(placer(layout_of(), compiled=compiled), chunks), compiled=compiled)) for chunks in ways
    )
    found = [one[at : at + 32] for at in range(0, len(one), 32)]
    assert one == other
    assert found == sorted(found)
    assert len(found) > 40


@pytest.mark.parametrize(("flag", "end"), [(0, "left"), (16, "right")])
def test_reads_of_one_fragment_end_show_no_indel(compiled, flag, end):
    """As in targeted sequencing: all reads begin at one base, and an aligner moves the other end by what is missing."""
    shapes = [[(0, 20)], [(0, 9), (2, 9), (0, 11)], [(0, 9), (1, 4), (0, 7)], [(0, 13), (4, 7)], [(5, 3), (0, 17)]]
    starts = set()
    for cigar in shapes:
        before, after = (size if operation > 3 else 0 for operation, size in (cigar[0], cigar[-1]))
        aligned = sum(size for operation, size in cigar if operation in (0, 2))
        at = 5_000 + before if end == "left" else 5_020 - after - aligned
        starts.add(
            PLACE.unpack(
                one_of({"at": at, "cigar": cigar, "bases": 20 - 3 * (cigar[0][0] == 5), "flag": flag}, compiled).data
            )[1]
        )
    assert starts == {5_000}


def test_mates_have_names_of_their_own_and_one_read_keeps_its_name(compiled):
    each = [record({"contig": 1, "name": b"n", "flag": flag}) for flag in (0x41, 0x81, 0x51)]
    places = placer(layout_of(), compiled=compiled)(chunk_of(b"".join(each))).data
    first, second, third = (places[at + 8 : at + 22] for at in (0, 32, 64))
    assert first == third != second
    assert [places[at + 26] for at in (0, 32, 64)] == [0, 0, 16]


def test_ties_stand_in_the_order_of_their_names(odd_reference, compiled):
    each = [record({"contig": 1, "name": b"n%d" % n}) for n in range(300)]
    batches = in_order([placer(layout_of(), compiled=compiled)(chunk_of(b"".join(each)))], compiled=compiled)
    places = b"".join(batches)
    names = [places[at + 8 : at + 22] for at in range(0, len(places), 32)]
    assert names == sorted(names)
    assert len(set(names)) == 300


def test_reads_deeper_than_memory_allows_are_refused(made, reference, compiled, monkeypatch):
    source = made.bam([{"name": f"r{n}"} for n in range(60)])
    assert made.run(source, STEPS, reference=reference, compiled=compiled)[0].records_out == 60
    monkeypatch.setattr("deid.reads.places.MOST_WAITING", 50)
    with pytest.raises(ReadsError) as caught:
        made.run(source, STEPS, reference=reference, compiled=compiled)
    assert caught.value.code == "too_deep"


def test_a_batch_is_no_larger_than_asked_however_many_wait(odd_reference, compiled, monkeypatch):
    monkeypatch.setattr("deid.reads.places.BATCH", 5_000)
    each = [record({"contig": 1, "name": b"n%d" % n}) for n in range(2_000)]
    done = placer(layout_of(), compiled=compiled)(chunk_of(b"".join(each)))
    write = writer(layout_of(), odd_reference, compiled=compiled)
    sizes = [len(write(batch)) for batch in in_order([done], compiled=compiled)]
    assert max(sizes) < 6_000
    assert sum(sizes) == 2_000 * (4 + 32 + 15 + 4 + 5 + 10 + 8)


def test_the_same_bytes_whatever_threads_and_groups(made, reference, compiled, monkeypatch):
    """Invariant 11, for substituted reads."""
    source = made.bam([{"name": f"r{at}", "at": at, "cigar": "4S6M"} for at in range(5, 2900, 3)])
    expected = made.run(source, STEPS, reference=reference, compiled=compiled)[1]
    for group, threads in ((1 << 18, 2), (300, 1), (300, 3)):
        monkeypatch.setattr("deid.reads.blocks.GROUP", group)
        found = made.run(source, STEPS, reference=reference, compiled=compiled, threads=threads)[1]
        assert gzip.decompress(found) == gzip.decompress(expected)


def test_a_fault_is_named_with_its_record(made, reference, compiled):
    raw = bytearray(gzip.decompress(made.bam([{"name": f"r{n}"} for n in range(9)])))
    raw[raw.index(b"r6\0")] = 7
    with pytest.raises(ReadsError) as caught:
        made.run(packed_again(bytes(raw)), STEPS, reference=reference, compiled=compiled)
    assert (caught.value.code, caught.value.record) == ("bad_name", 7)


def packed_again(raw: bytes) -> bytes:
    from deid.bgzf import EOF_BLOCK, deflate_block

    return deflate_block(raw, 1) + EOF_BLOCK


@both
class TestTheDoorOfTheKernel:
    """What Python hands in is checked like anything else: a wrong place is an exception and never a wrong byte."""

    def ready(self) -> object:
        from deid.reads.engine import prepared

        return prepared(layout_of())

    def places(self, **more: int) -> bytes:
        one = {"contig": 1, "start": 100, "length": 10, "group": 0, **more}
        return PLACE.pack(one["contig"], one["start"], b"n" * 14, one["length"], 0, one["group"])

    def test_a_place_outside_the_stretch_is_refused(self) -> None:
        substitute, ready = native._reads.substitute, self.ready()
        assert substitute(ready, self.places(), 0, 1, b"A" * 10, 100)[1] == 32
        for wrong in ({"start": 99}, {"start": 101}, {"contig": 0}, {"length": 11}, {"length": 0}, {"group": 3}):
            with pytest.raises(ValueError, match="stretch"):
                substitute(ready, self.places(**wrong), 0, 1, b"A" * 10, 100)
        assert substitute(ready, self.places() + self.places(group=3), 0, 1, b"A" * 10, 100)[1] == 32

    def test_cut_places_and_wrong_numbers_are_refused(self) -> None:
        ready, room = self.ready(), native._reads.waiting()
        for places, at, contig in (
            (self.places()[:-1], 0, 1),
            (self.places(), 33, 1),
            (self.places(), -1, 1),
            (b"", 0, 2),
        ):
            with pytest.raises(ValueError, match="places"):
                native._reads.substitute(ready, places, at, contig, b"A", 100)
        for places, frontier, most in ((b"x" * 31, 0, 1), (b"", -1, 1), (b"", 0, 0)):
            with pytest.raises(ValueError, match="whole places"):
                native._reads.take(room, places, frontier, most)
        with pytest.raises(ValueError, match="outside"):
            native._reads.place(ready, b"", b"abc", 0, 4)
        with pytest.raises(ValueError, match="outside"):
            native._reads.compare(ready, b"abc", 0, 4, 0, b"", 0)
        for foreign in (room, object()):
            with pytest.raises((ValueError, TypeError)):
                native._reads.place(foreign, b"", b"", 0, 0)

    def test_comparing_stops_in_front_of_what_is_not_whole(self) -> None:
        ready, one = self.ready(), record({"contig": 1, "bases": 2, "cigar": [(0, 2)]})
        text, compare = one + one[:-2], native._reads.compare
        assert compare(ready, text, 0, len(text), 1, b"AC", 100) == len(one)
        assert compare(ready, one, 0, len(one), 1, b"AC", 100) == len(one)
        for contig, bases, start in (
            (1, b"AG", 100),
            (1, b"TC", 100),
            (1, b"A", 100),
            (1, b"CAC", 100),
            (0, b"AC", 100),
        ):
            assert compare(ready, one, 0, len(one), contig, bases, start) == 0
        assert compare(ready, one, 0, len(one), 1, b"TAC", 99) == len(one)
