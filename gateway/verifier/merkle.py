"""The Merkle tree of RFC 6962 section 2.1 (the same as RFC 9162 section 2.1.1), SHA-256.

A leaf is SHA-256(0x00 || entry), a node SHA-256(0x01 || left || right): the prefixes keep a node from passing as a
leaf.
The proofs also cover subtrees (draft-ietf-plants-merkle-tree-certs section 4); a whole tree is the subtree from 0.
Verification raises ``ValueError``; what that means is for the caller to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Hash of one log entry (RFC 6962 section 2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two neighbouring subtrees (RFC 6962 section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Root over a number of hashes that is a power of two."""
    row = list(hashes)
    while len(row) > 1:
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def peaks(hashes: Sequence[bytes]) -> list[bytes]:
    """Roots of the largest perfect subtrees, from left to right: what a tree of this size hangs from."""
    found: list[bytes] = []
    start = 0
    while start < len(hashes):
        width = 1 << ((len(hashes) - start).bit_length() - 1)
        found.append(perfect_root(hashes[start : start + width]))
        start += width
    return found


def fold(from_peaks: Sequence[bytes]) -> bytes:
    """Root of the tree with these peaks; of none, the root of the empty tree."""
    if not from_peaks:
        return EMPTY_ROOT
    result = from_peaks[-1]
    for peak in reversed(from_peaks[:-1]):
        result = node_hash(peak, result)
    return result


def root(hashes: Sequence[bytes]) -> bytes:
    """Root of the tree over these leaf hashes."""
    return fold(peaks(hashes))


def inclusion_path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Sibling hashes from the leaf's sibling up to the root's child (RFC 6962 section 2.1.1)."""
    if not 0 <= index < len(hashes):
        raise ValueError("the index lies outside the tree")
    if len(hashes) == 1:
        return []
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    if index < split:
        return [*inclusion_path(hashes[:split], index), root(hashes[split:])]
    return [*inclusion_path(hashes[split:], index - split), root(hashes[:split])]


def verify_inclusion(*, index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """``leaf`` (a leaf hash) stands at ``index`` of the tree of ``size`` under ``root``, or ``ValueError``."""
    verify_subtree_inclusion(index=index, bounds=(0, size), leaf=leaf, proof=proof, root=root)


def verify_consistency(*, sizes: tuple[int, int], roots: tuple[bytes, bytes], proof: Sequence[bytes]) -> None:
    """The tree of ``sizes[0]`` is a prefix of the tree of ``sizes[1]``, or ``ValueError``.

    From an empty tree to a larger one nothing can be proved, so that is refused rather than waved through.
    """
    if sizes[0] == 0 and sizes[1] > 0:
        raise ValueError("a proof from the empty tree says nothing")
    if sizes[0] == sizes[1]:
        _need(not proof, "two trees of one size need no proof")
        _need(roots[0] == roots[1], "two trees of one size have different roots")
        _need(sizes[0] > 0 or roots[0] == EMPTY_ROOT, "the empty tree has one root only")
        return
    verify_subtree_consistency(bounds=(0, sizes[0]), size=sizes[1], roots=roots, proof=proof)


def verify_subtree_inclusion(
    *, index: int, bounds: tuple[int, int], leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """The same inside the subtree over leaves ``bounds[0]`` to ``bounds[1]`` (exclusive)."""
    start, end = bounds
    _need_subtree(start, end)
    _need(start <= index < end, "the index lies outside the tree")
    _need_hashes([leaf, root, *proof])
    first, last = index - start, end - start - 1
    result = leaf
    for sibling in proof:
        _need(last > 0, "the proof is too long")
        if first & 1 or first == last:
            result = node_hash(sibling, result)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        first, last = first >> 1, last >> 1
    _need(last == 0, "the proof is too short")
    _need(result == root, "the proof does not lead to the root")


def verify_subtree_consistency(
    *, bounds: tuple[int, int], size: int, roots: tuple[bytes, bytes], proof: Sequence[bytes]
) -> None:
    """The subtree over ``bounds`` with root ``roots[0]`` is part of the tree of ``size`` with root ``roots[1]``."""
    start, end = bounds
    if start == end <= size:
        # Nothing is part of everything: all that can be checked is that nothing was claimed.
        _need(not proof and roots[0] == EMPTY_ROOT, "an empty subtree has the empty root and no proof")
        return
    _need_subtree(start, end)
    _need(end <= size, "the older tree is larger than the newer")
    steps = list(proof)
    first, last, top = start, end - 1, size - 1
    while first != last and (last == top or last & 1):
        first, last, top = first >> 1, last >> 1, top >> 1
    if first == last:
        steps.insert(0, roots[0])
    _need(bool(steps), "the proof is empty")
    if (start, end) != (0, size):
        _need_hashes([*roots, *steps])
    old = new = steps[0]
    for sibling in steps[1:]:
        _need(top > 0, "the proof is too long")
        if last & 1 or last == top:
            if first < last:
                old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while not last & 1 and last:
                first, last, top = first >> 1, last >> 1, top >> 1
        else:
            new = node_hash(new, sibling)
        first, last, top = first >> 1, last >> 1, top >> 1
    _need(top == 0, "the proof is too short")
    _need((old, new) == roots, "the proof does not lead to both roots")


def _need_subtree(start: int, end: int) -> None:
    """``start`` must be a multiple of the width rounded up to a power of two."""
    _need(0 <= start < end, "the subtree is empty")
    _need(start % (1 << (end - start - 1).bit_length()) == 0, "no subtree has these bounds")


def _need_hashes(values: Sequence[bytes]) -> None:
    _need(all(len(value) == HASH_SIZE for value in values), "a hash is not 32 bytes long")


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
