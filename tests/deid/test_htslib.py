"""A converter between two pipes: whatever goes wrong on either side has a name, and nothing is left running."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from deid.errors import DeidError, LeakCheckError
from deid.htslib import filtered
from deid.leakcheck import Search
from deid.leaks import cram
from deid.needles import Needles
from deid.reads import ReadsError
from deid.variants import bcf

MUCH = [b"x" * 100_000] * 40
"""More than a pipe holds."""


def whole(source: BinaryIO, sink: BinaryIO) -> None:
    while piece := source.read(1 << 16):
        sink.write(piece)


def a_part(source: BinaryIO, sink: BinaryIO) -> None:
    sink.write(source.read(10))


def fails(source: BinaryIO, sink: BinaryIO) -> None:
    a_part(source, sink)
    raise ReadsError("bad_cram", "of its own")


def breaks_off() -> Iterator[bytes]:
    yield from MUCH
    raise ReadsError("truncated", "the cause")


def test_what_is_read_to_its_end_comes_out_whole() -> None:
    assert b"".join(filtered(MUCH, whole)) == b"".join(MUCH)
    assert b"".join(filtered([], whole)) == b""


def test_a_converter_that_ends_early_is_a_named_error_and_no_short_file() -> None:
    with pytest.raises(DeidError) as caught:
        list(filtered(MUCH, a_part))
    assert caught.value.code == "ended_early"


@pytest.mark.parametrize(("pieces", "convert", "code"), [(MUCH, fails, "bad_cram"), (breaks_off, whole, "truncated")])
def test_the_cause_is_told_and_not_what_follows_from_it(pieces: object, convert: object, code: str) -> None:
    given = pieces() if callable(pieces) else pieces
    with pytest.raises(ReadsError) as caught:
        list(filtered(given, convert))  # type: ignore[arg-type]
    assert caught.value.code == code


def test_who_reads_no_further_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    flow = filtered(MUCH, whole)
    next(flow)
    flow.close()  # type: ignore[attr-defined]
    for _ in range(200):
        if threading.active_count() == before:
            return
        time.sleep(0.01)
    raise AssertionError("a thread still waits for a pipe that nobody reads")


def test_no_variants_of_half_a_bcf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bcf, "_decode", a_part)
    monkeypatch.setattr(bcf, "bounded", lambda pieces: pieces)
    with pytest.raises(DeidError) as caught:
        list(bcf.bcf_to_text(MUCH))
    assert caught.value.code == "ended_early"


def test_a_cram_that_was_not_searched_to_its_end_is_not_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cram, "_decode", a_part)
    monkeypatch.setattr(cram, "_walked", lambda _, blocks: blocks)
    with pytest.raises(LeakCheckError):
        cram.search_cram(Search(name="f", needles=Needles(["LiMing"]), show_values=False), MUCH)
