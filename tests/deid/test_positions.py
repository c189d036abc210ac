"""Invariant 10 by byte position: an independent script picks 200 bytes per format that no recipe lists, and changes them.

The script knows nothing of this package: it splits lines (VCF, FASTQ) or asks pysam where a field lies by searching the
decompressed bytes for unique marks that were planted in every unlisted place (BAM). One changed byte at a time, the
output's bytes must stay the same.
"""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable

import pysam
import pytest

from deid import fastq, reads, variants
from deid.bgzf import EOF_BLOCK, deflate_block

POSITIONS = 200
KEY = bytes(16)
PRINTABLE = bytes(range(48, 58)) + bytes(range(65, 91)) + bytes(range(97, 123))


def bgzip(text: bytes) -> bytes:
    return b"".join(deflate_block(text[at : at + 60000], 1) for at in range(0, len(text), 60000)) + EOF_BLOCK


def vcf_source() -> tuple[bytes, list[int]]:
    """A cohort and the places of the bytes of unlisted columns: ID, QUAL, INFO, other people, other keys, other lines."""
    rng, places = random.Random(4), []
    out = bytearray(b"##fileformat=VCFv4.2\n##note=")

    def put(text: bytes, free: bool) -> None:
        if free:
            places.extend(range(len(out), len(out) + len(text)))
        out.extend(text)

    put(b"LiMingXbed4", True)
    out += b'\n##contig=<ID=1,length=99999>\n##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n'
    out += b'##FORMAT=<ID=PL,Number=1,Type=String,Description="'
    put(b"freetext", True)
    out += b'">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tkeep\t'
    put(b"otherperson", True)
    out += b"\n"
    for at in range(10, 600, 7):
        put(f"1\t{at}\t".encode(), False)
        put(b"rs%d" % rng.randrange(10**6), True)
        put(b"\tA\tC\t", False)
        put(b"%d" % rng.randrange(1000), True)
        put(b"\t.\t", False)
        put(b"AC" + b"%d" % rng.randrange(10**6), True)
        put(b"\tGT:PL\t0|1:", False)
        put(b"%d" % rng.randrange(10**4), True)
        put(b"\t", False)
        put(b"%dx%d" % (rng.randrange(9), rng.randrange(99)), True)
        put(b"\n", False)
    return bytes(out), places


def vcf_view(text: bytes) -> bytes:
    sink = io.BytesIO()
    plan = variants.plan_from_steps([{"info": {"keep": ["AC", "AN"]}}, {"format": {"keep": ["GT"]}}], {})
    variants.core_view(plan, io.BytesIO(bgzip(text)), sink, participants={"keep": "p"})
    return sink.getvalue()


def bam_source(folder) -> tuple[bytes, list[int]]:
    """Reads with planted marks in unlisted tags and header lines, and others' reads; places found by searching marks."""
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": "1", "LN": 9999, "UR": "MARKaaaaaa", "DS": "MARKbbbbbb"}],
        "RG": [
            {"ID": "g1", "SM": "keep", "LB": "MARKcccccc", "PU": "MARKdddddd", "CN": "MARKeeeeee"},
            {"ID": "g2", "SM": "MARKffffff"},
        ],
        "PG": [{"ID": "MARKgggggg", "CL": "MARKhhhhhh"}],
        "CO": ["MARKiiiiii"],
    }
    path = folder / "s.bam"
    rng = random.Random(6)
    with pysam.AlignmentFile(str(path), "wb", header=header) as sink:
        for at in range(0, 900, 9):
            for group in ("g1", "g2"):
                read = pysam.AlignedSegment(sink.header)
                read.query_name = f"r{at}" if group == "g1" else f"MARK{rng.randrange(10**6):06d}"
                read.reference_id, read.reference_start, read.cigarstring = 0, at, "9M"
                read.query_sequence, read.flag = "".join(rng.choices("ACGT", k=9)), 0
                read.query_qualities = pysam.qualitystring_to_array("IIIIIIIII")
                read.set_tags(
                    [
                        ("RG", group),
                        ("XZ", f"MARK{rng.randrange(10**6):06d}"),
                        ("NM", 1),
                        ("CB", f"MARK{rng.randrange(10**6):06d}"),
                    ]
                )
                sink.write(read)
    raw = gzip.decompress(path.read_bytes())
    places, at = [], raw.find(b"MARK")
    while at >= 0:
        places.extend(range(at + 4, at + 10))
        at = raw.find(b"MARK", at + 10)
    return raw, places


def bam_view(raw: bytes) -> bytes:
    sink = io.BytesIO()
    plan = reads.plan_from_steps([{"tags": {"keep": ["RG", "NM"]}}, {"mask": {"bed": "m"}}], {"m": b"1\t100\t120\n"})
    reads.core_view(plan, io.BytesIO(bgzip(raw)), sink, participants={"keep": "p"}, key=KEY)
    return sink.getvalue()


def fastq_source() -> tuple[bytes, list[int]]:
    """Places in comments and behind the plus sign."""
    out, places = bytearray(), []
    for number in range(60):
        out += b"@r%d " % number
        places += range(len(out), len(out) + 12)
        out += b"1xNx0xACGTAC\nACGTACGT\n+"
        places += range(len(out), len(out) + 4)
        out += b"rnam\nIIIIFFFF\n"
    return bytes(out), places


def fastq_view(text: bytes) -> bytes:
    sink = io.BytesIO()
    fastq.core_view(fastq.plan_from_steps([]), io.BytesIO(text), sink, key=KEY)
    return sink.getvalue()


def changed(view: Callable[[bytes], bytes], source: bytes, places: list[int]) -> list[int]:
    """Of 200 places, those where another byte changes the output."""
    rng, before = random.Random(9), view(source)
    leaks = []
    for at in rng.sample(places, POSITIONS):
        other = rng.choice([byte for byte in PRINTABLE if byte != source[at]])
        if view(source[:at] + bytes([other]) + source[at + 1 :]) != before:
            leaks.append(at)
    return leaks


@pytest.mark.parametrize("kind", ["vcf", "bam", "fastq"])
def test_inv10_no_unlisted_byte_reaches_the_output(kind, tmp_path):
    """Invariant 10."""
    made = {
        "vcf": lambda: (vcf_view, *vcf_source()),
        "bam": lambda: (bam_view, *bam_source(tmp_path)),
        "fastq": lambda: (fastq_view, *fastq_source()),
    }
    view, source, places = made[kind]()
    assert len(places) > POSITIONS
    assert changed(view, source, places) == []


def test_a_listed_byte_does_reach_the_output():
    """The test above could not fail if nothing mattered."""
    source, _ = fastq_source()
    at = source.index(b"\nACGT") + 1
    assert fastq_view(source[:at] + b"C" + source[at + 1 :]) != fastq_view(source)
