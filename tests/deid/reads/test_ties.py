"""Reads of one place in the order of their new names, by kernel and twin and by sorting everything at once."""

from __future__ import annotations

import random
import struct

import pytest

from deid import native
from deid.reads import ReadsError
from deid.reads.ties import ties_by_name

NAME = slice(36, 50)


def record(dice: random.Random, at: int) -> bytes:
    body = (
        struct.pack("<ii", 0, at)
        + bytes(24)
        + bytes(dice.choices(b"ABC", k=14))
        + b"\0"
        + dice.randbytes(dice.randrange(9))
    )
    return struct.pack("<I", len(body)) + body


def file_of(seed: int, depths: list[int]) -> list[bytes]:
    dice = random.Random(seed)
    return [record(dice, at) for at, depth in enumerate(depths) for _ in range(depth)]


def cut(seed: int, records: list[bytes]) -> list[bytes]:
    """Whole records in texts of some, or none."""
    dice, texts, at = random.Random(seed), [], 0
    while at < len(records):
        more = dice.choice([0, 1, 2, 7, 40])
        texts.append(b"".join(records[at : at + more]))
        at += more
    return texts


@pytest.mark.parametrize("seed", range(6))
def test_ties_are_sorted_however_the_text_comes(compiled, seed):
    records = file_of(seed, random.Random(seed).choices([0, 1, 1, 2, 5, 90], k=40))
    expected = b"".join(sorted(records, key=lambda one: (struct.unpack_from("<i", one, 8), one[NAME], one[4:])))
    assert b"".join(ties_by_name(cut(seed, records), compiled=compiled)) == expected
    assert b"".join(ties_by_name([], compiled=compiled)) == b""


@pytest.mark.parametrize("most", [1, 7, 64, 1000])
def test_a_deep_place_is_ordered_by_the_group_of_so_many(compiled, monkeypatch, most):
    monkeypatch.setattr("deid.reads.ties.MOST", most)
    records = file_of(8, [3, 500, 1, 128])
    groups: list[list[bytes]] = [[]]
    for one in records:
        if groups[-1] and (groups[-1][0][4:12] != one[4:12] or len(groups[-1]) == most):
            groups.append([])
        groups[-1].append(one)
    expected = b"".join(one for group in groups for one in sorted(group, key=lambda one: (one[NAME], one[4:])))
    assert b"".join(ties_by_name(cut(9, records), compiled=compiled)) == expected


@pytest.mark.skipif(not native.has_reads, reason="no compiler")
@pytest.mark.parametrize(
    "text", [b"abc", bytes(4), struct.pack("<I", 99) + bytes(98), struct.pack("<I", 45) + bytes(45)]
)
def test_the_kernel_takes_whole_records_and_nothing_else(text):
    assert native._reads.one_run(text) == 0
    with pytest.raises(ValueError, match="whole"):
        native._reads.ties(text, 5)
    with pytest.raises(ValueError, match="one read"):
        native._reads.ties(b"", 0)


def test_an_engine_that_is_not_there_is_not_asked_for(monkeypatch):
    monkeypatch.setattr("deid.native.has_reads", False)
    with pytest.raises(ReadsError) as caught:
        ties_by_name([], compiled=True)
    assert caught.value.code == "no_kernel"
