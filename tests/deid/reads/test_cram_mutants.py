"""Damaged and hostile CRAM, each batch in a process of its own: no crash, no hang, bounded memory, a clear error."""

from __future__ import annotations

import random
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pysam
import pytest

from deid.reads import ReadsError
from tests.deid.reads.cram_mutants import containers, number

PROGRAM = Path(__file__).with_name("cram_mutants.py")
GZIP, EXTERNAL = 1, 4
SEEN = re.compile(r"read (\d+) slowest ([\d.]+) megabytes (\d+) (.*)")


def make_cram(made, reference, folder: Path, version: str) -> Path:
    """A small CRAM with several slices, most kinds of reads and tags, packed by every method of its version."""
    rng, reads = random.Random(4), []
    for at in range(20, 1500, 9):
        cigar = rng.choice(["10M", "3S7M", "5M2I3M", "4M9D6M", "5H10M", "5M99N5M"])
        tags = rng.sample([("RG", "H3.1"), ("NM", 3), ("ZB", [1, 2, 3]), ("AS", -4), ("XX", "text")], 3)
        reads.append({"name": f"r{at // 18}", "at": at, "cigar": cigar, "flag": rng.choice([0, 4, 99, 147, 1024]),
                      "mate": (0, rng.randrange(900)), "tags": tags,
                      "quality": "".join(rng.choices("#AI", k=10))})  # fmt: skip
    source, path = folder / "m.bam", folder / f"m{version}.cram"
    source.write_bytes(made.bam(reads))
    options = [f"version={version}".encode(), b"seqs_per_slice=30", b"use_bzip2=1", b"use_lzma=1"]
    if version == "3.1":
        options += [b"use_arith=1", b"use_fqz=1", b"use_tok=1"]
    with (
        pysam.AlignmentFile(str(source)) as given,
        pysam.AlignmentFile(
            str(path), "wc", template=given, reference_filename=str(reference.path), format_options=options
        ) as written,
    ):
        for read in given:
            written.write(read)
    return path


def read_mutants(cram: Path, reference, first: int, count: int) -> None:
    """Read a batch in a fresh process, which must come to its own end."""
    words = [sys.executable, str(PROGRAM), str(cram), str(reference.path), str(first), str(count)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60 + count, check=False)
    last = done.stdout.splitlines()[-1] if done.stdout else "nothing"
    assert done.returncode == 0, f"mutant {last} ended the process with {done.returncode}: {done.stderr[-800:]}"
    found = SEEN.fullmatch(last)
    assert found is not None
    assert float(found[2]) < 5
    assert int(found[3]) <= 512
    sys.stdout.write(f"{last}\n")  # the figures, shown with -s and in the slow run


@pytest.mark.parametrize("version", ["3.0", "3.1"])
def test_mutants_of_a_cram_neither_crash_nor_hang_nor_fill_the_memory(made, reference, tmp_path, version):
    read_mutants(make_cram(made, reference, tmp_path, version), reference, 0, 150)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("version", ["3.0", "3.1"])
def test_twenty_thousand_mutants_of_a_cram_neither_crash_nor_hang_nor_fill_the_memory(
    made, reference, tmp_path, version
):
    path = make_cram(made, reference, tmp_path, version)
    for first in range(1000, 21_000, 1000):
        read_mutants(path, reference, first, 1000)


def resummed(data: bytes, stretch: tuple[int, int], at: int, value: bytes) -> bytes:
    """Bytes of a stretch replaced and its checksum made right."""
    out = bytearray(data)
    out[at : at + len(value)] = value
    out[stretch[1] : stretch[1] + 4] = struct.pack("<I", zlib.crc32(out[stretch[0] : stretch[1]]))
    return bytes(out)


def absurd_length(data: bytes) -> bytes:
    head = containers(data)[1][0]
    return resummed(data, head, head[0], struct.pack("<i", 1 << 30))


def unpacks_to_a_gigabyte(data: bytes) -> bytes:
    """A gzip block that says it holds 2^30 bytes, its container one byte longer for it."""
    out = bytearray(data)
    for head, blocks in containers(data)[1:]:
        for begin, end in blocks:
            if data[begin] != GZIP or data[begin + 1] != EXTERNAL:
                continue
            size = number(data, number(data, begin + 2))
            behind = number(data, size)
            out[size:behind] = b"\xf4\0\0\0\0"
            stop = end + 5 - (behind - size)
            out[stop : stop + 4] = struct.pack("<I", zlib.crc32(out[begin:stop]))
            longer = struct.unpack_from("<i", data, head[0])[0] + stop - end
            return resummed(bytes(out), head, head[0], struct.pack("<i", longer))
    raise AssertionError("the CRAM has no gzip block to change")


def many_records(data: bytes) -> bytes:
    """A container that claims 2^28 - 1 records: a decoder would make them out of nothing, one after another."""
    begin, end = containers(data)[1][0]
    at = begin + 4
    for _ in range(3):
        at = number(data, at)
    head = data[begin:at] + b"\xf0\xff\xff\xff\x0f" + data[number(data, at) : end]
    return data[:begin] + head + struct.pack("<I", zlib.crc32(head)) + data[end + 4 :]


def without_end(data: bytes) -> bytes:
    return data[:-38]


def of_version_two(data: bytes) -> bytes:
    return data[:4] + b"\2\1" + data[6:]


HOSTILE = {
    "an absurd container": (absurd_length, "cram_bomb"),
    "a block that unpacks to a gigabyte": (unpacks_to_a_gigabyte, "cram_bomb"),
    "more records than bytes": (many_records, "cram_bomb"),
    "no end-of-file container": (without_end, "truncated"),
    "a version without checksums": (of_version_two, "cram_version"),
    "bytes behind the end": (lambda data: data + bytes(60), "bad_cram"),
    "a definition cut short": (lambda data: data[:20], "truncated"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_cram_is_refused_before_htslib_sees_it(made, reference, tmp_path, case):
    change, code = HOSTILE[case]
    cram = make_cram(made, reference, tmp_path, "3.0").read_bytes()
    with pytest.raises(ReadsError) as caught:
        made.run(change(cram), reference=reference)
    assert caught.value.code == code
    assert "byte" in str(caught.value) or case in {"a version without checksums", "a definition cut short"}
