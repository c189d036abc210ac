"""htslib's own loop, called by name, against the walk over pysam's records: the same BAM, the same refusals, nothing held."""

from __future__ import annotations

import gc
import io
import os
import random
import shutil
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

import pysam
import pytest

from deid import native
from deid.bgzf import Incoming
from deid.reads import ReadsError, Reference
from deid.reads import cram as room
from deid.reads.cram import bam_to_cram, cram_to_bam, stream_to_bam
from tests.deid.reads.conftest import bam
from tests.deid.reads.cram_mutants import mutate, sums
from tests.deid.reads.test_cram_mutants import make_cram

pytestmark = pytest.mark.skipif(not native.has_cram, reason="installed without a compiler")


def decoded(cram: bytes, reference: Reference, *, compiled: bool | None = None) -> bytes:
    return b"".join(cram_to_bam(io.BytesIO(cram), reference, compiled=compiled))


def test_the_kernel_knows_the_htslib_that_is_installed() -> None:
    assert room.has_kernel


@pytest.mark.parametrize("version", ["3.0", "3.1"])
def test_both_decoders_give_the_same_bytes(made, reference, tmp_path, version):
    cram = make_cram(made, reference, tmp_path, version).read_bytes()
    whole = decoded(cram, reference)
    assert whole == decoded(cram, reference, compiled=False)
    assert whole.count(b"RGZH3.1\0") > 20


@pytest.mark.parametrize("number", [1, 2, 3])
def test_both_decoders_give_the_same_bytes_of_a_real_cram(real, real_reference, number):
    cram = (real / f"mpileup.{number}.cram").read_bytes()
    assert decoded(cram, real_reference) == decoded(cram, real_reference, compiled=False)


@pytest.mark.parametrize("version", ["3.0", "3.1"])
def test_what_the_twin_reads_of_a_mutant_the_kernel_reads_alike(made, reference, tmp_path, version):
    cram = make_cram(made, reference, tmp_path, version).read_bytes()
    stretches, alike, refused = sums(cram), 0, 0
    for number in range(150):
        mutant = mutate(random.Random(number), cram, stretches)
        try:
            expected = decoded(mutant, reference, compiled=False)
        except ReadsError:
            refused += 1
            continue
        assert decoded(mutant, reference) == expected
        alike += 1
    assert alike > 10
    assert refused > 50


def unusual(path: Path) -> bytes:
    """Reads without a name, without bases, without qualities, of odd length, and unplaced."""
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "1", "LN": 3000}, {"SN": "X", "LN": 3000}]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as sink:
        for number in range(60):
            read = pysam.AlignedSegment(sink.header)
            read.query_name = "*" if number % 5 == 0 else f"r{number}"
            read.flag = 0 if number % 7 and number % 3 and number <= 50 else 4
            read.reference_id, read.reference_start = (-1, -1) if number > 50 else (0, 10 * number)
            if number % 3:
                read.query_sequence = "ACGTNRYACGTAC"[: 4 + number % 9]
                read.cigarstring = None if read.flag & 4 else f"{len(read.query_sequence)}M"
                if number % 4:
                    read.query_qualities = pysam.qualitystring_to_array("I" * len(read.query_sequence))
            read.set_tags([("XB", [1, -2]), ("XF", 1.5), ("XA", "c", "A"), ("XI", 1 << 31, "I")])
            sink.write(read)
    return path.read_bytes()


def test_unusual_reads_are_alike_too(reference, tmp_path):
    unusual(tmp_path / "u.bam")
    target = tmp_path / "u.cram"
    pysam.view("-C", "-T", str(reference.path), "-o", str(target), str(tmp_path / "u.bam"), catch_stdout=False)
    cram = target.read_bytes()
    whole = decoded(cram, reference)
    assert whole == decoded(cram, reference, compiled=False)
    assert whole.count(b"XBBc\2\0\0\0\1\xfe") == 60


def test_a_reference_that_is_gone_is_not_looked_for_elsewhere(made, reference, tmp_path):
    """@SQ UR names a file that is there and fits; without the reference supplied nothing is decoded."""
    stays = tmp_path / "stays.fa"
    for ending in ("", ".fai"):
        shutil.copy(f"{reference.path}{ending}", f"{stays}{ending}")
    header = {**made.HEADER, "SQ": [{**contig, "UR": str(stays)} for contig in made.HEADER["SQ"]]}
    (tmp_path / "s.bam").write_bytes(made.bam([{"at": at} for at in range(0, 500, 5)], header))
    target = tmp_path / "s.cram"
    pysam.view("-C", "-T", str(stays), "-o", str(target), str(tmp_path / "s.bam"), catch_stdout=False)
    assert decoded(target.read_bytes(), reference)
    reference.path.unlink()
    with pytest.raises(ReadsError) as caught:
        decoded(target.read_bytes(), reference)
    assert caught.value.code == "bad_cram"


@pytest.mark.parametrize("compiled", [None, False])
def test_a_read_of_more_operations_than_bam_holds_is_refused(reference, tmp_path, compiled):
    pair = "1M1I" * 33_000
    sam = tmp_path / "long.sam"
    bases = "A" * 66_000
    sam.write_text(f"@HD\tVN:1.6\n@SQ\tSN:1\tLN:3000\n@SQ\tSN:X\tLN:3000\nr\t0\t1\t1\t9\t{pair}\t*\t0\t0\t{bases}\t*\n")
    fasta = tmp_path / "long.fa"
    fasta.write_text(f">1\n{'A' * 40_000}\n>X\n{'C' * 3000}\n")
    sam.write_text(sam.read_text().replace("LN:3000\n@SQ", "LN:40000\n@SQ", 1))
    pysam.faidx(str(fasta))
    target = tmp_path / "long.cram"
    pysam.view("-C", "-T", str(fasta), "-o", str(target), str(sam), catch_stdout=False)
    with pytest.raises(ReadsError) as caught:
        decoded(target.read_bytes(), Reference(fasta), compiled=compiled)
    assert caught.value.code == "long_cigar"


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_held_after_a_file_a_fault_or_a_stop(made, reference, tmp_path):
    cram = make_cram(made, reference, tmp_path, "3.0").read_bytes()
    other = tmp_path / "other.fa"
    other.write_text(">Y\nACGT\n")
    pysam.faidx(str(other))
    held: list[object] = [Reference(other)]
    before = descriptors()
    decoded(cram, reference)
    for data, used in ((cram[: len(cram) // 2], reference), (cram, held[0]), (cram[:26] + bytes(200), reference)):
        assert isinstance(used, Reference)
        for flow in (cram_to_bam(io.BytesIO(data), used), stream_to_bam(Incoming(io.BytesIO(data)), used)):
            with pytest.raises(ReadsError) as caught:
                b"".join(flow)
            held.append(caught.value)  # with its traceback, as somebody who logs it would
    begun = cram_to_bam(io.BytesIO(cram), reference)
    next(begun)
    begun.close()
    assert descriptors() == before


def test_a_reader_that_was_closed_gives_no_more(made, reference, tmp_path):
    path = make_cram(made, reference, tmp_path, "3.0")
    reader = native._cram.begin(os.open(path, os.O_RDONLY), str(reference.path))
    native._cram.close(reader)
    native._cram.close(reader)
    for act in (native._cram.header, lambda closed: native._cram.read(closed, 100)):
        with pytest.raises(ValueError, match="closed"):
            act(reader)


def records(cram: bytes, reference: Reference, path: Path) -> list[str]:
    path.write_bytes(cram)
    options = [b"decode_md=0"]
    with pysam.AlignmentFile(str(path), reference_filename=str(reference.path), format_options=options) as reads:
        return [read.to_string() for read in reads.fetch(until_eof=True)]


def test_both_writers_hold_the_same_reads(made, reference, tmp_path):
    source = made.bam([{"name": f"r{at}", "at": at, "tags": [("RG", "H3.1"), ("AS", 3)]} for at in range(0, 2900, 3)])
    made.run(source, reference=reference)
    _, one = made.run(source, reference=reference, form="cram")
    _, other = made.run(source, reference=reference, form="cram", compiled=False)
    assert records(one, reference, tmp_path / "1.cram") == records(other, reference, tmp_path / "2.cram")
    assert one[:26] == other[:26]


def test_pieces_that_are_no_records_are_refused_and_not_written_as_an_empty_cram(reference, tmp_path):
    bam([{"at": at} for at in range(50)], path=tmp_path / "s.bam")
    with pysam.AlignmentFile(str(tmp_path / "s.bam")) as reads:
        text = str(reads.header).encode()
    head = b"BAM\1" + struct.pack("<I", len(text)) + text + struct.pack("<I", 2)
    head += b"".join(struct.pack("<I", len(n) + 1) + n + b"\0" + struct.pack("<I", 3000) for n in (b"1", b"X"))
    for rest in (b"LiMing", b"\x30\0\0\0" + bytes(20)):
        with pytest.raises(ReadsError) as caught:
            b"".join(bam_to_cram([head, rest], reference))
        assert caught.value.code == "bad_cram"
        assert "LiMing" not in str(caught.value)


STRANGER = """
#include <stdint.h>
#include <stdlib.h>
#define NOTHING(name) void *name(void) { return 0; }
NOTHING(hdopen) NOTHING(hclose) NOTHING(hts_hopen) NOTHING(hts_close) NOTHING(hts_set_fai_filename) NOTHING(sam_hdr_read)
NOTHING(sam_hdr_write) NOTHING(sam_hdr_destroy) NOTHING(sam_hdr_str) NOTHING(sam_hdr_length) NOTHING(sam_hdr_nref)
NOTHING(sam_hdr_tid2name) NOTHING(sam_hdr_tid2len) NOTHING(sam_read1) NOTHING(sam_write1)
void *bam_init1(void) { return calloc(1, 4096); }
void bam_destroy1(void *r) { free(r); }
int bam_set1(void *r) { ((int32_t *)r)[0] = 5; ((int32_t *)r)[1] = 0x12345678; return 1; }
"""
ASKED = """
import ctypes, sys
import pysam
from deid import native
for path in sys.argv[1:]:
    ctypes.CDLL(path)
print(*[native._cram.connect(path) for path in (*sys.argv[1:], pysam.libchtslib.__file__)])
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler")
def test_a_library_whose_records_stand_otherwise_is_not_used(tmp_path):
    """htslib before 1.10 and whatever may come: told by a record that it fills itself, not by its number."""
    (tmp_path / "stranger.c").write_text(STRANGER)
    made = tmp_path / "stranger.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-o", str(made), str(tmp_path / "stranger.c")], check=True)
    words = [sys.executable, "-c", ASKED, str(made), str(native._bgzf.__file__)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True"]


ASAN = """
import sys, importlib.util, random
from pathlib import Path
sys.path[:0] = {path!r}
from deid import native
spec = importlib.util.spec_from_file_location("deid.native._cram", {kernel!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
native._cram, native.has_cram = module, True
from deid.reads import Reference, cram
from tests.deid.reads.cram_mutants import mutate, outcome, sums
assert cram.has_kernel and cram.native._cram is module
data, reference = Path({data!r}).read_bytes(), Reference(Path({fasta!r}))
stretches = sums(data)
print(sorted({{outcome(mutate(random.Random(seed), data, stretches), reference) for seed in range(1500)}}), "clean")
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler")
@pytest.mark.parametrize("version", ["3.0", "3.1"])
def test_the_kernel_reads_no_byte_that_is_not_its_own(made, reference, tmp_path, repository, version):
    """Under AddressSanitizer and UndefinedBehaviorSanitizer, with htslib as it was built; the first error is the end."""
    flags = ["-O1", "-g", "-std=c11", "-shared", "-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    kernel = tmp_path / "_cram.so"
    words = ["gcc", *flags, "-I" + sysconfig.get_path("include"), str(repository / "deid" / "native" / "cram.c")]
    subprocess.run([*words, "-o", str(kernel)], check=True)
    runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    script = ASAN.format(
        path=[str(repository), *sys.path],
        kernel=str(kernel),
        data=str(make_cram(made, reference, tmp_path, version)),
        fasta=str(reference.path),
    )
    environment = {**os.environ, "LD_PRELOAD": runtime.stdout.strip(), "PYTHONMALLOC": "malloc"}
    environment["ASAN_OPTIONS"] = "detect_leaks=0"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("clean\n"), done.stderr[-3000:]
