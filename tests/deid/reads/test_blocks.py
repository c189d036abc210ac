"""Blocks by the group: the same bytes and the same words as the twin, however the text comes and whatever is broken."""

from __future__ import annotations

import io
import random

import pytest

from deid import bgzf
from deid.reads.blocks import blocks_of, texts_of
from deid.variants.stream import Workers

pytestmark = pytest.mark.skipif(not bgzf.has_kernel, reason="no compiler")
RNG = random.Random(1)
TEXTS = {
    "nothing": b"",
    "one byte": b"A",
    "one block to the last byte": b"ACGT" * (bgzf.BLOCK // 4),
    "one byte more": b"ACGT" * (bgzf.BLOCK // 4) + b"A",
    "what does not shrink": RNG.randbytes(200_000),
    "many blocks": b"".join(b"%d\n" % RNG.randrange(999) for _ in range(400_000)),
}


def packed(text: bytes, sizes: list[int], level: int, compiled: bool) -> bytes:
    pieces, at = [], 0
    while at < len(text):
        size = RNG.choice(sizes)
        pieces.append(text[at : at + size])
        at += size
    return b"".join(blocks_of(pieces, Workers(1), level, compiled))


@pytest.mark.parametrize("level", [1, 6, 7, 12])
@pytest.mark.parametrize("case", TEXTS)
def test_the_bytes_written_depend_on_the_text_and_the_level_alone(case, level):
    text = TEXTS[case][: 300_000 if level == 12 else None]
    made = {packed(text, sizes, level, engine) for sizes in ([1 << 22], [70_000, 3], [999]) for engine in (True, False)}
    assert len(made) == 1
    read = {
        b"".join(texts_of(bgzf.Incoming(io.BytesIO(data)), Workers(1), engine))
        for data in made
        for engine in (True, False)
    }
    assert read == {text}


def said(data: bytes, compiled: bool) -> str:
    try:
        return f"{sum(map(len, texts_of(bgzf.Incoming(io.BytesIO(data)), Workers(1), compiled)))} bytes"
    except bgzf.ContainerError as error:
        return f"{error.code}: {error}"


def test_what_is_broken_is_said_alike_and_names_the_byte(monkeypatch):
    """Every byte of a small file of several blocks changed, and the file cut at every byte."""
    data = (
        b"".join(bgzf.deflate_block(text, 6) for text in (b"ACGT" * 20, b"", b"second", b"third" * 9)) + bgzf.EOF_BLOCK
    )
    changed = [data[:at] + bytes([data[at] ^ RNG.randrange(1, 256)]) + data[at + 1 :] for at in range(len(data))]
    cut = [data[:at] for at in range(len(data))]
    for group in (1 << 20, 50):
        monkeypatch.setattr("deid.bgzf.GROUP", group)
        for broken in (*changed, *cut, data + b"\x1f", data + data):
            assert said(broken, True) == said(broken, False)
    assert all(": " in said(broken, True) for broken in cut)  # an error each time, at least the missing end
