"""Text out of BGZF and into it, by the group: the same bytes as ``deid.bgzf``, with fewer copies.

Blocks are found and inflated where they lie, and written from views into pieces, so that text is copied where a border
of pieces falls and nowhere else. What is wrong with a file is said by ``deid.bgzf``, which reads the bad place again.
Not here: other containers, what the text means.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from deid import bgzf, native
from deid.bgzf import BLOCK, EOF_BLOCK, READ, ContainerError
from deid.variants.stream import Workers, Written

GROUP = 1 << 18
"""Bytes of text per group (about): what is inflated still lies in the cache where it is rewritten."""
PER_GROUP = 8


def is_compiled(compiled: bool | None) -> bool:
    """Whether blocks go through C: unless the twin is asked for, where it is there."""
    return native.has_blocks and compiled is not False


def texts_of(incoming: bgzf.Incoming, workers: Workers, compiled: bool | None = None) -> Iterator[bytes]:
    """The text of a BGZF stream in pieces, each block's checksum proven. Raises ``ContainerError`` with the byte."""
    if not is_compiled(compiled):
        return workers.over(bgzf.inflate_blocks, bgzf.block_groups(incoming))
    return workers.over(_inflate, _groups(incoming))


def write_texts(
    texts: Iterable[bytes], written: Written, workers: Workers, level: int, compiled: bool | None = None
) -> None:
    """Compress into BGZF at libdeflate ``level`` (1 to 12) and write, end-of-file block last."""
    for blocks in blocks_of(texts, workers, level, compiled):
        written.write(blocks)


def blocks_of(texts: Iterable[bytes], workers: Workers, level: int, compiled: bool | None = None) -> Iterator[bytes]:
    """BGZF at libdeflate ``level`` in pieces of some blocks, the end-of-file block last."""
    deflate = bgzf.deflate_blocks if compiled is not False else _one_by_one
    yield from workers.over(partial(_deflated, deflate, level), _cut(texts))
    yield EOF_BLOCK


Group = list[bytes | memoryview]


def _deflated(deflate: Callable[[Group, int], bytes], level: int, group: Group) -> bytes:
    return deflate(group, level)


def _one_by_one(group: Group, level: int) -> bytes:
    return b"".join(bgzf.deflate_block(text, level) for text in group)


def _groups(incoming: bgzf.Incoming) -> Iterator[tuple[bytes, int, int, int, int]]:
    """Data, start, end and text size of whole blocks, and the byte of the file at which the data begin."""
    data, at, offset, last = b"", 0, incoming.offset, b""
    most = min(GROUP, bgzf.GROUP)
    while True:
        end, block, size, bad = native._blocks.scan(data, at, most)
        if end > at:
            last = data[block:end]
        if bad:
            _complain(data[end:], offset + end)
        if size >= most:
            yield data, at, end, size, offset
            at = end
            continue
        more = incoming.take(READ)
        if not more:
            break
        data, offset, at = data[at:] + more, offset + at, 0
    if end < len(data):
        _complain(data[end:], offset + end)
    if last != EOF_BLOCK:
        raise ContainerError("truncated", f"the BGZF end-of-file block is missing at byte {offset + end}")
    yield data, at, end, size, offset


def _inflate(group: tuple[bytes, int, int, int, int]) -> bytes:
    data, start, end, size, offset = group
    made = native._blocks.inflate(data, start, end, size)
    if isinstance(made, int):
        _complain(data[made:end] + EOF_BLOCK, offset + made)
        raise ContainerError("damaged", f"the BGZF block at byte {offset + made} cannot be inflated")
    return made


def _complain(data: bytes, offset: int) -> None:
    """Let the twin say what is wrong with the first block of these."""
    incoming = bgzf.Incoming(io.BytesIO(data))
    incoming.offset = offset
    group = next(bgzf.block_groups(incoming))
    bgzf.inflate_blocks(group[:1])


def _cut(texts: Iterable[bytes]) -> Iterator[Group]:
    """Text cut every ``BLOCK`` bytes, whatever pieces it comes in, copied only where a border of pieces falls."""
    group: Group = []
    parts: list[memoryview] = []
    missing = BLOCK
    for text in texts:
        view = memoryview(text)
        while len(view) >= missing:
            group.append(b"".join((*parts, view[:missing])) if parts else view[:missing])
            view, parts, missing = view[missing:], [], BLOCK
            if len(group) == PER_GROUP:
                yield group
                group = []
        if view:
            parts.append(view)
            missing -= len(view)
    if parts:
        group.append(b"".join(parts))
    if group:
        yield group
