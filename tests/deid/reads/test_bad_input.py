"""Broken and hostile alignments: one clear sentence with the place, whichever engine reads them, and equal twins.

Mutants are of decompressed BAM put into sound BGZF, so that they reach the record code, and of the BGZF itself.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from deid import native
from deid.bgzf import EOF_BLOCK, deflate_block
from deid.reads import ReadsError, ReadsOptions, Reference, assess_view, copy_view, core_view, plan_from_steps
from deid.reads.header import Contig, take_header
from tests.memory import forget_peak, peak_mb

KEY = bytes(16)
STEPS = (
    {"tags": {"keep": ["RG", "NM", "MD", "AS", "MC", "XS"]}},
    {"quality": {"as": "bins-8"}},
    {"keep": {"also": ["unmapped", "secondary", "duplicate"]}},
    {"mask": {"bed": "m", "except": "approved-panel"}},
)
FILES = {"m": b"1\t300\t320\n", "approved-panel": b"1\t310\t318\n"}


def bgzip(text: bytes) -> bytes:
    return b"".join(deflate_block(text[at : at + 60000], 1) for at in range(0, len(text), 60000)) + EOF_BLOCK


class Letters:
    """A reference of two contigs, without htslib, which would not load under AddressSanitizer."""

    def must_have(self, contigs: Sequence[Contig]) -> None:
        if any(contig.length != 3000 or contig.name not in (b"1", b"X") for contig in contigs):
            raise ReadsError("reference_missing", "a contig of the header is not in the reference supplied")

    def bases(self, contig: bytes, start: int, end: int) -> bytes:
        return (b"GATTACAN" * 400)[start % 8 :][: end - start]


SUBSTITUTED = ({"reference-substituted": {}}, STEPS[3])


def outcome(
    source: bytes, compiled: bool | None, region: str | None = None, steps: Sequence[Mapping[str, object]] = STEPS
) -> tuple[str, bytes]:
    """The error's code, or the bytes; any other exception is a crash and comes out."""
    sink = io.BytesIO()
    reference = cast("Reference", Letters()) if steps is SUBSTITUTED else None
    options = ReadsOptions(level=1, compiled=compiled, region=region, reference=reference)
    try:
        core_view(
            plan_from_steps(steps, FILES),
            io.BytesIO(source),
            sink,
            participants={"LiMing": "p"},
            key=KEY,
            options=options,
        )
    except ReadsError as error:
        return f"{error.code}: {error}", b""
    return "", sink.getvalue()


@pytest.fixture
def raw(made) -> bytes:
    """Decompressed BAM with most kinds of tags, flags and CIGARs."""
    rng, reads = random.Random(2), []
    for at in range(20, 900, 11):
        tags = [("RG", rng.choice(["H3.1", "H4", "H9"])), ("NM", rng.randrange(300)), ("MD", "5A3"), ("XS", "+", "A"),
                ("ZB", [1, 2, 3]), ("ZH", "1AE3"), ("MC", "5M"), ("AS", -4)]  # fmt: skip
        cigar = rng.choice(["10M", "3S7M", "5M2I3M", "4M9D6M", "5H10M", "5M99N5M"])
        reads.append({"name": f"r{at}", "at": at, "cigar": cigar, "flag": rng.choice([0, 4, 99, 147, 256, 1024]),
                      "mate": (0, rng.randrange(900)), "tags": rng.sample(tags, rng.randrange(1, 8))})  # fmt: skip
    reads.append({"name": "u", "flag": 4, "contig": -1, "at": -1, "cigar": None, "tags": [("RG", "H3.1")]})
    return gzip.decompress(made.bam(reads))


def first_record(raw: bytes) -> int:
    found = take_header(raw)
    assert found is not None
    return found[1]


def with_bytes(raw: bytes, at: int, value: bytes) -> bytes:
    return raw[:at] + value + raw[at + len(value) :]


RECORD_FAULTS = {
    "a length of nothing": (0, struct.pack("<I", 0), "bad_length"),
    "an absurd length": (0, struct.pack("<I", 0xFFFFFFF0), "bad_length"),
    "a contig that is not there": (4, struct.pack("<i", 2), "bad_contig"),
    "a negative contig": (4, struct.pack("<i", -2), "bad_contig"),
    "a mate's contig that is not there": (24, struct.pack("<i", 77), "bad_contig"),
    "a negative position": (8, struct.pack("<i", -9), "bad_position"),
    "no name": (12, b"\0", "bad_length"),
    "a name without end": (12, b"\x02", "bad_name"),
    "more CIGAR than record": (16, struct.pack("<H", 65535), "bad_length"),
    "a negative sequence length": (20, struct.pack("<i", -1), "bad_length"),
    "more sequence than record": (20, struct.pack("<i", 1 << 30), "bad_length"),
    "a name outside ASCII": (36, b"\xe6", "bad_name"),
}


@pytest.mark.parametrize("case", RECORD_FAULTS)
def test_a_broken_record_is_refused_with_its_place(raw, compiled, case):
    at, value, code = RECORD_FAULTS[case]
    said, data = outcome(bgzip(with_bytes(raw, first_record(raw) + at, value)), compiled)
    assert said.startswith(code)
    assert "record 1" in said or "byte" in said
    assert data == b""


def test_reads_out_of_order_are_refused_where_order_is_promised(made, compiled):
    source = made.bam([{"at": 500, "tags": [("RG", "H3.1")]}, {"at": 400, "tags": [("RG", "H3.1")]}])
    assert outcome(source, compiled)[0].startswith("unsorted: record 2")


CONTAINERS = {
    "cut in a block": (lambda data: data[: len(data) // 2], "truncated"),
    "no end-of-file block": (lambda data: data[: -len(EOF_BLOCK)], "truncated"),
    "text": (lambda data: b"@HD\tVN:1.6\n", "not_bam"),
    "nothing": (lambda data: b"", "not_bam"),
    "plain gzip": (lambda data: gzip.compress(b"BAM\1"), "not_bam"),
    "BGZF of something else": (lambda data: bgzip(b"##fileformat=VCFv4.2\n"), "not_bam"),
    "a header cut short": (lambda data: bgzip(gzip.decompress(data)[:90]), "truncated"),
    "a record cut short": (lambda data: bgzip(gzip.decompress(data)[:-9]), "truncated"),
    "a header of four gigabytes": (lambda data: bgzip(b"BAM\1\xff\xff\xff\xff" + bytes(99)), "bad_header"),
    "a billion contigs": (lambda data: bgzip(b"BAM\1\0\0\0\0\xff\xff\xff\x3f" + bytes(99)), "bad_header"),
    "a damaged block": (lambda data: data[:40] + bytes([data[40] ^ 255]) + data[41:], "damaged"),
}


@pytest.mark.parametrize("case", CONTAINERS)
def test_a_broken_container_is_refused(raw, compiled, case):
    change, code = CONTAINERS[case]
    said, data = outcome(change(bgzip(raw)), compiled)
    assert said.startswith(code)
    assert data == b""


def test_a_file_without_reads_gives_a_file_without_reads(made, compiled):
    said, data = outcome(made.bam([]), compiled)
    assert said == ""
    assert made.read(data) == []


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"tags": {"keep": ["SA"]}}, "bad_step"),
        ({"tags": {"drop": ["NM"]}}, "bad_step"),
        ({"quality": {"as": "anything"}}, "bad_step"),
        ({"names": {"keep": True}}, "bad_step"),
        ({"mask": {"bed": "absent"}}, "missing_file"),
        ({"mask": {"bed": "m", "except": "all"}}, "bad_step"),
    ],
)
def test_an_unknown_step_key_or_tag_is_refused(step, code):
    with pytest.raises(ReadsError) as caught:
        plan_from_steps([step], {"m": b"1\t1\t2\n"})
    assert caught.value.code == code


def mutate(rng: random.Random, data: bytes) -> bytes:
    """One to four bytes changed, a stretch cut out, doubled or zeroed."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(out))
        kind = rng.randrange(6)
        if kind < 3:
            out[at] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        elif kind == 3:
            del out[at : at + rng.randrange(1, 9)]
        elif kind == 4:
            out[at:at] = out[at : at + rng.randrange(1, 40)]
        else:
            out[at : at + 4] = struct.pack("<I", rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
    return bytes(out)


def judged(source: bytes, compiled: bool | None) -> str:
    """What a view of substituted reads is said to hold, or the error."""
    try:
        return repr(assess_view(io.BytesIO(source), reference=cast("Reference", Letters()), compiled=compiled))
    except ReadsError as error:
        return str(error)


def copied(source: bytes, compiled: bool | None) -> tuple[str, bytes]:
    """One recipient's copy of a view, or the error."""
    sink = io.BytesIO()
    try:
        copy_view(io.BytesIO(source), sink, names={"p": "N"}, key=KEY, options=ReadsOptions(level=1, compiled=compiled))
    except ReadsError as error:
        return str(error), b""
    return "", sink.getvalue()


def fuzz(raw: bytes, count: int, seed: int, engines: tuple[bool | None, ...]) -> int:
    """Mutants read by each engine, which must agree; how many were accepted."""
    rng, accepted, start = random.Random(seed), 0, first_record(raw)
    view = gzip.decompress(outcome(bgzip(raw), None, None, SUBSTITUTED)[1])
    begin = first_record(view)
    for number in range(count):
        mutant = bgzip(mutate(rng, raw)) if number % 3 else bgzip(raw[:start] + mutate(rng, raw[start:]))
        if number % 7 == 0:
            mutant = mutate(rng, bgzip(raw))
        began = time.monotonic()
        region = "1:100-400" if number % 5 == 0 else None
        steps = SUBSTITUTED if number % 4 == 3 else STEPS
        answers = {outcome(mutant, engine, region, steps) for engine in engines}
        assert len(answers) == 1, f"mutant {number} of seed {seed}: the engines differ"
        if steps is SUBSTITUTED:
            changed = bgzip(view[:begin] + mutate(rng, view[begin:]))
            assert len({judged(changed, engine) for engine in engines}) == 1, f"mutant {number} is judged in two ways"
            assert len({copied(changed, engine) for engine in engines}) == 1, f"mutant {number} is copied in two ways"
        assert time.monotonic() - began < 5
        said = answers.pop()[0]
        assert "LiMing" not in said
        accepted += said == ""
    return accepted


@pytest.mark.skipif(not native.has_reads, reason="no compiler")
def test_mutants_are_refused_or_written_alike_by_kernel_and_twin(raw):
    assert 0 < fuzz(raw, 400, 1, (True, False)) < 400


def test_what_the_mutants_of_substituted_reads_come_from_is_written(raw, compiled):
    said, data = outcome(bgzip(raw), compiled, None, SUBSTITUTED)
    assert said == ""
    assert gzip.decompress(data).count(b"RGZp.1\0") >= 5


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.skipif(not native.has_reads, reason="no compiler")
def test_twenty_thousand_mutants_neither_crash_nor_hang_nor_fill_the_memory(raw):
    before = forget_peak()
    fuzz(raw, 20_000, 2, (True,))
    assert peak_mb() - before < 448, "with the interpreter and our modules 512 MB"


ASAN = """
import sys, importlib.util
sys.path[:0] = {path!r}
from deid import native


def load(name, place):
    spec = importlib.util.spec_from_file_location(name, place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


for kind in ("reads", "fastq", "bgzf"):
    setattr(native, "_" + kind, load("deid.native._" + kind, {folder!r} + "/_" + kind + ".so"))
native.has_reads = native.has_fastq = native.has_bgzf = True
from deid import bgzf
assert bgzf.has_kernel
load("mutants", {tests!r}).fuzz(open({raw!r}, "rb").read(), 3000, 3, (True,))
load("fastq_mutants", {fastq!r}).fuzz(6000, 3, (True,))
print("clean")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler")
def test_the_kernels_read_no_byte_that_is_not_their_own(raw, tmp_path, repository):
    """Under AddressSanitizer and UndefinedBehaviorSanitizer; the first error ends the process."""
    import sysconfig

    flags = ["-O1", "-g", "-std=c11", "-shared", "-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags += ["-fno-sanitize=alignment", "-I" + sysconfig.get_path("include")]
    for kind in ("reads", "fastq", "bgzf"):
        sources = sorted((repository / "deid" / "native").glob(f"{kind}*.c"))
        subprocess.run(["gcc", *flags, *sources, "-o", tmp_path / f"_{kind}.so"], check=True)
    runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    (tmp_path / "raw").write_bytes(raw)
    tests = Path(__file__)
    script = ASAN.format(
        path=sys.path, folder=str(tmp_path), tests=str(tests), raw=str(tmp_path / "raw"),
        fastq=str(tests.parent.parent / "fastq" / "test_core.py"),
    )  # fmt: skip
    environment = {
        **os.environ, "LD_PRELOAD": runtime.stdout.strip(), "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("clean\n"), done.stderr[-3000:]


HEADERS = {
    "line ends of another system": (b"@HD\tVN:1.6\tSO:coordinate\r\n@RG\tID:a\tSM:LiMing\r\n", "crlf"),
    "a sample that is not UTF-8": (b"@HD\tVN:1.6\n@RG\tID:a\tSM:\xc0\xee\xc3\xf7\n", "not_utf8"),
    "no read group and so nobody": (b"@HD\tVN:1.6\tSO:coordinate\n", "participant_missing"),
    "a read group without a name": (b"@HD\tVN:1.6\n@RG\tSM:LiMing\n", "bad_header"),
    "a read group that stands twice": (b"@RG\tID:a\tSM:LiMing\n@RG\tID:a\tSM:WangFang\n", "bad_header"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_cannot_be_believed_is_refused(compiled, case):
    text, code = HEADERS[case]
    raw = (
        b"BAM\1" + struct.pack("<I", len(text)) + text + struct.pack("<I", 1) + b"\2\0\0\x001\0" + struct.pack("<i", 99)
    )
    said, data = outcome(bgzip(raw), compiled)
    assert said.startswith(code)
    assert data == b""


LARGE = """
import sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from deid.reads import ReadsError, ReadsOptions, core_view, plan_from_steps
from tests.memory import peak_mb
began = time.monotonic()
with open({source!r}, "rb") as source, open({sink!r}, "wb") as sink:
    try:
        core_view(plan_from_steps([{{"keep": {{"also": ["unmapped"]}}}}], {{}}), source, sink, participants={{"LiMing": "p"}}, key=bytes(16),
                  options=ReadsOptions(level=1, threads={threads}))
        said = "written"
    except ReadsError as error:
        said = error.code
print(said, peak_mb(), time.monotonic() - began < 20)
"""


def long_read(bases: int) -> bytes:
    """One unmapped record of so many bases, all alike: a megabyte of it packs into a kilobyte."""
    fixed = struct.pack("<iiBBHHHiiii", -1, -1, 2, 0, 4680, 0, 4, bases, -1, -1, 0)
    body = fixed + b"a\0" + bytes((bases + 1) // 2) + b"\xff" * bases + b"RGZa\0"
    return struct.pack("<I", len(body)) + body


BOMBS = {
    "reads of twenty million bases": (lambda: long_read(20_000_000) * 3, "written"),
    "a read longer than any": (lambda: long_read(30_000_000), "bad_length"),
    "a gigabyte of nothing": (lambda: bytes(1 << 20), "bad_length"),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_of_blocks_does_not_fill_the_memory(tmp_path, case, threads):
    make, expected = BOMBS[case]
    text = b"@RG\tID:a\tSM:LiMing\n"
    head = bgzip(b"BAM\1" + struct.pack("<I", len(text)) + text + bytes(4)).removesuffix(EOF_BLOCK)
    times = 1024 if case == "a gigabyte of nothing" else 1
    source = tmp_path / "bomb.bam"
    source.write_bytes(head + bgzip(make()).removesuffix(EOF_BLOCK) * times + EOF_BLOCK)
    assert source.stat().st_size < 3 << 20
    script = LARGE.format(path=sys.path, source=str(source), sink=str(tmp_path / "out"), threads=threads)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    said, megabytes, quick = done.stdout.split()
    assert said == expected
    assert int(megabytes) < 512
    assert quick == "True"


def test_a_header_of_very_many_contigs_is_read_in_bounded_time(tmp_path):
    """Found by reading it as many times as it has pieces: a header is looked at again only when it has doubled."""
    contigs = b"".join(struct.pack("<I", 8) + b"c%06d\0" % n + struct.pack("<i", 9) for n in range(400_000))
    raw = b"BAM\1\0\0\0\0" + struct.pack("<I", 400_000) + contigs
    began = time.process_time()
    assert outcome(bgzip(raw), None)[0].startswith("participant_missing")
    assert time.process_time() - began < 10
