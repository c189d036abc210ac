"""Lines out of parts: each once, whole and in order, wherever the parts are cut and whoever works on them."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from deid.bgzf import BLOCK, cut_blocks
from deid.variants import VariantError
from deid.variants.stream import Opened, Workers, over_lines


def worked(rest: bytes, parts: list[bytes], threads: int = 1) -> list[bytes]:
    workers = Workers(threads)
    try:
        return list(over_lines(bytes, rest, Opened(first=b"", parts=iter(parts)), workers))
    finally:
        workers.close()


@pytest.mark.parametrize("threads", [1, 3])
def test_every_line_is_worked_on_once_and_in_order_wherever_the_parts_are_cut(threads):
    rng = random.Random(4)
    for _ in range(200):
        text = b"".join(b"%d" % number * rng.choice((0, 1, 9)) + b"\n" for number in range(rng.randrange(1, 40)))
        cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randrange(12)))
        first, *parts = [text[start:end] for start, end in pairwise((0, *cuts, len(text)))]
        chunks = worked(first, parts, threads)
        assert b"".join(chunks) == text
        assert all(chunk.endswith(b"\n") for chunk in chunks)


def test_a_line_without_end_or_of_any_length_is_refused(monkeypatch):
    monkeypatch.setattr("deid.variants.stream.MAX_LINE", 10)
    assert worked(b"", [b"12345", b"67890", b"\n"]) == [b"1234567890\n"]
    for parts, code in (([b"12345", b"678901", b"\n"], "line_too_long"), ([b"1\n", b"2"], "truncated")):
        with pytest.raises(VariantError) as caught:
            worked(b"", parts)
        assert caught.value.code == code


def test_text_is_cut_at_the_same_places_in_whatever_pieces_it_comes():
    rng = random.Random(6)
    text = rng.randbytes(3 * BLOCK + 17)
    for sizes in ([len(text)], [1 << 16], [BLOCK], [70_000, 1, 999], [BLOCK - 1, 1, 2 * BLOCK]):
        pieces, at = [], 0
        while at < len(text):
            pieces.append(text[at : at + (size := rng.choice(sizes))])
            at += size
        cut = [bytes(block) for group in cut_blocks(pieces, 2) for block in group]
        assert cut == [text[at : at + BLOCK] for at in range(0, len(text), BLOCK)]
