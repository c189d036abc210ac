"""A guess at what touches the mask never shows in what is written: it is proven, or everything is read."""

from __future__ import annotations

import gzip
import io
import random
import struct

import pytest

from deid import bgzf, native
from deid.bgzf import EOF_BLOCK, deflate_block
from deid.reads import core, foresight
from tests.deid.reads import unlisted

pytestmark = pytest.mark.skipif(not native.has_reads or not bgzf.has_kernel, reason="no compiler")
STEPS = ({"quality": {"as": "keep"}}, {"mask": {"bed": "m"}})
MASKS = (
    b"1\t500\t510\n",
    b"1\t2000\t2300\nX\t10\t40\n",
    b"X\t2900\t3000\n",
    b"1\t700\t701\n1\t720\t730\n1\t2500\t2501\n",
)


class Pipe(io.BytesIO):
    """What cannot be taken back: the whole file is read first."""

    def seekable(self) -> bool:
        """Never."""
        return False


@pytest.fixture
def small(monkeypatch) -> list[object]:
    """Figures that suit files of some hundred kilobytes, and what was foreseen."""
    monkeypatch.setattr(foresight, "WORTH", 1)
    monkeypatch.setattr(foresight, "WINDOW", 1 << 13)
    monkeypatch.setattr(foresight, "REACH", 60)
    seen: list[object] = []
    monkeypatch.setattr(core, "foreseen", lambda *given: seen.append(foresight.foreseen(*given)) or seen[-1])
    return seen


def by_records(raw: bytes, per_block: int = 20) -> bytes:
    """BGZF as htslib writes it, no record across two blocks."""
    at, pieces = unlisted.first_record(raw), [raw[: unlisted.first_record(raw)]]
    starts = []
    while at < len(raw):
        starts.append(at)
        at += 4 + struct.unpack_from("<I", raw, at)[0]
    for begin in range(0, len(starts), per_block):
        stop = starts[begin + per_block] if begin + per_block < len(starts) else len(raw)
        pieces.append(raw[starts[begin] : stop])
    return b"".join(deflate_block(piece, 0) for piece in pieces) + EOF_BLOCK


def source(made, more=()) -> bytes:
    rng, reads = random.Random(3), []
    for contig in (0, 1):
        for at in range(20, 2960):
            reads.append({"name": f"r{rng.randrange(900)}", "contig": contig, "at": at, "flag": 1,
                          "cigar": rng.choice(["10M", "3S7M", "5M20D5M"])})  # fmt: skip
    reads += more
    return gzip.decompress(made.bam(sorted(reads, key=lambda read: (read["contig"], read["at"]))))


def view(made, data: bytes, sink: io.BytesIO, mask: bytes) -> bytes:
    plan = core.ReadsPlan(quality="keep", mask=made.plan(STEPS, {"m": mask}).mask)
    core.core_view(plan, io.BytesIO(data), sink, participants={"LiMing": "p1"}, key=made.KEY)
    return sink.getvalue()


@pytest.mark.parametrize("mask", MASKS)
def test_what_is_written_on_a_guess_is_what_reading_everything_writes(made, small, mask):
    data = by_records(source(made))
    guessed, read = view(made, data, io.BytesIO(), mask), view(made, data, Pipe(), mask)
    assert guessed == read
    assert len(small) == 1  # nothing is guessed where the sink is a pipe
    assert small[0]


def test_a_read_that_reaches_the_mask_from_afar_ends_the_guess_and_leaves_no_trace(made, small):
    """Its mate stands in front of everything and was written before: so all is taken back and made again."""
    far = [
        {"name": "far", "at": 300, "contig": 0, "flag": 1, "cigar": "5M1800D5M"},
        {"name": "far", "at": 20, "contig": 0, "flag": 1},
    ]
    data, mask = by_records(source(made, far)), b"1\t2000\t2010\n"
    sink = io.BytesIO(b"before")
    sink.seek(6)
    guessed, read = view(made, data, sink, mask), view(made, data, Pipe(), mask)
    assert small[0]
    assert guessed == b"before" + read
    assert view(made, by_records(source(made)), Pipe(), mask) == read  # neither it nor its mate left


def test_what_was_written_on_a_guess_is_taken_back_to_the_last_byte(made, small, monkeypatch):
    """All but a few reads have the name that was not foreseen: the second attempt writes less than the first had."""
    monkeypatch.setattr("deid.reads.blocks.GROUP", 700)
    monkeypatch.setattr("deid.reads.blocks.PER_GROUP", 1)
    reads = [{"name": "a", "at": at // 2, "flag": 1} for at in range(40, 3380)]
    reads.append({"name": "a", "at": 1700, "flag": 1, "cigar": "5M300D5M"})
    reads += [{"name": "b", "at": at, "flag": 1} for at in range(1710, 2100)]
    data, sink, mask = by_records(gzip.decompress(made.bam(reads))), io.BytesIO(), b"1\t2000\t2010\n"
    attempts = []
    taken = core._view
    monkeypatch.setattr(core, "_view", lambda *a, **b: attempts.append(sink.tell()) or taken(*a, **b))
    guessed = view(made, data, sink, mask)
    assert small[0]
    assert len(attempts) == 2
    assert guessed == view(made, data, Pipe(), mask)
    assert guessed.endswith(EOF_BLOCK)
    assert len(guessed) < 30_000


@pytest.mark.parametrize("compiled", [True, False])
def test_a_guess_that_foresaw_nothing_is_refused_by_either_engine(made, compiled):
    """The proof itself: with an empty guess the first read that touches the mask stops the view."""
    from deid.reads.engine import chunks_of, rewriter
    from deid.reads.errors import FAULT

    raw = source(made)
    plan = made.plan(STEPS, {"m": MASKS[0]})
    layout = made.layout(plan, raw).hiding([], is_guess=True)
    (chunk,) = chunks_of(raw[unlisted.first_record(raw) :], [], 0, compiled)
    found = rewriter(layout, compiled=compiled)(chunk)
    assert found.fault == FAULT["unforeseen"]
    assert found.records > 0
    assert rewriter(layout.hiding([]), compiled=compiled)(chunk).fault == 0


def test_nothing_is_guessed_where_blocks_do_not_begin_with_records(made, small):
    raw = source(made)
    data = b"".join(deflate_block(raw[at : at + 1777], 1) for at in range(0, len(raw), 1777)) + EOF_BLOCK
    assert view(made, data, io.BytesIO(), MASKS[0]) == view(made, data, Pipe(), MASKS[0])


@pytest.mark.parametrize("hurt", [0.2, 0.5, 0.9])
def test_a_damaged_file_is_refused_alike_with_and_without_a_guess(made, small, hurt):
    data = bytearray(by_records(source(made)))
    data[int(len(data) * hurt)] ^= 0x55
    said = []
    for sink in (io.BytesIO(), Pipe()):
        with pytest.raises(core.ReadsError) as caught:
            view(made, bytes(data), sink, MASKS[1])
        said.append(str(caught.value))
    assert said[0] == said[1]
