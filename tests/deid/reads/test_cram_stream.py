"""A CRAM that can be read once, as a pipe gives it: the same reads, and no fault that a file would show goes unseen."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pysam
import pytest

from deid.bgzf import Incoming
from deid.reads import ReadsError, Reference
from deid.reads.cram import cram_to_bam, stream_to_bam
from deid.reads.cram_check import END, proven_containers
from deid.reads.faidx import fasta_index
from tests.deid.reads.conftest import bam, reference_bases


@pytest.fixture
def cram(tmp_path: Path, reference: Reference) -> bytes:
    bases, dice = reference_bases()["1"], random.Random(3)
    places = sorted(dice.randrange(2900) for _ in range(300))
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "1", "LN": 3000}, {"SN": "X", "LN": 3000}]}
    reads = [{"at": at, "bases": bases[at : at + 10], "tags": [], "name": f"r{n}"} for n, at in enumerate(places)]
    bam(reads, header, tmp_path / "made.bam")
    made = tmp_path / "made.cram"
    pysam.view("-C", "-T", str(reference.path), "-o", str(made), str(tmp_path / "made.bam"), catch_stdout=False)
    return made.read_bytes()


def test_a_stream_gives_the_reads_of_the_file(cram: bytes, reference: Reference, tmp_path: Path) -> None:
    with (tmp_path / "made.cram").open("rb", buffering=0) as file:
        whole = b"".join(cram_to_bam(file, reference))
    assert b"".join(stream_to_bam(Incoming(io.BytesIO(cram)), reference)) == whole
    assert whole.count(b"r299\0") == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: data[:-38], "truncated"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data + b"LiMing", "truncated"),
        (lambda data: data[:-60] + bytes([data[-60] ^ 1]) + data[-59:], "bad_cram"),
    ],
    ids=["no end", "cut", "bytes behind the end", "a bit"],
)
def test_what_a_file_would_show_a_stream_shows(cram: bytes, reference: Reference, change: object, code: str) -> None:
    assert callable(change)
    with pytest.raises(ReadsError) as failure:
        b"".join(stream_to_bam(Incoming(io.BytesIO(change(cram))), reference))
    assert failure.value.code == code


def behind_the_end(cram: bytes, least: int = 1 << 18) -> bytes:
    """The file and, behind its end, more of its own containers, by default many more than a pipe holds."""
    _, _, *containers = proven_containers(Incoming(io.BytesIO(cram)))
    assert containers[-1] == END
    more = b"".join(containers[:-1])
    return cram + more * (1 + least // len(more))


def test_sound_containers_behind_the_end_are_refused(cram: bytes, reference: Reference) -> None:
    with pytest.raises(ReadsError) as failure:
        b"".join(stream_to_bam(Incoming(io.BytesIO(behind_the_end(cram, 1))), reference))
    assert failure.value.code == "truncated"


def test_what_a_decoder_leaves_unread_is_proven_too(
    cram: bytes, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """htslib reads on behind the end today; one that stops there must not leave the rest of the file unseen."""

    def stops_early(file: BinaryIO, *_: object) -> Iterator[bytes]:
        yield file.read(9)

    monkeypatch.setattr("deid.reads.cram._decoded", stops_early)
    assert b"".join(stream_to_bam(Incoming(io.BytesIO(cram)), reference)) == cram[:9]
    with pytest.raises(ReadsError) as failure:
        b"".join(stream_to_bam(Incoming(io.BytesIO(behind_the_end(cram))), reference))
    assert failure.value.code == "truncated"


def test_the_index_worked_out_is_the_one_samtools_writes(tmp_path: Path) -> None:
    text = ">a one\nACGT\nACGT\nAC\n>b\nNNNNNN\n>c\r\nAC\r\nG\r\n"
    path = tmp_path / "odd.fa"
    path.write_bytes(text.encode())
    pysam.faidx(str(path))
    assert fasta_index(io.BytesIO(text.encode())) == Path(f"{path}.fai").read_text("ascii")


@pytest.mark.parametrize(
    "text", ["ACGT\n", "", ">a\nAC\nACGT\n", ">a\nAC\nA\nAC\n", ">a\nA\n>a\nC\n", ">\nAC\n", ">é\nAC\n"]
)
def test_a_reference_that_no_index_can_say_where_is_refused(text: str) -> None:
    with pytest.raises(ReadsError) as failure:
        fasta_index(io.BytesIO(text.encode()))
    assert failure.value.code == "bad_reference"
