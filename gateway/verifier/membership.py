"""Was a participant in a release? One small file proves that they were, or that they were not, and tells of no other.

Each release has a salt of 128 random bits. A participant's tag is HMAC-SHA256(salt, "tongguan participant" || 0x00 ||
id), the id being the gateway's own random 128 bits. The tags in ascending order are the leaves of an RFC 6962 tree.
What stands in the release's entry is SHA-256("tongguan participant set" || 0x00 || salt || size || root), the size in
eight big-endian bytes: neither salt nor size can be chosen afterwards.

Inside: the tag and its path. Not inside: the two neighbours between which the tag would stand, with their paths. The
proof speaks of an id; that the id is this person's is shown by the slip they got when their consent was recorded.
It tells them the size of the set; the neighbours' tags tell nothing without the neighbours' ids.
"""

from __future__ import annotations

import base64
import hmac
import json
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from .merkle import inclusion_path, leaf_hash, root, verify_inclusion
from .note import strict_base64

FORMAT = "tongguan.participant-proof/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One tag of the set and its path."""

    index: int
    tag: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipProof:
    """``leaves``: the participant's own one where they are in the set, else the neighbours that are there."""

    participant: str
    salt: bytes
    size: int
    root: bytes
    leaves: tuple[Leaf, ...]


def participant_tag(salt: bytes, participant: str) -> bytes:
    """32 bytes; anybody with salt and id computes the same, so no other can be put in its place."""
    return hmac.digest(salt, b"tongguan participant\0" + participant.encode(), "sha256")


def set_commitment(participants: Iterable[str], salt: bytes) -> bytes:
    """What the release's entry carries as ``permitted_root``."""
    hashes = _hashes(_tags(participants, salt))
    return _commitment(salt, len(hashes), root(hashes))


def prove_membership(participants: Iterable[str], salt: bytes, participant: str) -> MembershipProof:
    """Proof for this participant, of whichever answer is true."""
    tags = _tags(participants, salt)
    hashes = _hashes(tags)
    own = participant_tag(salt, participant)
    place = bisect_left(tags, own)
    inside = place < len(tags) and tags[place] == own
    shown = [place] if inside else [n for n in (place - 1, place) if 0 <= n < len(tags)]
    leaves = tuple(Leaf(index=n, tag=tags[n], path=tuple(inclusion_path(hashes, n))) for n in shown)
    return MembershipProof(participant=participant, salt=salt, size=len(tags), root=root(hashes), leaves=leaves)


def verify_membership(proof: MembershipProof, *, commitment: bytes) -> bool:
    """True: in the set; False: not in it. ``ValueError`` where the proof shows neither."""
    if _commitment(proof.salt, proof.size, proof.root) != commitment:
        raise ValueError("the proof is not about the set of this entry")
    for leaf in proof.leaves:
        hashed = leaf_hash(leaf.tag)
        verify_inclusion(index=leaf.index, size=proof.size, leaf=hashed, proof=leaf.path, root=proof.root)
    own = participant_tag(proof.salt, proof.participant)
    if [leaf.tag for leaf in proof.leaves] == [own]:
        return True
    _need_gap(proof, own)
    return False


def format_membership(proof: MembershipProof) -> bytes:
    """The proof as a JSON file."""
    leaves = [
        {"index": one.index, "tag": _text(one.tag), "path": [_text(step) for step in one.path]} for one in proof.leaves
    ]
    body = {"format": FORMAT, "participant": proof.participant, "salt": _text(proof.salt), "size": proof.size}
    return json.dumps({**body, "root": _text(proof.root), "leaves": leaves}, indent=1).encode() + b"\n"


def parse_membership(data: bytes) -> MembershipProof:
    """Read the file; ``ValueError`` where it is not one."""
    try:
        body = json.loads(data)
        if body["format"] != FORMAT:
            raise ValueError("not a participant proof of this format")
        leaves = tuple(
            Leaf(
                index=_number(one["index"]), tag=strict_base64(one["tag"]), path=tuple(map(strict_base64, one["path"]))
            )
            for one in body["leaves"]
        )
        return MembershipProof(
            participant=str(body["participant"]),
            salt=strict_base64(body["salt"]),
            size=_number(body["size"]),
            root=strict_base64(body["root"]),
            leaves=leaves,
        )
    except (KeyError, TypeError):
        raise ValueError("not a participant proof of this format") from None


def _need_gap(proof: MembershipProof, own: bytes) -> None:
    """The shown leaves are neighbours, the own tag belongs between them, and there is nothing beyond an edge."""
    places = [leaf.index for leaf in proof.leaves]
    below = [leaf.index for leaf in proof.leaves if leaf.tag < own]
    above = [leaf.index for leaf in proof.leaves if leaf.tag > own]
    gap = (max(below, default=-1), min(above, default=proof.size))
    wanted = [n for n in gap if 0 <= n < proof.size]
    if gap[0] + 1 != gap[1] or places != wanted:
        raise ValueError("the proof does not show the two neighbours of the participant's place")


def _tags(participants: Iterable[str], salt: bytes) -> list[bytes]:
    return sorted({participant_tag(salt, one) for one in participants})


def _hashes(tags: Sequence[bytes]) -> list[bytes]:
    return [leaf_hash(tag) for tag in tags]


def _commitment(salt: bytes, size: int, tree: bytes) -> bytes:
    # Fixed widths: no salt can take bytes of the size, and no size bytes of the root.
    if len(salt) != 16 or len(tree) != 32 or not 0 <= size < 1 << 64:
        raise ValueError("the proof's salt, size or root cannot be one")
    return sha256(b"tongguan participant set\0" + salt + size.to_bytes(8, "big") + tree).digest()


def _number(value: object) -> int:
    if type(value) is not int:
        raise ValueError("a number of the proof is none")
    return value


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
