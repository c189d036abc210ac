"""Mutants of BCF, in a child process since htslib reads them: no crash, no hang over 5 s, at most 512 MB, named errors.

Half are sources for the core view, half are core views for the copy (which htslib does not touch).
"""

from __future__ import annotations

import io
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pysam
import pysam.bcftools
import pytest

from deid.bgzf import EOF_BLOCK, Incoming, block_groups, deflate_blocks, inflate_blocks
from deid.variants import VariantError, copy_view, core_view, plan_from_steps
from tests.memory import peak_mb

STEPS = (
    {"info": {"keep": ["AC", "AN", "AF", "NS", "DP", "END"]}},
    {"format": {"keep": ["GT", "DP", "GQ", "AD"]}},
    {"minimum-allele-count": {"count": 2, "action": "mask"}},
)
PEOPLE = {"LiMing": "a", "P3": "b"}
HEAD = """##fileformat=VCFv4.2
##contig=<ID=1,length=1000000>
##contig=<ID=X,length=500000>
##FILTER=<ID=q10,Description="x">
##INFO=<ID=END,Number=1,Type=Integer,Description="x">
##INFO=<ID=SF,Number=.,Type=String,Description="x">
##FORMAT=<ID=GT,Number=1,Type=String,Description="x">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="x">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="x">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="x">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tLiMing\tP2\tP3
"""
LINES = [
    "1 10 rs1 A C 50 PASS SF=a GT 0|1 1|1 0|0",
    "1 45 . ACG A,AC . q10 SF=a,b GT:DP:GQ:AD 1/2:9:99:1,2,3 0/1:.:3:1,.,3 ./.:.:.:.",
    "1 52 . C <DEL> . . END=80 GT:DP 0/1:70000 1/1:3 0/0:9",
    "X 7 . T G,TA . PASS . GT:GQ 1:33 0/1:9 2|2:1",
]


def raw_source() -> bytes:
    """Decompressed BCF of the lines, by htslib."""
    text = HEAD + "".join("\t".join(line.split()) + "\n" for line in LINES * 3)
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "s.vcf", Path(folder) / "s.bcf"
        plain.write_text(text)
        pysam.bcftools.view("--no-version", "-Ob", "-o", str(packed), str(plain), catch_stdout=False)
        return inflated(packed.read_bytes())


def inflated(data: bytes) -> bytes:
    return b"".join(inflate_blocks(group) for group in block_groups(Incoming(io.BytesIO(data))))


def packed(raw: bytes) -> io.BytesIO:
    return io.BytesIO(deflate_blocks([raw[at : at + 60_000] for at in range(0, len(raw), 60_000)], 1) + EOF_BLOCK)


def mutate(rng: random.Random, data: bytes) -> bytes:
    """One to three bytes, lengths or stretches changed; half of them in the header's text or the first fields."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(out) if rng.random() < 0.8 else min(len(out), 60))
        kind = rng.randrange(5)
        if kind == 0:
            out[at] = rng.randrange(256)
        elif kind == 1:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del out[at : at + rng.randrange(1, 9)]
        elif kind == 3:
            out[at:at] = out[at : at + rng.randrange(1, 40)]
        else:
            out[at : at + 4] = struct.pack("<I", rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 1 << 24, 15]))
    return bytes(out) or b"B"


def fuzz(count: int, seed: int) -> dict[str, float]:
    """What came of the mutants: accepted, refused, the longest and the memory; another exception comes out."""
    rng, plan = random.Random(seed), plan_from_steps(STEPS, {})
    source = raw_source()
    core = io.BytesIO()
    core_view(plan, packed(source), core, participants=PEOPLE, form="bcf", level=1)
    view, accepted, longest = inflated(core.getvalue()), 0, 0.0
    for number in range(count):
        began = time.monotonic()
        try:
            if number % 2:
                core_view(plan, packed(mutate(rng, source)), io.BytesIO(), participants=PEOPLE, level=1)
            else:
                copy_view(packed(mutate(rng, view)), io.BytesIO(), names={"a": "R1", "b": "R2"}, level=1)
            accepted += 1
        except VariantError as error:
            if "LiMing" in str(error):
                raise
        longest = max(longest, time.monotonic() - began)
    return {"mutants": count, "accepted": accepted, "longest": longest, "peak_mb": peak_mb()}


def in_a_child(count: int, seed: int) -> dict[str, float]:
    code = f"import json, sys; sys.path[:0] = {sys.path!r}; import importlib.util as u;"
    code += f"s = u.spec_from_file_location('m', {__file__!r}); m = u.module_from_spec(s); s.loader.exec_module(m);"
    code += f"print(json.dumps(m.fuzz({count}, {seed})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=1500)
    assert done.returncode == 0, f"seed {seed}: status {done.returncode}: {done.stderr[-1500:]}"
    made: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return made


def test_mutants_of_bcf_are_refused_or_written_and_crash_nothing():
    said = in_a_child(400, 1)
    assert 20 < said["accepted"] < 380
    assert said["longest"] < 5
    assert said["peak_mb"] <= 512


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_thousand_mutants_of_bcf_crash_nothing(capsys):
    for seed in range(10):
        said = in_a_child(2000, 100 + seed)
        with capsys.disabled():
            sys.stdout.write(f"bcf mutants, seed {100 + seed}: {json.dumps(said)}\n")
        assert said["longest"] < 5
        assert said["peak_mb"] <= 512
