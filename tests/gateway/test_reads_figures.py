"""How long each task of a release of reads takes and how much memory, on 200,000 reads; the figures are printed."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pysam
import pytest

READS, LENGTH = 200_000, 2_000_000


def make(folder: Path) -> None:
    dice = random.Random(9)
    bases = "".join(dice.choices("ACGT", k=LENGTH))
    (folder / "ref.fa").write_text(">chr1\n" + "".join(f"{bases[i : i + 60]}\n" for i in range(0, LENGTH, 60)), "ascii")
    pysam.faidx(str(folder / "ref.fa"))
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": "chr1", "LN": LENGTH}],
        "RG": [{"ID": "a", "SM": "S1"}],
    }
    with pysam.AlignmentFile(str(folder / "source.bam"), "wb", header=header) as sink:
        for number, start in enumerate(sorted(dice.randrange(LENGTH - 150) for _ in range(READS))):
            read = pysam.AlignedSegment(sink.header)
            read.query_name, read.reference_id, read.reference_start = f"r{number}", 0, start
            read.mapping_quality, read.cigarstring = 60, "150M"
            read.query_sequence = bases[start : start + 150]
            read.query_qualities = pysam.qualitystring_to_array("F" * 150)
            read.set_tags([("RG", "a")])
            sink.write(read)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_task_of_a_release_of_reads_takes_more_than_512_mb(tmp_path: Path) -> None:
    make(tmp_path)
    for task in ("core", "assess", "copy", "leakcheck"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.gateway.reads_figures", task, str(tmp_path)],
            check=True,
            capture_output=True,
            text=True,
        )
        figures = json.loads(done.stdout)
        sys.stdout.write(f"{figures}\n")
        assert figures["peak_mb"] <= 512
