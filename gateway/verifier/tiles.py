"""Where a log keeps its hashes and entries: C2SP tlog-tiles, paths relative to the log's folder.

A tile is up to 256 hashes of one level; level 0 holds leaf hashes, each hash above is the root of one full tile below.
An entry bundle is up to 256 entries, each behind its length in two big-endian bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .merkle import HASH_SIZE

WIDTH = 256
MAX_ENTRY = 0xFFFF
MAX_BUNDLE = WIDTH * (2 + MAX_ENTRY)
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9]|[1-5][0-9]|6[0-3])/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """``width`` hashes of ``level`` from number 256 * ``index``; level None means entries."""

    level: int | None
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """``tile/<L>/<N>[.p/<W>]`` (tlog-tiles, "Merkle Tree" and "Log entries")."""
        suffix = "" if self.width == WIDTH else f".p/{self.width}"
        return f"{self._stem}{suffix}"

    @property
    def partials(self) -> str:
        """The folder that holds the partial versions of this tile."""
        return f"{self._stem}.p"

    @property
    def first(self) -> int:
        """Number of its first hash within its level."""
        return self.index * WIDTH

    @property
    def _stem(self) -> str:
        level = "entries" if self.level is None else str(self.level)
        return f"tile/{level}/{encode_index(self.index)}"


def encode_index(index: int) -> str:
    """1234067 becomes ``x001/x234/067``."""
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03}")
    return "/".join(reversed(groups))


def parse_path(path: str) -> Tile:
    """The tile a path names; only the one canonical spelling is taken."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError("not a path of this format")
    level = None if match["level"] == "entries" else int(match["level"])
    index = int(match["index"].replace("x", "").replace("/", ""))
    tile = Tile(level=level, index=index, width=int(match["width"] or WIDTH))
    if tile.width > WIDTH or tile.path != path:
        raise ValueError("not the canonical path of its tile")
    return tile


def level_tiles(level: int | None, size: int) -> Iterator[Tile]:
    """The tiles of one level in a tree of ``size`` entries, the last one partial where it is."""
    hashes = size >> (8 * (level or 0))
    for index in range(hashes // WIDTH):
        yield Tile(level=level, index=index)
    if hashes % WIDTH:
        yield Tile(level=level, index=hashes // WIDTH, width=hashes % WIDTH)


def promised_tiles(size: int) -> Iterator[Tile]:
    """Every bundle and tile that a checkpoint of ``size`` promises."""
    yield from level_tiles(None, size)
    level = 0
    while size >> (8 * level):
        yield from level_tiles(level, size)
        level += 1


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries one after the other, each behind its length."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """Exactly ``width`` entries and no byte more."""
    entries: list[bytes] = []
    position = 0
    while position < len(data):
        end = position + 2 + int.from_bytes(data[position : position + 2], "big")
        if end > len(data) or len(data) - position < 2:
            raise ValueError(f"entry {len(entries)} of the bundle is cut short")
        entries.append(data[position + 2 : end])
        position = end
    if len(entries) != width:
        raise ValueError(f"the bundle holds {len(entries)} entries instead of {width}")
    return entries


def parse_tile(data: bytes, width: int) -> list[bytes]:
    """Exactly ``width`` hashes and no byte more."""
    if len(data) != width * HASH_SIZE:
        raise ValueError(f"the tile is {len(data)} bytes long instead of {width * HASH_SIZE}")
    return [data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE)]
