"""Mutants of VCF and BCF: refused with a code or written alike by kernel and twin; no crash, no hang, no memory."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from deid import native
from deid.variants import VariantError, core_view, plan_from_steps
from tests.memory import forget_peak, peak_mb

STEPS = (
    {"info": {"keep": ["AC", "AN", "AF", "NS", "DP", "END"]}},
    {"format": {"keep": ["GT", "DP", "GQ", "AD"]}},
    {"bin": {"DP": 3}},
    {"mask": {"bed": "m", "except": "approved-panel"}},
    {"minimum-allele-count": {"count": 2, "action": "mask"}},
)
FILES = {"m": b"1\t40\t60\n", "approved-panel": b"1\t50\t55\n"}
HEAD = """##fileformat=VCFv4.2
##contig=<ID=1,length=1000000>
##contig=<ID=X,length=500000>
##FILTER=<ID=q10,Description="x">
##INFO=<ID=END,Number=1,Type=Integer,Description="x">
##FORMAT=<ID=GT,Number=1,Type=String,Description="x">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="x">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="x">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tLiMing\tP2\tP3
"""
LINES = [
    "1 10 rs1 A C 50 PASS AC=1 GT 0|1 1|1 0|0",
    "1 45 . ACG A,AC . q10 DP=3 GT:DP:GQ:AD 1/2:9:99:1,2,3 0/1:.:3:1,.,3 ./.:.:.:.",
    "1 52 . C <DEL> . . END=80;X GT:DP 0/1:12 1/1:3 0/0:9",
    "X 7 . T G,TA . PASS . GT:GQ:XX 1:33:a 0/1:9:b 2|2:1:c",
    "X 90 . G *,<NON_REF> 3.5e2 . . GT:AD 0/1/1:1,2,3 0:1,2,3 .:.",
]
TEXT = (HEAD + "".join("\t".join(line.split()) + "\n" for line in LINES)).encode()
TOKENS = (
    b"\t",
    b"\n",
    b":",
    b"/",
    b"|",
    b",",
    b".",
    b"0",
    b"1",
    b"9999999999",
    b"<DEL>",
    b"\r",
    b"\0",
    b"\xff",
    b"END=",
    b"-1",
)


def mutate(rng: random.Random, data: bytes) -> bytes:
    """One to three places changed, cut, doubled or given a token; mostly behind the header."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        start = 0 if rng.random() < 0.15 else min(len(HEAD), len(out) - 1)
        at = rng.randrange(start, len(out))
        kind = rng.randrange(4)
        if kind == 0:
            out[at] = rng.randrange(256)
        elif kind == 1:
            del out[at : at + rng.randrange(1, 9)]
        elif kind == 2:
            out[at:at] = out[at : at + rng.randrange(1, 40)]
        else:
            out[at : at + rng.randrange(2)] = rng.choice(TOKENS)
    return bytes(out)


def outcome(source: bytes, compiled: bool | None) -> tuple[str, bytes]:
    """The error, or the bytes; any other exception is a crash and comes out."""
    sink = io.BytesIO()
    plan = plan_from_steps(STEPS, FILES)
    try:
        core_view(plan, io.BytesIO(source), sink, participants={"LiMing": "a", "P3": "b"}, level=1, compiled=compiled)
    except VariantError as error:
        return f"{error.code}: {error}", b""
    return "", sink.getvalue()


def fuzz(count: int, seed: int, engines: tuple[bool | None, ...], source: bytes = TEXT) -> int:
    """How many of the mutants were accepted; the engines must agree on each."""
    rng, accepted = random.Random(seed), 0
    for number in range(count):
        mutant = mutate(rng, source)
        began = time.monotonic()
        answers = {outcome(mutant, engine) for engine in engines}
        assert len(answers) == 1, f"mutant {number} of seed {seed}: the engines differ"
        assert time.monotonic() - began < 5
        said = answers.pop()[0]
        assert "LiMing" not in said
        accepted += said == ""
    return accepted


@pytest.mark.skipif(not native.has_variants, reason="no compiler")
def test_mutants_are_refused_or_written_alike_by_kernel_and_twin():
    assert 20 < fuzz(500, 1, (True, False)) < 480


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not native.has_variants, reason="no compiler")
def test_twenty_thousand_mutants_neither_crash_nor_hang_nor_fill_the_memory():
    before = forget_peak()
    fuzz(20_000, 2, (True, False))
    assert peak_mb() - before < 448, "with the interpreter and our modules 512 MB"


ASAN = """
import sys, importlib.util
sys.path[:0] = {path!r}
from deid import native
def load(name, file):
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
native._variants = load("deid.native._variants", {variants!r})
native._fastq = load("deid.native._fastq", {fastq!r})
native._bgzf = load("deid.native._bgzf", {bgzf!r})
native.has_variants = native.has_fastq = native.has_bgzf = True
from deid import bgzf
assert bgzf.has_kernel
load("groups", {groups!r}).hammer(400)
load("mutants", {tests!r}).fuzz(3000, 3, (True,))
load("more", {more!r}).fuzz(3000, 3, (True,))
print("clean")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler")
def test_the_kernels_read_no_byte_that_is_not_theirs(tmp_path, repository):
    """VCF, FASTQ and BGZF under AddressSanitizer and UndefinedBehaviorSanitizer; the first error ends the process."""
    flags = ["-O1", "-g", "-std=c11", "-shared", "-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    include, sources = "-I" + sysconfig.get_path("include"), repository / "deid/native"
    made = {
        "variants": sorted(sources.glob("variants_*.c")),
        "fastq": [sources / "fastq.c"],
        "bgzf": [sources / "bgzf.c"],
    }
    for name, files in made.items():
        subprocess.run(["gcc", *flags, include, *files, "-o", tmp_path / f"_{name}.so"], check=True)
    runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    more = str(repository / "tests/deid/fastq/test_core.py")
    modules = {name: str(tmp_path / f"_{name}.so") for name in made}
    groups = str(repository / "tests/deid/test_bgzf.py")
    script = ASAN.format(path=sys.path, tests=str(Path(__file__)), more=more, groups=groups, **modules)
    environment = {**os.environ, "LD_PRELOAD": runtime.stdout.strip(), "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "clean", done.stderr[-2000:]
