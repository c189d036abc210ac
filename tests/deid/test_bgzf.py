"""BGZF groups: the kernel and the package's own functions give the same bytes and the same refusals."""

from __future__ import annotations

import gzip
import io
import random
import threading

import pytest

from deid import bgzf

needs_kernel = pytest.mark.skipif(not bgzf.has_kernel, reason="no compiler, or a package that shows no functions")


def texts(seed: int) -> list[bytes]:
    rng = random.Random(seed)
    sizes = [0, 1, 2, 100, 5000, bgzf.BLOCK - 1, bgzf.BLOCK]
    made = [bytes(rng.choices(b"ACGT\t\n01", k=size)) for size in sizes]
    return [*made, rng.randbytes(bgzf.BLOCK), rng.randbytes(40), bytes(bgzf.BLOCK)]


def inflated(data: bytes) -> bytes:
    groups = bgzf.block_groups(bgzf.Incoming(io.BytesIO(data + bgzf.EOF_BLOCK)))
    return b"".join(bgzf.inflate_blocks(group) for group in groups)


@needs_kernel
@pytest.mark.parametrize("level", range(1, 13))
def test_a_group_deflated_by_the_kernel_is_the_blocks_deflated_one_by_one(level, monkeypatch):
    made = bgzf.deflate_blocks(texts(level), level)
    monkeypatch.setattr(bgzf, "has_kernel", False)
    assert made == bgzf.deflate_blocks(texts(level), level)
    assert gzip.decompress(made) == b"".join(texts(level))


def test_text_that_does_not_shrink_is_stored_in_a_block_that_is_not_too_long():
    block = bgzf.deflate_blocks([random.Random(1).randbytes(bgzf.BLOCK)], 1)
    assert len(block) <= bgzf.MAX_BLOCK
    assert gzip.decompress(block) == random.Random(1).randbytes(bgzf.BLOCK)


@needs_kernel
def test_both_ways_inflate_alike_and_refuse_alike_whatever_byte_is_changed(monkeypatch):
    rng = random.Random(3)
    whole = bgzf.deflate_blocks([bytes(rng.choices(b"ACGT", k=300)) for _ in range(4)], 6)
    outcomes = set()
    for _ in range(2000):
        mutant = bytearray(whole)
        mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        said = []
        for kernel in (True, False):
            monkeypatch.setattr(bgzf, "has_kernel", kernel)
            try:
                said.append(inflated(bytes(mutant)))
            except bgzf.ContainerError as error:
                said.append(str(error).encode())
        assert said[0] == said[1]
        outcomes.add(said[0][:40])
    assert any(b"checksum" in outcome for outcome in outcomes)
    assert len(outcomes) > 10


BLOCK = bgzf.deflate_block(b"ACGT" * 20, 6)
WHOLE = BLOCK + bgzf.EOF_BLOCK


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (BLOCK, "truncated", f"the BGZF end-of-file block is missing at byte {len(BLOCK)}"),
        (BLOCK[:30], "truncated", "the BGZF block at byte 0 is cut short"),
        (WHOLE + b"\x1f", "truncated", f"the stream ends inside a BGZF block header at byte {len(WHOLE)}"),
        (WHOLE + BLOCK[:20], "truncated", f"the BGZF block at byte {len(WHOLE)} is cut short"),
        (WHOLE + b"LiMing, and more", "not_bgzf", f"no BGZF block starts at byte {len(WHOLE)}"),
        (BLOCK[:12] + b"AB" + WHOLE[14:], "not_bgzf", "the block at byte 0 carries no valid BGZF size"),
        (BLOCK[:-1] + b"\1" + bgzf.EOF_BLOCK, "not_bgzf", "the BGZF block at byte 0 claims more than 64 KiB of text"),
    ],
    ids=["no end", "cut short", "one byte behind", "half a block behind", "text behind", "no size", "too much text"],
)
def test_what_is_cut_or_lies_behind_the_end_is_named_by_its_byte(data, code, words, compiled):
    with pytest.raises(bgzf.ContainerError) as caught:
        list(bgzf.block_groups(bgzf.Incoming(io.BytesIO(data)), compiled=compiled))
    assert (caught.value.code, str(caught.value)) == (code, words)


@needs_kernel
def test_the_kernel_refuses_what_is_no_block_and_what_is_too_long():
    native = bgzf.native._bgzf
    whole = bgzf.deflate_block(b"ACGT", 6)
    for start, end, size in ((-1, len(whole), 4), (0, len(whole) + 1, 4), (9, 8, 4), (0, len(whole), -1)):
        with pytest.raises(ValueError):
            native.inflate(whole, start, end, size)
    assert native.inflate(whole, 0, len(whole), 4) == b"ACGT"
    for size in (3, 5):
        assert native.inflate(whole, 0, len(whole), size) in (0, len(whole)), "a size that is not the blocks' own"
    for start in (-1, len(whole) + 1):
        assert native.scan(whole, start, 1) == (len(whole), len(whole), 0, 0)
    with pytest.raises(ValueError):
        native.deflate([bytes(bgzf.BLOCK + 1)], 6)
    for level in (0, 13):
        with pytest.raises(ValueError):
            native.deflate([b"x"], level)
    assert native.connect("/nowhere/at/all.so") is False


@needs_kernel
def test_threads_share_the_kept_compressors_without_mixing_their_bytes():
    wanted = {seed: bgzf.deflate_blocks(texts(seed), 6) for seed in range(4)}
    wrong = []

    def work(seed: int) -> None:
        for _ in range(5):
            made = bgzf.deflate_blocks(texts(seed), 6)
            if made != wanted[seed] or inflated(made) != b"".join(texts(seed)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def hammer(count: int) -> None:
    """Groups deflated, damaged and inflated; for a kernel built to notice a byte read or written out of place."""
    rng = random.Random(5)
    for seed in range(count):
        whole = bytearray(bgzf.deflate_blocks(texts(seed)[: 1 + seed % 10], 1 + seed % 12))
        for _ in range(seed % 3):
            whole[rng.randrange(len(whole))] = rng.randrange(256)
        try:
            inflated(bytes(whole))
        except bgzf.ContainerError:
            continue


def test_groups_damaged_at_random_are_refused_or_read() -> None:
    hammer(60)
