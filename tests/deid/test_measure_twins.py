"""The measuring kernels equal their plain-Python twins, on whatever is written in a VCF and on damaged lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid import native
from deid.genomic import THIRD_DEGREE, _Seen, close_pairs, count_block, count_block_in_python, king_robust
from deid.leaks.text import odd_lines, odd_lines_in_python
from deid.needles import Needles

pytestmark = pytest.mark.skipif(not native.has_measure, reason="installed without a compiler")
CALLS = st.sampled_from(
    ["0/0", "0|1", "1/0", "1/1", "./.", ".", "0", "1", "2/1", "0/1/2", "./1", "10/0", "4097/0", "", "/", "0/", "x/0"]
)
HEADS = st.sampled_from(["chr1\t5\t.\tA\tC", "22\t5\t.\tA\tC,G", "chrX\t5\t.\tA\tC", "chr23\t1\t.\tA\tC", "chr1\t5"])
FORMATS = st.sampled_from(["GT", "GT:DP", "DP:GT", "GTX", "GT:DP:GQ"])


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    people = draw(st.integers(2, 3))
    format_ = draw(FORMATS)
    tail = "".join(":7" for _ in format_.split(":")[1:])
    cells = [draw(CALLS) + tail for _ in range(people)]
    end = draw(st.sampled_from(["\n", "\r\n", ""]))
    return ("\t".join([draw(HEADS), "9\tPASS\tAC=1", format_, *cells]) + end).encode()


def counted(count: Any, block: bytes) -> Any:
    seen = _Seen.of([b"a", b"b", b"c"])
    try:
        count(block, seen)
    except ValueError:
        return "refused"
    dosage = seen.dosage[: seen.sites].tolist()
    return seen.records, seen.sites, seen.singles.tolist(), seen.private.tolist(), dosage


@given(st.lists(lines(), max_size=6).map(b"".join))
def test_genotypes_are_counted_alike(block: bytes) -> None:
    assert counted(count_block, block) == counted(count_block_in_python, block)


@given(st.integers(0, 1 << 30), st.integers(200, 400), st.integers(2, 9))
def test_close_pairs_are_those_of_the_matrix(seed: int, sites: int, people: int) -> None:
    dice = np.random.default_rng(seed)
    dosage = dice.integers(-1, 3, (sites, people)).astype(np.int8)
    dosage[:, -1] = dosage[:, 0]
    first, second = close_pairs(dosage)
    kinship = king_robust(dosage.T)
    wanted = {(int(a), int(b)) for a, b in zip(*np.nonzero(np.triu(kinship > THIRD_DEGREE, 1)), strict=True)}
    # Within float32's reach of the border either answer is right.
    unsure = {(int(a), int(b)) for a, b in zip(*np.nonzero(abs(kinship - THIRD_DEGREE) < 1e-4), strict=True)}
    assert (set(zip(first.tolist(), second.tolist(), strict=True)) ^ wanted) <= unsure
    assert (0, people - 1) in wanted


@given(st.lists(st.binary(max_size=12), max_size=14).map(b"\t".join), st.binary(max_size=60))
def test_odd_cells_are_the_same_lines(columns: bytes, more: bytes) -> None:
    block = columns + b"\n" + more + b"\n" + columns
    assert odd_lines(block) == odd_lines_in_python(block)


@given(st.lists(st.text("ab01-", min_size=1, max_size=14), min_size=1, max_size=12), st.text("ab01-\n\t", max_size=120))
def test_needles_are_found_at_the_same_places(values: list[str], text: str) -> None:
    needles = Needles(values)
    data = (text + values[0] + text).encode()
    for index in needles._indexes:
        if index.forms:
            assert sorted(index._places(data)) == sorted(index._places_in_python(data))


def test_without_a_compiler_the_twins_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "has_measure", False)
    block = b"chr1\t5\t.\tA\tC\t9\tPASS\t.\tGT\t0/1\t0/0\t1|1\n"
    assert counted(count_block, block) == (1, 1, [0, 0, 0], [0, 0, 0], [[1, 0, 2]])
    assert odd_lines(block.replace(b"1|1", b"Ann")) == [0]
    assert len(Needles(["HOSP-0001"]).find(b"xx hosp-0001 xx", naming=True)) == 1
