"""Invariant 10, byte by byte: 200 positions per format, chosen by a script that knows nothing of ``deid``.

Also the peer's trap: samtools writes the reads a region did not select with every tag they had (view -U).
"""

from __future__ import annotations

import gzip
import io
import random
import shutil
import subprocess

import pysam
import pytest

from deid.bgzf import EOF_BLOCK, deflate_block
from deid.fastq import FastqOptions, core_view, plan_from_steps
from tests.deid.reads import unlisted

COUNT = 200
TAGS = ("RG", "NM", "MD", "AS")
STEPS = (
    {"tags": {"keep": list(TAGS)}},
    {"quality": {"as": "bins-8"}},
    {"keep": {"also": ["unmapped", "supplementary"]}},
    {"mask": {"bed": "m"}},
)
FILES = {"m": b"1\t600\t640\n"}
DROP = 0x100 | 0x200 | 0x400
SUBSTITUTED = ({"reference-substituted": {}},)


def source(made) -> bytes:
    """Decompressed BAM of two people, with tags of every type and reads of every kind."""
    rng, reads = random.Random(8), []
    for at in range(20, 1500, 7):
        tags = [("RG", rng.choice(["H3.1", "H3.2", "H4"])), ("NM", rng.randrange(9)), ("BC", "ACGTACGT"), ("ZB", [1, 2, 3]),
                ("ZF", 1.5), ("AS", 7), ("XA", "1,5,9M,0"), ("ZA", "q", "A"), ("MD", "5A3"), ("ZI", 70000)]  # fmt: skip
        kept = [tags[0], *rng.sample(tags[1:], 5)]
        bases = "".join(rng.choices("ACGT", k=11))
        reads.append({"name": f"HX:{at}", "at": at, "cigar": rng.choice(["11M", "3S8M", "5M2I4M"]), "bases": bases,
                      "quality": "".join(rng.choices("#AI", k=11)), "tags": kept,
                      "flag": rng.choice([0, 0, 16, 99, 147, 4, 256, 512, 1024, 2048])})  # fmt: skip
    return gzip.decompress(made.bam(reads))


def packed(raw: bytes) -> bytes:
    return b"".join(deflate_block(raw[at : at + 60000], 1) for at in range(0, len(raw), 60000)) + EOF_BLOCK


def listed_positions(raw: bytes, drop: int, kept: tuple[str, ...]) -> list[unlisted.Position]:
    """Header and records alternately, so that the long part does not crowd out the short one."""
    rng = random.Random(9)
    header = rng.sample(unlisted.header_positions(raw), COUNT // 4)
    names = tuple(tag.encode() for tag in kept)
    records = unlisted.record_positions(raw, names, (b"H3.1", b"H3.2"), drop)
    return header + rng.sample(records, COUNT - len(header))


def test_inv10_no_unlisted_byte_of_a_bam_changes_a_byte(made):
    raw, rng = source(made), random.Random(10)

    def view(data: bytes) -> bytes:
        return made.run(data, STEPS, files=FILES)[1]

    expected = view(packed(raw))
    assert len(made.read(expected)) > 60
    positions = listed_positions(raw, DROP, TAGS)
    moved = [p for p in positions if view(packed(unlisted.changed(raw, p, rng))) != expected]
    assert not moved
    assert len(positions) == COUNT
    assert view(unlisted.gzip_header_changed(packed(raw), rng)) == expected


def test_the_search_for_positions_would_see_a_listed_byte(made):
    """What the test above cannot show when it is blind: a byte of a tag that is kept does change the view."""
    raw, rng = source(made), random.Random(11)
    expected = made.run(packed(raw), STEPS, files=FILES)[1]
    fewer = set(unlisted.record_positions(raw, (), (b"H3.1", b"H3.2"), DROP))
    kept = sorted(fewer - set(unlisted.record_positions(raw, (b"NM",), (b"H3.1", b"H3.2"), DROP)))
    changed = [made.run(packed(unlisted.changed(raw, p, rng)), STEPS, files=FILES)[1] for p in kept[:5]]
    assert kept
    assert expected not in changed


def test_inv10_no_unlisted_byte_of_a_cram_changes_a_byte(made, reference, tmp_path):
    """The changes are made in BAM and an independent writer makes the CRAM; its own file name changes each time."""
    raw, rng = source(made), random.Random(12)

    def view(data: bytes, number: int) -> bytes:
        path, cram = tmp_path / "v.bam", tmp_path / f"v{number}.cram"
        path.write_bytes(packed(data))
        with (
            pysam.AlignmentFile(str(path)) as reads,
            pysam.AlignmentFile(str(cram), "wc", template=reads, reference_filename=str(reference.path)) as written,
        ):
            for read in reads:
                written.write(read)
        out = made.run(cram.read_bytes(), STEPS, files=FILES, reference=reference)[1]
        cram.unlink()
        return out

    # CRAM has no place for the bin, the spare half byte and unused bits: htslib writes the same, so those are free.
    expected = view(raw, 0)
    assert len(made.read(expected)) > 60
    positions = listed_positions(raw, DROP, TAGS)
    moved = [p for number, p in enumerate(positions) if view(unlisted.changed(raw, p, rng), number) != expected]
    assert not moved
    assert len(positions) == COUNT


def test_inv10_no_unlisted_byte_of_a_fastq_changes_a_byte():
    rng = random.Random(14)
    text = b"".join(
        b"@HX:1:%d 1:N:0:ACGT+TTGA LiMing ward\nACGTNACGTA\n+HX:1:%d LiMing\n!#AIJ!#AIJ\n" % (n, n) for n in range(60)
    )

    def view(data: bytes) -> bytes:
        sink = io.BytesIO()
        core_view(plan_from_steps(()), io.BytesIO(data), sink, key=bytes(16), options=FastqOptions(level=1))
        return sink.getvalue()

    expected = view(text)
    positions = rng.sample(unlisted.fastq_positions(text), COUNT)
    moved = [p for p in positions if view(unlisted.changed(text, p, rng)) != expected]
    assert not moved
    assert {view(unlisted.gzip_header_changed(gzip.compress(text), rng)) for _ in range(5)} == {expected}


def test_inv10_no_unlisted_byte_changes_a_substituted_read(made, reference):
    """Where bases are the reference's, bases, qualities and every tag but the read group are unlisted too."""
    raw, rng = source(made), random.Random(15)
    expected = made.run(packed(raw), SUBSTITUTED, reference=reference)[1]
    assert len(made.read(expected)) > 60
    positions = listed_positions(raw, DROP | 0x4 | 0x800, ())
    moved = [
        p for p in positions
        if made.run(packed(unlisted.changed(raw, p, rng)), SUBSTITUTED, reference=reference)[1] != expected
    ]  # fmt: skip
    assert not moved


EVERY = {"keep": {"also": ["unmapped", "secondary", "qc-fail", "duplicate", "supplementary"]}}


@pytest.mark.parametrize("region", [None, "1:100-400", "1:700-900 X:1-50"])
def test_every_read_written_has_listed_tags_only_wherever_it_lies(made, compiled, region):
    """The peer's trap: a read that a mask or region treats in another way must pass through the same rules."""
    out = made.run(packed(source(made)), (*STEPS[:2], EVERY, STEPS[3]), files=FILES, compiled=compiled, region=region)[
        1
    ]
    reads = made.read(out)
    assert len(reads) > 10
    assert {name for read in reads for name, _ in read.get_tags()} <= set(TAGS)
    assert all(
        len(read.query_name) == 14 and read.query_name.isascii() and ":" not in read.query_name for read in reads
    )
    assert {read.get_tag("RG") for read in reads} <= {"p1.1", "p1.2"}


@pytest.mark.skipif(shutil.which("samtools") is None, reason="samtools is not installed")
def test_the_peer_does_write_unselected_reads_with_every_tag(made, tmp_path):
    """Seen to be true, so that the test above guards against something."""
    bam, bed, rest = tmp_path / "s.bam", tmp_path / "m.bed", tmp_path / "rest.bam"
    bam.write_bytes(packed(source(made)))
    bed.write_bytes(FILES["m"])
    words = ["samtools", "view", "--no-PG", "-b", "-L", str(bed), "--keep-tag", "NM,RG", "-o", "/dev/null"]
    subprocess.run([*words, "-U", str(rest), str(bam)], check=True)
    with pysam.AlignmentFile(str(rest)) as reads:
        assert any(read.has_tag("BC") for read in reads)
