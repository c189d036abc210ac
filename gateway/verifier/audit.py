"""The full audit: every entry hashed, every tile byte recomputed, every file accounted for.

The order: list the files, hash all entry bundles the checkpoint promises, compare the root with the signed one, compare
every tile, then look at what else lies there. Two kinds of other files are legitimate: partial tiles of earlier sizes,
and entries that were written but not yet signed when the copy was made; both must agree with the tree. Anything else is
a stray file. A promised file that is missing is tampering, not doubt: an insider's cheapest forgery is to delete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import merkle, tiles
from .errors import Contradiction, Inconclusive
from .note import MAX_NOTE_BYTES, Checkpoint
from .tiles import WIDTH, Tile

CHECKPOINT = "checkpoint"
VKEY = "log.vkey"
UNFINISHED = ".tmp"
"""Folder of writes that a crash cut short; never evidence."""
END_MARK = b'"type":"log.end"'


class LogFolder:
    """The files of one log, listed once; only regular files count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.paths = frozenset(_walk(folder))

    def read(self, path: str, limit: int = MAX_NOTE_BYTES) -> bytes:
        """A whole file of at most ``limit`` bytes."""
        try:
            with (self._folder / path).open("rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise Inconclusive(path, f"cannot be read ({error.strerror})") from None
        if len(data) > limit:
            raise Contradiction(path, "is longer than its format allows")
        return data

    def entries(self, bundle: Tile) -> list[bytes]:
        """The entries of one bundle."""
        data = self.read(bundle.path, tiles.MAX_BUNDLE)
        try:
            return tiles.parse_bundle(data, bundle.width)
        except ValueError as error:
            raise Contradiction(bundle.path, str(error)) from None

    def hashes(self, tile: Tile) -> list[bytes]:
        """The hashes of one tile."""
        data = self.read(tile.path, WIDTH * merkle.HASH_SIZE)
        try:
            return tiles.parse_tile(data, tile.width)
        except ValueError as error:
            raise Contradiction(tile.path, str(error)) from None


@dataclass(slots=True)
class Tree:
    """``levels[n]`` are the roots of all complete subtrees of 256**n entries, from left to right."""

    levels: list[list[bytes]]

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.levels[0])

    def append(self, hashes: Iterable[bytes]) -> None:
        """Add leaf hashes at the right."""
        self.levels[0].extend(hashes)
        level = 0
        while len(self.levels[level]) >= WIDTH:
            if level + 1 == len(self.levels):
                self.levels.append([])
            row, above = self.levels[level], self.levels[level + 1]
            for start in range(len(above) * WIDTH, len(row) - WIDTH + 1, WIDTH):
                above.append(merkle.perfect_root(row[start : start + WIDTH]))
            level += 1

    def root(self, size: int) -> bytes:
        """Root of the first ``size`` entries."""
        from_left: list[bytes] = []
        for level in range(len(self.levels) - 1, -1, -1):
            hashes = size >> (8 * level)
            from_left += merkle.peaks(self.levels[level][hashes - hashes % WIDTH : hashes])
        return merkle.fold(from_left)

    def expected(self, tile: Tile) -> list[bytes]:
        """What the tile must hold as far as this tree reaches; for a bundle, its leaf hashes."""
        level = tile.level or 0
        return self.levels[level][tile.first : tile.first + tile.width] if level < len(self.levels) else []


def audit(folder: LogFolder, checkpoint: Checkpoint, known: frozenset[str] = frozenset()) -> tuple[Tree, int]:
    """The tree the checkpoint signs, and how many further entries lie there unsigned; raises a ``Finding``.

    ``known`` files were checked by whoever calls and are no part of the tree.
    """
    for tile in tiles.promised_tiles(checkpoint.size):
        if tile.path not in folder.paths:
            raise Contradiction(tile.path, "is missing, although the checkpoint promises it")
    tree = Tree(levels=[[]])
    for bundle in tiles.level_tiles(None, checkpoint.size):
        entries = folder.entries(bundle)
        _need_no_end(entries, bundle, checkpoint.size)
        tree.append(map(merkle.leaf_hash, entries))
    if tree.root(checkpoint.size) != checkpoint.root:
        raise _blame(folder, tree, checkpoint)
    _extend(folder, tree)
    for path in sorted(folder.paths - {CHECKPOINT, VKEY} - known):
        _compare(folder, tree, path)
    return tree, tree.size - checkpoint.size


def _blame(folder: LogFolder, tree: Tree, checkpoint: Checkpoint) -> Contradiction:
    """The entries do not give the signed root: the place where they part from the tiles, or else the checkpoint."""
    for tile in tiles.promised_tiles(checkpoint.size):
        if tile.level is None:
            continue
        expected, found = tree.expected(tile), folder.hashes(tile)
        if found == expected:
            continue
        number = next(n for n, (one, other) in enumerate(zip(expected, found, strict=True)) if one != other)
        if tile.level == 0:
            bundle = Tile(level=None, index=tile.index, width=tile.width)
            return Contradiction(
                bundle.path, f"entry {tile.first + number} is not the one in {tile.path}, nor under the signed root"
            )
        return Contradiction(tile.path, f"hash {number} is not the root of the tile below")
    return Contradiction(CHECKPOINT, "the signed root is not the root of the entries")


def _need_no_end(entries: Sequence[bytes], bundle: Tile, size: int) -> None:
    """A closing entry is the last one: whoever has an ended log's key still cannot make it longer."""
    for number, entry in enumerate(entries, start=bundle.first):
        if number + 1 != size and END_MARK in entry and is_end(entry):
            raise Contradiction(bundle.path, f"entry {number} ends the log, and others follow it")


def is_end(entry: bytes) -> bool:
    """Whether that is a log's closing entry."""
    try:
        return bool(json.loads(entry)["type"] == "log.end")
    except (ValueError, KeyError, TypeError):
        return False


def _extend(folder: LogFolder, tree: Tree) -> None:
    """Take in entries beyond the signed size: a copy made between two checkpoints has them."""
    while (bundle := _widest(folder, tree.size // WIDTH)) is not None and bundle.first + bundle.width > tree.size:
        entries = folder.entries(bundle)
        _need_no_end(entries, bundle, bundle.first + len(entries))
        hashes = [merkle.leaf_hash(entry) for entry in entries]
        known = tree.size - bundle.first
        if hashes[:known] != tree.levels[0][bundle.first :]:
            raise Contradiction(bundle.path, "does not continue the signed entries")
        tree.append(hashes[known:])


def _widest(folder: LogFolder, index: int) -> Tile | None:
    for width in range(WIDTH, 0, -1):
        bundle = Tile(level=None, index=index, width=width)
        if bundle.path in folder.paths:
            return bundle
    return None


def _compare(folder: LogFolder, tree: Tree, path: str) -> None:
    """One file of the folder holds exactly what the tree says."""
    if path.startswith(f"{UNFINISHED}/"):
        return
    try:
        tile = tiles.parse_path(path)
    except ValueError:
        raise Contradiction(path, "does not belong to a log") from None
    expected = tree.expected(tile)
    if len(expected) < tile.width:
        raise Contradiction(path, "lies beyond the end of the log")
    if tile.level is not None:
        found = folder.hashes(tile)
    elif tile.first + tile.width == tree.size or tile.width == WIDTH:
        return  # hashed already: the tree was built from this very file
    else:
        found = [merkle.leaf_hash(entry) for entry in folder.entries(tile)]
    if found != expected:
        number = next(n for n, (one, other) in enumerate(zip(expected, found, strict=True)) if one != other)
        raise Contradiction(path, f"hash {number} does not match the entries under the signed root")


def _walk(folder: Path) -> Iterable[str]:
    """Paths of all regular files; a link or a device has no place in a log."""
    for parent, folders, files in os.walk(folder, onerror=_unreadable):
        for name in [*folders, *files]:
            path = Path(parent) / name
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise Contradiction(relative, "is neither a file nor a folder")
        for name in files:
            yield (Path(parent) / name).relative_to(folder).as_posix()


def _unreadable(error: OSError) -> None:
    raise Inconclusive("log folder", f"cannot be listed ({error.strerror})")
