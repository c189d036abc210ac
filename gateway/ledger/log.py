"""Growing the tree on disk by its right edge, and proving things from the tiles.

``integrate`` reads at most one partial bundle and one partial tile per level and writes what changed: the cost follows
the number of new entries, never the size of the log. Doing it twice writes the same bytes twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.errors import LedgerUnavailable
from gateway.ports import LogFiles
from gateway.verifier import merkle, tiles
from gateway.verifier.tiles import WIDTH, Tile


def integrate(files: LogFiles, size: int, entries: Sequence[bytes]) -> tuple[int, bytes]:
    """Append ``entries`` to a log of ``size``: bundles first, then tiles from the leaves up; new size and root."""
    _write_bundles(files, size, entries)
    hashes = [merkle.leaf_hash(entry) for entry in entries]
    edges: list[list[bytes]] = []
    level, start = 0, size
    while start or hashes:
        row = read_hashes(files, _edge(level, start)) + hashes
        first = start // WIDTH
        for index, part in _parts(row, first):
            if hashes:
                files.write(Tile(level=level, index=index, width=len(part)).path, b"".join(part))
        full = len(row) // WIDTH
        hashes = [merkle.perfect_root(row[n * WIDTH : (n + 1) * WIDTH]) for n in range(full)]
        edges.append(row[full * WIDTH :])
        level, start = level + 1, first
    peaks = [peak for edge in reversed(edges) for peak in merkle.peaks(edge)]
    return size + len(entries), merkle.fold(peaks)


def superseded(old_size: int, new_size: int) -> Iterator[str]:
    """Folders of partial tiles whose full tile exists since the log grew from ``old_size`` to ``new_size``."""
    for level in (None, *range(8)):
        shift = 8 * ((level or 0) + 1)
        for index in range(old_size >> shift, new_size >> shift):
            yield Tile(level=level, index=index).partials


class TreeFiles:
    """Hashes and proofs of the tree of ``size`` entries, read from its tiles; each tile is read once."""

    def __init__(self, files: LogFiles, size: int) -> None:
        self._files = files
        self._size = size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def leaf(self, index: int) -> bytes:
        """Leaf hash of entry ``index``."""
        return self._perfect(0, index)

    def root(self) -> bytes:
        """Root of the tree."""
        return self._subtree(0, self._size) if self._size else merkle.EMPTY_ROOT

    def inclusion(self, index: int) -> list[bytes]:
        """Proof that entry ``index`` is in the tree (RFC 6962 section 2.1.1)."""
        path: list[bytes] = []
        start, end = 0, self._size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._subtree(middle, end))
                end = middle
            else:
                path.append(self._subtree(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old_size: int) -> list[bytes]:
        """Proof that the tree of ``old_size`` (at least 1) is a prefix of this one (RFC 6962 section 2.1.2)."""
        path: list[bytes] = []
        start, end = 0, self._size
        while end != old_size:
            middle = start + _split(end - start)
            if old_size <= middle:
                path.append(self._subtree(middle, end))
                end = middle
            else:
                path.append(self._subtree(start, middle))
                start = middle
        if start:
            path.append(self._subtree(start, end))
        return path[::-1]

    def _subtree(self, start: int, end: int) -> bytes:
        width = end - start
        if width & (width - 1) == 0:
            height = width.bit_length() - 1
            return self._perfect(height, start >> height)
        middle = start + _split(width)
        return merkle.node_hash(self._subtree(start, middle), self._subtree(middle, end))

    def _perfect(self, height: int, index: int) -> bytes:
        """Root of the ``index``-th subtree of 2**height entries."""
        level, inner = divmod(height, 8)
        tile_index, first = divmod(index << inner, WIDTH)
        if (level, tile_index) not in self._tiles:
            width = min(WIDTH, (self._size >> (8 * level)) - tile_index * WIDTH)
            self._tiles[level, tile_index] = read_hashes(self._files, Tile(level=level, index=tile_index, width=width))
        return merkle.perfect_root(self._tiles[level, tile_index][first : first + (1 << inner)])


def read_hashes(files: LogFiles, tile: Tile) -> list[bytes]:
    """The hashes of a tile that must be there; from the full tile where the partial one was pruned."""
    if tile.width == 0:
        return []
    full, cut = _read(files, tile)
    width = WIDTH if cut else tile.width
    try:
        return tiles.parse_tile(full, width)[: tile.width]
    except ValueError as error:
        raise LedgerUnavailable(f"ledger file {tile.path}: {error}") from None


def read_entries(files: LogFiles, bundle: Tile) -> list[bytes]:
    """The entries of a bundle that must be there, likewise."""
    if bundle.width == 0:
        return []
    full, cut = _read(files, bundle)
    try:
        return tiles.parse_bundle(full, WIDTH if cut else bundle.width)[: bundle.width]
    except ValueError as error:
        raise LedgerUnavailable(f"ledger file {bundle.path}: {error}") from None


def _read(files: LogFiles, tile: Tile) -> tuple[bytes, bool]:
    data = files.read(tile.path)
    if data is not None:
        return data, False
    full = files.read(Tile(level=tile.level, index=tile.index).path)
    if full is None:
        raise LedgerUnavailable(f"ledger file {tile.path} is missing")
    return full, True


def _write_bundles(files: LogFiles, size: int, entries: Sequence[bytes]) -> None:
    if any(len(entry) > tiles.MAX_ENTRY for entry in entries):
        raise LedgerUnavailable(f"an entry is longer than the {tiles.MAX_ENTRY} bytes a bundle can hold")
    if not entries:
        return
    row = [*read_entries(files, _edge(None, size)), *entries]
    for index, part in _parts(row, size // WIDTH):
        files.write(Tile(level=None, index=index, width=len(part)).path, tiles.encode_bundle(part))


def _edge(level: int | None, count: int) -> Tile:
    """The partial tile at the right edge of a level with ``count`` hashes; width 0 where there is none."""
    return Tile(level=level, index=count // WIDTH, width=count % WIDTH)


def _parts(row: Sequence[bytes], first: int) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Cut a row that begins at tile ``first`` into tiles."""
    for start in range(0, len(row), WIDTH):
        yield first + start // WIDTH, row[start : start + WIDTH]


def _split(width: int) -> int:
    """The largest power of two below ``width``."""
    return 1 << ((width - 1).bit_length() - 1)
