"""Small VCFs written by hand, the real cohort, and both engines."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deid import native
from deid.bgzf import EOF_BLOCK, deflate_block
from deid.variants import VariantCounts, core_view, plan_from_steps

ENGINES = (True, False) if native.has_variants else (False,)
KEEP_ALL = (
    {"filter": {"keep": True}},
    {"info": {"keep": ["AC", "AN", "AF", "NS", "DP"]}},
    {"format": {"keep": ["GT", "DP", "GQ", "AD"]}},
)
HEADER = """##fileformat=VCFv4.2
##fileDate=20260101
##source=caller /home/pat/LiMing.bam
##reference=file:///data/hs37d5.fa
##contig=<ID=1,length=1000000,assembly=b37>
##contig=<ID=X,length=500000>
##contig=<ID=HLA*01:01,length=300>
##FILTER=<ID=q10,Description="quality of LiMing under 10">
##ALT=<ID=DEL,Description="Deletion">
##INFO=<ID=AC,Number=A,Type=Integer,Description="AC">
##INFO=<ID=SF,Number=.,Type=String,Description="source files">
##INFO=<ID=END,Number=1,Type=Integer,Description="end">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Depths">
##FORMAT=<ID=PGT,Number=1,Type=String,Description="Phase">
##SAMPLE=<ID=LiMing,File=/home/pat/LiMing.bam>
##bcftools_viewCommand=view -s LiMing; Date=today
"""


def vcf(records: Sequence[str], samples: Sequence[str], header: str = HEADER) -> bytes:
    """A plain VCF; records are written with spaces for tabs."""
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples]
    lines = ["\t".join(columns), *("\t".join(record.split()) for record in records)]
    return header.encode() + "".join(line + "\n" for line in lines).encode()


def bgzip(text: bytes, size: int = 700) -> bytes:
    """BGZF with small blocks, so that lines lie across their borders."""
    blocks = [deflate_block(text[at : at + size], 6) for at in range(0, len(text), size)]
    return b"".join(blocks) + EOF_BLOCK


def run(
    source: bytes,
    participants: Mapping[str, str],
    steps: Sequence[Mapping[str, object]] = KEEP_ALL,
    *,
    files: Mapping[str, bytes] | None = None,
    compiled: bool | None = None,
    **options: int,
) -> tuple[VariantCounts, bytes]:
    """Counts and compressed bytes of one core view."""
    sink = io.BytesIO()
    plan = plan_from_steps(steps, files or {})
    counts = core_view(plan, io.BytesIO(source), sink, participants=participants, compiled=compiled, level=1, **options)
    return counts, sink.getvalue()


def lines_of(compressed: bytes) -> list[list[str]]:
    """Records as columns, by Python's own gzip."""
    text = gzip.decompress(compressed).decode()
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """The functions above, for tests that are not imported by name."""
    return SimpleNamespace(vcf=vcf, bgzip=bgzip, run=run, lines_of=lines_of, HEADER=HEADER, KEEP_ALL=KEEP_ALL)


@pytest.fixture(params=ENGINES, ids=lambda compiled: "compiled" if compiled else "python", scope="session")
def compiled(request: pytest.FixtureRequest) -> bool:
    """Each engine in turn."""
    return bool(request.param)


@pytest.fixture
def records(compiled: bool) -> Callable[..., list[list[str]]]:
    """Run one core view with either engine and give its records as columns."""

    def rewritten(source: bytes, participants: Mapping[str, str], *steps: Mapping[str, object], **more: Any) -> Any:
        return lines_of(run(source, participants, steps or KEEP_ALL, compiled=compiled, **more)[1])

    return rewritten


@pytest.fixture(scope="session")
def cohort() -> Path:
    """The folder of the 1000 Genomes files."""
    named = os.environ.get("TONGGUAN_SHARED_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[3].parent / "shared" / "data"
    folder = root / "deid" / "vcf"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not here")
    return folder
