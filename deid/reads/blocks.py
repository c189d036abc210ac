"""Text out of BGZF and into it for reads and FASTQ: ``deid.bgzf`` by groups that still lie in the cache when rewritten.

Not here: how blocks are found, proven and inflated (``deid.bgzf``), other containers, what the text means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from deid import bgzf
from deid.bgzf import EOF_BLOCK
from deid.variants.stream import Workers, Written

GROUP = 1 << 18
"""Bytes of text per group (about): what is inflated still lies in the cache where it is rewritten."""
PER_GROUP = 8


def texts_of(incoming: bgzf.Incoming, workers: Workers, compiled: bool | None = None) -> Iterator[bytes]:
    """The text of a BGZF stream in pieces, each block's checksum proven. Raises ``ContainerError`` with the byte."""
    groups = bgzf.block_groups(incoming, GROUP, compiled=compiled)
    return workers.over(partial(bgzf.inflate_blocks, compiled=compiled), groups)


def write_texts(
    texts: Iterable[bytes], written: Written, workers: Workers, level: int, compiled: bool | None = None
) -> None:
    """Compress into BGZF at libdeflate ``level`` (1 to 12) and write, end-of-file block last."""
    for blocks in blocks_of(texts, workers, level, compiled):
        written.write(blocks)


def blocks_of(texts: Iterable[bytes], workers: Workers, level: int, compiled: bool | None = None) -> Iterator[bytes]:
    """BGZF at libdeflate ``level`` in pieces of some blocks, the end-of-file block last."""
    deflated = partial(bgzf.deflate_blocks, level=level, compiled=compiled)
    yield from workers.over(deflated, bgzf.cut_blocks(texts, PER_GROUP))
    yield EOF_BLOCK
