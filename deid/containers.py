"""Open a gzip stream member by member and say what its headers hold, reading in bounded pieces (RFC 1952).

BGZF is gzip with a ``BC`` extra field; plain gzip writers put the original file name and the time of writing into
the header, and bytes after the last member are shown by no tool.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from deid.errors import LeakCheckError

PIECE = 1 << 18
MOST = 1 << 23  # bytes inflated at once
_MAX_HEADER = 1 << 17
Note = Callable[[str, bytes], None]


class Readable(Protocol):
    """All that is asked of a stream."""

    def read(self, size: int = ..., /) -> bytes: ...


def pieces(stream: Readable) -> Iterator[bytes]:
    """The stream in pieces of 256 KiB."""
    while piece := stream.read(PIECE):
        yield piece


def aligned(blocks: Iterable[bytes], longest: int = 1 << 25) -> Iterator[bytes]:
    """The same bytes cut after line ends, so that a value on one line is never cut; absurd lines overlap by 4 KiB."""
    rest = b""
    for block in blocks:
        rest += block
        cut = rest.rfind(b"\n") + 1
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > longest:
            yield rest
            rest = rest[-4096:]
    if rest:
        yield rest


def inflate(blocks: Iterator[bytes], note: Note, name: str) -> Iterator[bytes]:
    """Decompressed bytes; ``note(field, value)`` gets FNAME, FCOMMENT, FEXTRA, MTIME and trailing bytes.

    Raises LeakCheckError when a member is cut short or damaged.
    """
    held = bytearray()
    more = True
    while True:
        header = _header(held, note)
        while header is None:
            piece = next(blocks, b"")
            if not piece or len(held) > _MAX_HEADER:
                raise LeakCheckError(f"{name}: a gzip header is cut short or absurdly long")
            held += piece
            header = _header(held, note)
        body = zlib.decompressobj(-15)
        data = bytes(held[header:])
        try:
            while not body.eof:
                if not data and not (data := next(blocks, b"")):
                    raise LeakCheckError(f"{name}: the gzip stream is cut short")
                yield body.decompress(data, MOST)
                data = body.unconsumed_tail
        except zlib.error:
            raise LeakCheckError(f"{name}: the gzip stream is damaged") from None
        held = bytearray(body.unused_data)
        while len(held) < 8 + 2 and more:
            piece = next(blocks, b"")
            more = bool(piece)
            held += piece
        if len(held) < 8:
            raise LeakCheckError(f"{name}: the gzip stream is cut short")
        del held[:8]
        if not held:
            return
        if held[:2] != b"\x1f\x8b":
            note("trailing", bytes(held[:PIECE]))
            for _ in blocks:  # the raw search sees them
                pass
            return


def _header(held: bytearray, note: Note) -> int | None:
    """Length of the member header, its fields noted; None when more bytes are needed."""
    if len(held) < 18:
        return None
    flags, at = held[3], 10
    found: list[tuple[str, bytes]] = []
    if any(held[4:8]):
        found.append(("MTIME", bytes(held[4:8])))
    if flags & 4:
        extra = held[at + 2 : at + 2 + int.from_bytes(held[at : at + 2], "little")]
        at += 2 + int.from_bytes(held[at : at + 2], "little")
        if not (len(extra) == 6 and extra[:2] == b"BC"):
            found.append(("FEXTRA", bytes(extra)))
    for bit, field in ((8, "FNAME"), (16, "FCOMMENT")):
        if flags & bit:
            end = held.find(0, at)
            if end < 0:
                return None
            found.append((field, bytes(held[at:end])))
            at = end + 1
    at += 2 if flags & 2 else 0
    if len(held) < at:
        return None
    for field, value in found:
        note(field, value)
    return at
