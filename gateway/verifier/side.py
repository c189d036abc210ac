"""The side root: the same entries under a second Merkle tree, over SM3 (GB/T 32905), signed with SM2 (GB/T 32918.2).

For assessments of commercial cryptography (GB/T 39786); the log itself is the tree over SHA-256 and does not need it.
Leaf = SM3(0x00 || entry), node = SM3(0x01 || left || right), split as in RFC 6962. ``checkpoint.sm3`` is a signed note
with the text of a checkpoint of ``<origin>/sm3``, as an extension line the SM2 key, and one SM2 line: one file, so that
no crash leaves half of it. It may lag behind the checkpoint, never contradict it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

from cryptography.exceptions import UnsupportedAlgorithm

from . import sm2
from .audit import LogFolder
from .errors import Contradiction, Inconclusive
from .further import Sm2Key, parse_sm2_key, verify_sm2_line
from .note import Checkpoint, checkpoint_text, parse_note, read_checkpoint_text
from .tiles import WIDTH, Tile

SIDE = "checkpoint.sm3"
Peaks = list[tuple[int, bytes]]


class SideTree:
    """A tree over SM3 that grows at the right; ``peaks`` are its perfect subtrees with their heights."""

    def __init__(self, size: int = 0, peaks: Iterable[tuple[int, bytes]] = ()) -> None:
        self.size, self.peaks = size, list(peaks)

    def push(self, entry: bytes) -> None:
        """Add one entry."""
        value, height = sm2.sm3(b"\x00" + entry), 0
        while self.peaks and self.peaks[-1][0] == height:
            value, height = sm2.sm3(b"\x01" + self.peaks.pop()[1] + value), height + 1
        self.peaks.append((height, value))
        self.size += 1

    def root(self) -> bytes:
        """Root over all entries; of none, SM3 of nothing."""
        if not self.peaks:
            return sm2.sm3(b"")
        value = self.peaks[-1][1]
        for _, left in reversed(self.peaks[:-1]):
            value = sm2.sm3(b"\x01" + left + value)
        return value


def side_text(key: Sm2Key, *, size: int, root: bytes) -> bytes:
    """What ``key`` signs."""
    return checkpoint_text(origin=f"{key.name}/sm3", size=size, root=root) + f"{key}\n".encode()


def read_side(data: bytes) -> tuple[Checkpoint, Sm2Key]:
    """A side root and the key that it names and that signed it, and nobody else; ``ValueError`` where it did not."""
    note = parse_note(data)
    if len(note.signatures) != 1:
        raise ValueError("a side root has one signature")
    found = read_checkpoint_text(note.text)
    key = parse_sm2_key(note.text.decode().split("\n")[3])
    if note.text != side_text(key, size=found.size, root=found.root):
        raise ValueError("the side root is of another log than its key")
    verify_sm2_line(data, key)
    return found, key


def check_side(files: LogFolder, origin: str, size: int) -> int | None:
    """The size that the side root covers, computed again from the entries; None where there is none.

    ``size`` entries lie in the folder. Its key is the one it names, on trust like ``log.vkey``.
    """
    if SIDE not in files.paths:
        return None
    try:
        found, key = read_side(files.read(SIDE))
    except ValueError as error:
        raise Contradiction(SIDE, str(error)) from None
    except UnsupportedAlgorithm:
        raise Inconclusive(SIDE, "needs SM3, which this build of the cryptography package does not have") from None
    if key.name != origin:
        raise Contradiction(SIDE, "is of another log")
    if found.size > size:
        raise Contradiction(SIDE, f"signs {found.size} entries, but the log has {size}")
    if _side_root(files, found.size, size) != found.root:
        raise Contradiction(SIDE, f"signs {base64.b64encode(found.root).decode()}, which the entries do not give")
    return found.size


def _side_root(files: LogFolder, wanted: int, size: int) -> bytes:
    tree = SideTree()
    for first in range(0, wanted, WIDTH):
        entries = _side_entries(files, first, size)
        for entry in entries[: wanted - first]:
            tree.push(entry)
    return tree.root()


def _side_entries(files: LogFolder, first: int, size: int) -> list[bytes]:
    """One bundle, as wide as the log has it."""
    return files.entries(Tile(level=None, index=first // WIDTH, width=min(WIDTH, size - first)))
