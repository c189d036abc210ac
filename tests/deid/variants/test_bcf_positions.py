"""Invariant 10 for BCF by byte position: 200 bytes that no recipe lists are changed one at a time, no output byte changes.

bcftools' library writes the BCF; the places are found by searching planted marks in the decompressed bytes, and others'
genotypes by walking the records' own lengths (VCF specification section 6.3), not by this package.
"""

from __future__ import annotations

import gzip
import io
import random
import struct
from pathlib import Path

import pysam
import pytest

from deid.bgzf import EOF_BLOCK, deflate_blocks
from deid.variants import core_view, plan_from_steps

POSITIONS = 200
PRINTABLE = bytes(range(48, 58)) + bytes(range(65, 91)) + bytes(range(97, 123))
GENOTYPES = bytes([0, 1, 2, 3, 4, 5])
"""Missing, REF and the first ALT, unphased and phased."""


def mark(rng: random.Random) -> str:
    return f"MARK{rng.randrange(10**6):06d}"


def source(folder: Path) -> bytes:
    """Two permitted people among four, and a mark in every place that is not listed."""
    rng = random.Random(2)
    header = pysam.VariantHeader()
    header.add_line(f"##note={mark(rng)}")
    header.add_line("##contig=<ID=1,length=99999>")
    header.add_line(f'##SAMPLE=<ID={mark(rng)},Description="{mark(rng)}">')
    for kind, key, number, form in (("INFO", "AC", "A", "Integer"), ("INFO", "SF", "1", "String"),
                                    ("FORMAT", "GT", "1", "String"), ("FORMAT", "DP", "1", "Integer"),
                                    ("FORMAT", "FT", "1", "String")):  # fmt: skip
        header.add_line(f'##{kind}=<ID={key},Number={number},Type={form},Description="{mark(rng)}">')
    for name in ("keep1", mark(rng), "keep2", mark(rng)):
        header.add_sample(name)
    path = folder / "s.bcf"
    with pysam.VariantFile(str(path), "wb", header=header) as sink:
        for at in range(10, 900, 9):
            record = sink.new_record(contig="1", start=at, alleles=("A", "C"), id=mark(rng), qual=rng.random())
            record.info["AC"], record.info["SF"] = (rng.randrange(100),), mark(rng)
            for number, sample in enumerate(record.samples.values()):
                sample["GT"] = (1, 0) if number % 2 == 0 else (rng.randrange(2), rng.randrange(2))
                sample["DP"], sample["FT"] = rng.randrange(40), mark(rng)
            sink.write(record)
    return gzip.decompress(path.read_bytes())


def places(raw: bytes) -> list[tuple[int, bytes]]:
    """Offsets of unlisted bytes, each with what may stand there instead."""
    found, at = [], raw.find(b"MARK")
    while at >= 0:
        found += [(place, PRINTABLE) for place in range(at + 4, at + 10)]
        at = raw.find(b"MARK", at + 10)
    at = 9 + struct.unpack_from("<I", raw, 5)[0]
    while at < len(raw):
        shared, individual = struct.unpack_from("<2I", raw, at)
        cells = at + 8 + shared + 3  # behind the key and the type of GT, which stands first
        assert raw[cells - 1] == 0x21
        found += [(cells + 2 * person + side, GENOTYPES) for person in (1, 3) for side in (0, 1)]
        found += [(at + 20 + byte, bytes(range(256))) for byte in (0, 1)]  # QUAL: its exponent is left alone
        at += 8 + shared + individual
    return found


def view(raw: bytes, form: str) -> bytes:
    blocks = [raw[at : at + 60_000] for at in range(0, len(raw), 60_000)]
    sink = io.BytesIO()
    plan = plan_from_steps([{"info": {"keep": ["AC", "AN", "AF"]}}, {"format": {"keep": ["GT", "DP"]}}], {})
    given = io.BytesIO(deflate_blocks(blocks, 1) + EOF_BLOCK)
    core_view(plan, given, sink, participants={"keep1": "b", "keep2": "a"}, form=form, level=1)
    return sink.getvalue()


@pytest.mark.parametrize("form", ["vcf", "bcf"])
def test_inv10_no_unlisted_byte_of_a_bcf_reaches_the_output(form: str, tmp_path: Path) -> None:
    """Invariant 10."""
    raw = source(tmp_path)
    rng, before = random.Random(5), view(raw, form)
    leaks = []
    for at, allowed in rng.sample(places(raw), POSITIONS):
        other = rng.choice([byte for byte in allowed if byte != raw[at]])
        if view(raw[:at] + bytes([other]) + raw[at + 1 :], form) != before:
            leaks.append(at)
    assert leaks == []
    assert len(gzip.decompress(before)) > 2000


def test_a_listed_byte_of_a_bcf_does_reach_the_output(tmp_path: Path) -> None:
    """The test above could not fail if nothing mattered: a permitted person's genotype."""
    raw = source(tmp_path)
    at = next(place for place, allowed in places(raw) if allowed == GENOTYPES) - 2
    changed = raw[:at] + bytes([2 if raw[at] != 2 else 4]) + raw[at + 1 :]
    assert view(changed, "vcf") != view(raw, "vcf")
