"""The Merkle tree of RFC 6962 section 2.1, as pure functions over 32-byte hashes.

A proof is verified or ``ProofError`` is raised; nothing here answers with a boolean that could be forgotten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()


class ProofError(ValueError):
    """The proof does not lead to the root."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256 of 0x00 and the entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Root over leaf (or subtree) hashes; the left part is the largest power of two below the number."""
    level = list(hashes)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        # An odd last hash rises unchanged: RFC 6962 never duplicates it.
        level = paired + level[len(paired) * 2 :]
    return level[0]


def verify_inclusion(leaf: bytes, *, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """RFC 9162 section 2.1.3.2. Raises ProofError unless ``leaf`` is entry ``index`` of the tree of that root."""
    if not 0 <= index < size:
        raise ProofError("the index lies outside the tree")
    node, last, here = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofError("the path is too long")
        if node & 1 or node == last:
            here = node_hash(sibling, here)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            here = node_hash(here, sibling)
        node, last = node >> 1, last >> 1
    if last or here != root:
        raise ProofError("the path does not lead to the root")


def verify_consistency(*, old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """RFC 9162 section 2.1.4.2. Raises ProofError unless the old tree is a prefix of the new one."""
    if not 0 <= old <= new:
        raise ProofError("the old tree is larger than the new one")
    if old in (0, new):
        if path or (old == new and old_root != new_root) or (old == 0 and old_root != EMPTY_ROOT):
            raise ProofError("the trees differ, or a proof stands where none is needed")
        return
    proof = list(path) if old & (old - 1) else [old_root, *path]
    if not proof:
        raise ProofError("the path is empty")
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    here_old = here_new = proof[0]
    for sibling in proof[1:]:
        if last == 0:
            raise ProofError("the path is too long")
        if node & 1 or node == last:
            here_old, here_new = node_hash(sibling, here_old), node_hash(sibling, here_new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            here_new = node_hash(here_new, sibling)
        node, last = node >> 1, last >> 1
    if last or (here_old, here_new) != (old_root, new_root):
        raise ProofError("the path does not join the two roots")
