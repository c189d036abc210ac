"""Alignments written by pysam, an independent implementation, and the real files of the shared data."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pysam
import pytest

from deid import native
from deid.reads import ReadCounts, ReadsOptions, ReadsPlan, Reference, core_view, plan_from_steps
from deid.reads.core import _layout
from deid.reads.header import new_groups, take_header
from deid.reads.layout import Layout

ENGINES = (True, False) if native.has_reads else (False,)
KEY = bytes(range(16))
LENGTH = 3000
HEADER = {
    "HD": {"VN": "1.6", "SO": "coordinate"},
    "SQ": [{"SN": "1", "LN": LENGTH, "UR": "file:///home/pat/ref.fa"}, {"SN": "X", "LN": LENGTH, "AS": "b37"}],
    "RG": [
        {"ID": "H3.1", "SM": "LiMing", "LB": "LiMing-lib", "PU": "H3.ACGT", "PL": "illumina", "CN": "ward", "DS": "a"},
        {"ID": "H3.2", "SM": "LiMing", "PL": "free text"},
        {"ID": "H4", "SM": "WangFang", "DT": "2026-01-01"},
    ],
    "PG": [{"ID": "bwa", "CL": "bwa mem /home/pat/LiMing.fq"}],
    "CO": ["LiMing, bed 4"],
}
STEPS = ({"tags": {"keep": ["RG", "NM", "MD", "AS", "MC", "MQ"]}}, {"quality": {"as": "keep"}})
EVERY = {"keep": {"also": ["unmapped", "secondary", "qc-fail", "duplicate", "supplementary"]}}


def reference_bases() -> dict[str, str]:
    rng = random.Random(5)
    return {name: "".join(rng.choices("ACGT", k=LENGTH)) for name in ("1", "X")}


def bam(reads: Sequence[Mapping[str, Any]], header: Mapping[str, Any] = HEADER, path: Path | None = None) -> bytes:
    """BAM bytes of reads given as keys of a SAM line: name, flag, contig, at (from 0), cigar, bases, tags."""
    assert path is not None
    with pysam.AlignmentFile(str(path), "wb", header=dict(header)) as sink:
        for given in reads:
            read = pysam.AlignedSegment(sink.header)
            read.query_name = given.get("name", "HX:1:2")
            read.flag = given.get("flag", 0)
            read.reference_id = given.get("contig", 0)
            read.reference_start = given.get("at", 100)
            read.mapping_quality = 50
            read.cigarstring = given.get("cigar", "10M")
            read.query_sequence = given.get("bases", "ACGTACGTAC")
            read.query_qualities = pysam.qualitystring_to_array(given.get("quality", "I" * len(read.query_sequence)))
            read.next_reference_id, read.next_reference_start = given.get("mate", (-1, -1))
            read.template_length = given.get("template", 0)
            read.set_tags(given.get("tags", [("RG", "H3.1"), ("NM", 0), ("XX", "LiMing")]))
            sink.write(read)
    return path.read_bytes()


def run(
    source: bytes,
    steps: Sequence[Mapping[str, object]] = STEPS,
    *,
    people: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
    **options: Any,
) -> tuple[ReadCounts, bytes]:
    """Counts and bytes of one core view."""
    sink = io.BytesIO()
    plan = plan_from_steps(steps, files or {})
    people = {"LiMing": "p1"} if people is None else people
    set_to = ReadsOptions(**{"level": 1, **options})
    counts = core_view(plan, io.BytesIO(source), sink, participants=people, key=KEY, options=set_to)
    return counts, sink.getvalue()


@pytest.fixture
def made(tmp_path: Path) -> SimpleNamespace:
    """The functions above, and ``read``: the reads of some bytes as pysam sees them."""

    def read(data: bytes, reference: Path | None = None) -> list[pysam.AlignedSegment]:
        path = tmp_path / "read.bam"
        path.write_bytes(data)
        named = None if reference is None else str(reference)
        with pysam.AlignmentFile(str(path), check_sq=False, reference_filename=named) as reads:
            return list(reads.fetch(until_eof=True))

    def header(data: bytes) -> str:
        path = tmp_path / "head.bam"
        path.write_bytes(data)
        with pysam.AlignmentFile(str(path), check_sq=False) as reads:
            return str(reads.header)

    def layout(plan: ReadsPlan, raw: bytes) -> Layout:
        found = take_header(raw)
        assert found is not None
        codes = new_groups(found[0], {"LiMing": "p1"})
        return _layout(plan, found[0], codes, KEY, ReadsOptions())

    return SimpleNamespace(
        bam=lambda reads, header=HEADER: bam(reads, header, tmp_path / "made.bam"),
        run=run, read=read, header=header, plan=plan_from_steps, layout=layout, HEADER=HEADER, STEPS=STEPS, EVERY=EVERY, KEY=KEY,
    )  # fmt: skip


@pytest.fixture(params=ENGINES, ids=lambda compiled: "compiled" if compiled else "python", scope="session")
def compiled(request: pytest.FixtureRequest) -> bool:
    """Each engine in turn."""
    return bool(request.param)


@pytest.fixture
def reference(tmp_path: Path) -> Reference:
    """A FASTA of two random contigs with its index."""
    path = tmp_path / "ref.fa"
    path.write_text("".join(f">{name}\n{bases}\n" for name, bases in reference_bases().items()))
    pysam.faidx(str(path))
    return Reference(path)


@pytest.fixture
def real(shared_data: Path) -> Path:
    """The folder of the real BAM and CRAM files."""
    return shared_data / "deid" / "reads"


@pytest.fixture
def real_reference(real: Path, tmp_path: Path) -> Reference:
    """Their reference, copied beside a fresh index."""
    path = tmp_path / "mpileup.ref.fa"
    path.write_bytes((real / "mpileup.ref.fa").read_bytes())
    pysam.faidx(str(path))
    return Reference(path)
