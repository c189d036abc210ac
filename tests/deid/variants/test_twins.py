"""The compiled kernel and its plain-Python twin give the same bytes, counts and faults; mutants crash neither."""

from __future__ import annotations

import random
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deid import native
from deid.variants import VariantError, core_view, plan_from_steps
from deid.variants.engine import rewriter
from deid.variants.header import parse_header
from deid.variants.layout import layout_of
from deid.variants.regions import parse_regions

PEOPLE = [f"P{index}" for index in range(5)]
COLUMNS = (3, 0, 4)
ALLELES = ["A", "C", "AC", "ACC", "TCC", "*", "<DEL>", "<NON_REF>", "<*>", "G]1:5]", ".A", "ac", "<>", "A.", "L", ""]
CELLS = [
    "0/0",
    "0/1",
    "1|1",
    "0|2",
    ".",
    "./.",
    "1",
    "2/1/0",
    "./1",
    "0/3",
    "00",
    "1/",
    "|1",
    "0/1:5",
    "10/0",
    "",
    "0/10000",
]
STEP_CHOICES = {
    "id": {"keep": True},
    "quality": {"keep": True},
    "filter": {"keep": True},
    "info": {"keep": ["END", "NS", "AC", "AF", "AN"]},
    "bin": {"DP": 3, "GQ": 7},
    "sites-only": {},
    "mask": {"bed": "m"},
    "private-alleles": {"action": "mask", "except": "approved-panel", "carriers": 3},
    "reference-blocks": {"keep": True},
    "minimum-allele-count": {"count": 2, "action": "mask", "except": "approved-panel"},
}
REGION = parse_regions("1:10-35 X:20", {b"1", b"X"})
FILES = {"m": b"1\t20\t40\n", "approved-panel": b"1\t10\t30\nX\t0\t9\n"}


def mostly(good: st.SearchStrategy[str], rare: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One in eight from ``rare``: a record of nothing but nonsense ends at its first column."""
    return st.integers(0, 7).flatmap(lambda pick: rare if pick == 0 else good)


@st.composite
def plans(draw: st.DrawFn):
    names = draw(st.sets(st.sampled_from(sorted(STEP_CHOICES))))
    steps = [{name: STEP_CHOICES[name]} for name in sorted(names)]
    for step in steps:
        for name in {"private-alleles", "minimum-allele-count"} & step.keys():
            step[name] = {**step[name], "action": draw(st.sampled_from(["drop", "mask"]))}
    keys = draw(st.sampled_from([["GT"], ["GT", "DP"], ["GT", "AD", "GQ"], ["GT", "DP", "GQ", "AD"]]))
    return plan_from_steps([*steps, {"format": {"keep": keys}}], FILES)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    alts = draw(
        st.lists(mostly(st.sampled_from(ALLELES[1:6]), st.sampled_from(ALLELES)), min_size=1, max_size=4, unique=True)
    )
    keys = draw(
        mostly(
            st.sampled_from(["GT", "GT:DP", "GT:GQ:AD:DP", "GT:PGT:DP"]),
            st.sampled_from(["DP:GT", "GT:DP:DP", "DP", ""]),
        )
    )
    numbers = mostly(st.sampled_from(["0", "1", "2"]), st.sampled_from([".", "3", "9", "01", "x", "12345", ""]))

    def one_cell() -> str:
        if draw(st.integers(0, 20)) == 0:
            return draw(st.sampled_from(CELLS))
        called = [draw(numbers) for _ in range(draw(st.sampled_from([2, 2, 2, 1, 3])))]
        values = [draw(st.sampled_from("/|")).join(called)]
        for key in keys.split(":")[1 : draw(st.integers(1, 5))]:
            size = len(alts) + 1 if key == "AD" else 1
            values.append(
                ",".join(
                    draw(
                        mostly(st.sampled_from(["0", "7", "41", "."]), st.sampled_from(["007", "x", "", "1234567890"]))
                    )
                    for _ in range(size)
                )
            )
        return ":".join(values)

    fixed = [
        draw(mostly(st.sampled_from(["1", "X"]), st.sampled_from(["2", ""]))),
        draw(mostly(st.integers(0, 60).map(str), st.sampled_from(["-1", "007", "2147483648", "", "x"]))),
        draw(mostly(st.just("."), st.sampled_from(["rs1", "a b", "é"]))),
        draw(mostly(st.sampled_from(["A", "ACC", "GCC"]), st.sampled_from(["", "N", "Z", "acc"]))),
        draw(mostly(st.just(",".join(alts)), st.just("."))),
        draw(mostly(st.sampled_from([".", "30.5"]), st.sampled_from(["x", "1e9"]))),
        draw(mostly(st.sampled_from([".", "PASS", "q10"]), st.sampled_from(["q10;PASS", "other", ""]))),
        draw(mostly(st.sampled_from([".", "END=25;X=1", "X;END=50"]), st.sampled_from(["END=x", "XEND=7", "END="]))),
        keys,
    ]
    width = draw(st.sampled_from([len(PEOPLE)] * 15 + [len(PEOPLE) - 1, len(PEOPLE) + 1]))
    ending = draw(st.sampled_from([""] * 20 + ["\r"]))
    return "\t".join([*fixed, *(one_cell() for _ in range(width))]).encode() + ending.encode() + b"\n"


def both(made, plan, chunk: bytes):
    """What each engine makes of the chunk."""
    header = parse_header(made.vcf([], PEOPLE))
    region = REGION if len(chunk) % 3 == 0 else None
    layout = layout_of(plan, header, COLUMNS, region)
    return [rewriter(layout, compiled=compiled)(chunk) for compiled in (True, False)]


@pytest.mark.skipif(not native.has_variants, reason="no compiler")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(plan=plans(), chunk=st.lists(lines(), min_size=1, max_size=4).map(b"".join))
def test_both_engines_make_the_same_of_anything(made, plan, chunk):
    compiled, python = both(made, plan, chunk)
    assert compiled == python


SIMPLE = [
    "1 {at} rs1 A C 5 PASS END=7 GT 0/0 0|1 1/1 0/. 1|0",
    "X {at} . ACC A,<DEL> . q10 END=40 GT:DP:AD 0/1:3:1,2,3 0/2:4:1,2,3 . 1/1:5:9,9,9 2|1:.:.",
    "1 {at} . A C,G,T,* . . . GT:GQ 0/4:9 1/2:8 3/3:7 0/0:. 2/1:6",
]


@pytest.mark.skipif(not native.has_variants, reason="no compiler")
def test_no_mutant_crashes_an_engine_or_sets_them_apart(made):
    """Bytes replaced, removed, doubled and cut in otherwise good chunks, from a fixed seed."""
    rng = random.Random(11)
    steps = [{name: STEP_CHOICES[name]} for name in STEP_CHOICES if name != "sites-only"]
    plan = plan_from_steps([*steps, {"format": {"keep": ["GT", "DP", "GQ", "AD"]}}], FILES)
    outcomes = set()
    for round_ in range(600):
        text = "".join("\t".join(line.format(at=rng.randrange(60)).split()) + "\n" for line in SIMPLE * 2).encode()
        chunk = bytearray(text)
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(chunk))
            kind = rng.randrange(4)
            if kind == 0:
                chunk[at] = rng.choice(b"\t\n:/|.,;<>01AC\x00\xff\r9")
            elif kind == 1:
                del chunk[at : at + rng.randrange(1, 9)]
            elif kind == 2:
                chunk[at:at] = chunk[at : at + rng.randrange(1, 40)]
            else:
                chunk[at : at + 4] = b"\t0/1"
        compiled, python = both(made, plan, bytes(chunk) + b"\n")
        assert compiled == python, f"mutant {round_}"
        outcomes.add(compiled.fault)
    assert len(outcomes) >= 8


def test_no_mutant_of_a_compressed_file_crashes_the_reader(made):
    """Only a named error or a whole view comes out; nothing else is raised."""
    import io

    rng = random.Random(12)
    text = made.vcf([line.format(at=at) for at in range(1, 200) for line in SIMPLE], PEOPLE)
    whole = made.bgzip(text, 3000)
    plan = plan_from_steps([], {})
    codes = set()
    for _ in range(400):
        mutant = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(mutant))
            if rng.random() < 0.7:
                mutant[at] = rng.randrange(256)
            else:
                del mutant[at : at + rng.randrange(1, 200)]
        try:
            core_view(
                plan, io.BytesIO(bytes(mutant)), io.BytesIO(), participants={"P3": "c1"}, threads=rng.choice([1, 2])
            )
        except VariantError as error:
            codes.add(error.code)
    assert {"damaged", "truncated", "not_bgzf"} <= codes


def test_the_kernel_is_built_where_there_is_a_compiler():
    if shutil.which("cc") or shutil.which("gcc"):
        assert native.has_variants


@pytest.mark.skipif(not native.has_variants, reason="no compiler")
def test_a_layout_that_does_not_hold_together_is_refused(made):
    good = (b"", b"", b"")
    with pytest.raises(TypeError):
        native._variants.prepare((1, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size"):
        native._variants.prepare(good * 7)


@pytest.mark.skipif(not native.has_variants, reason="no compiler")
def test_the_kernel_asked_for_and_absent_is_an_error(made, monkeypatch):
    monkeypatch.setattr(native, "has_variants", False)
    with pytest.raises(VariantError) as caught:
        made.run(made.vcf([], PEOPLE), {"P1": "c"}, compiled=True)
    assert caught.value.code == "no_kernel"
