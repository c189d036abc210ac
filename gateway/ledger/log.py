"""Append entries to a tiled log and read it back; only the right edge is touched.

Running the same append twice writes the same bytes, so a crash between any two files is mended by doing it again.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import LedgerUnavailable
from gateway.ports import LogFiles
from gateway.verifier import tiles
from gateway.verifier.merkle import EMPTY_ROOT, fold, leaf_hash, node_hash


def read_tile(files: LogFiles, level: int, n: int, width: int) -> list[bytes]:
    """The hashes of a tile. Raises LedgerUnavailable when the log lacks what its size promises."""
    data = files.read(tiles.tile_path(level, n, width))
    if data is None or len(data) != width * tiles.HASH:
        raise LedgerUnavailable(entry_digest=f"tile {level}/{n}")
    return [data[i : i + tiles.HASH] for i in range(0, len(data), tiles.HASH)]


def read_entries(files: LogFiles, n: int, width: int) -> list[bytes]:
    """The entries of one bundle."""
    data = files.read(tiles.bundle_path(n, width))
    if data is None:
        raise LedgerUnavailable(entry_digest=f"bundle {n}")
    return tiles.unpack(data, width)


def append(files: LogFiles, size: int, entries: Sequence[bytes]) -> int:
    """Write the bundles, then the tiles, of ``entries`` after a log of ``size``; the new size."""
    rest = list(entries)
    at = size
    edge = read_entries(files, at // tiles.WIDTH, at % tiles.WIDTH) if at % tiles.WIDTH else []
    hashes: dict[int, list[bytes]] = {}
    while rest:
        room = tiles.WIDTH - len(edge)
        edge, rest = edge + rest[:room], rest[room:]
        n = at // tiles.WIDTH
        files.write(tiles.bundle_path(n, len(edge)), tiles.pack(edge))
        hashes[n] = [leaf_hash(entry) for entry in edge]
        at = n * tiles.WIDTH + len(edge)
        edge = []
    _write_level(files, 0, hashes)
    return at


def root_of(files: LogFiles, size: int) -> bytes:
    """The root of the first ``size`` entries, read from the right-edge tiles."""
    return _subtree(files, size, 0, size) if size else EMPTY_ROOT


def inclusion_path(files: LogFiles, index: int, size: int) -> list[bytes]:
    """RFC 9162 section 2.1.3.1: sibling hashes, the leaf's first."""
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_subtree(files, size, middle, high))
            high = middle
        else:
            path.append(_subtree(files, size, low, middle))
            low = middle
    return path[::-1]


def _split(width: int) -> int:
    return 1 << (width - 1).bit_length() - 1


def _subtree(files: LogFiles, size: int, low: int, high: int) -> bytes:
    width = high - low
    if width & (width - 1) == 0 and low % width == 0:
        level, bits = divmod(width.bit_length() - 1, 8)
        tile, slot = divmod(low >> 8 * level, tiles.WIDTH)
        hashes = read_tile(files, level, tile, min(tiles.WIDTH, (size >> 8 * level) - tile * tiles.WIDTH))
        return fold(hashes[slot : slot + (1 << bits)])
    middle = low + _split(width)
    return node_hash(_subtree(files, size, low, middle), _subtree(files, size, middle, high))


def _write_level(files: LogFiles, level: int, changed: dict[int, list[bytes]]) -> None:
    above: dict[int, list[bytes]] = {}
    for n, hashes in sorted(changed.items()):
        files.write(tiles.tile_path(level, n, len(hashes)), b"".join(hashes))
        if len(hashes) == tiles.WIDTH:
            parent, slot = divmod(n, tiles.WIDTH)
            if parent not in above:
                above[parent] = read_tile(files, level + 1, parent, slot) if slot else []
            above[parent] = [*above[parent][:slot], fold(hashes)]
    if above:
        _write_level(files, level + 1, above)
