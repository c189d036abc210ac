"""A participant's proof: the true answer is proven, and no other answer can be."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from gateway.verifier.membership import (
    Leaf,
    MembershipProof,
    format_membership,
    parse_membership,
    participant_tag,
    prove_membership,
    set_commitment,
    verify_membership,
)

SALT = bytes(range(16))


def people(count: int, seed: int = 1) -> list[str]:
    chance = random.Random(seed)
    return [f"{chance.getrandbits(128):032x}" for _ in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 40])
def test_everybody_inside_and_everybody_outside_gets_the_true_answer(count: int) -> None:
    members, others = people(count), people(60, seed=2)
    commitment = set_commitment(members, SALT)
    for person in members:
        assert verify_membership(prove_membership(members, SALT, person), commitment=commitment)
    for person in others:
        proof = parse_membership(format_membership(prove_membership(members, SALT, person)))
        assert not verify_membership(proof, commitment=commitment)


def test_one_inside_cannot_be_shown_to_be_outside_and_the_other_way_round() -> None:
    """Every pair of leaves, every single leaf and no leaf at all is tried as proof of the opposite."""
    members = people(9)
    commitment = set_commitment(members, SALT)
    leaves = sorted((prove_membership(members, SALT, one).leaves[0] for one in members), key=lambda leaf: leaf.index)
    shown: list[tuple[Leaf, ...]] = [(), *[(one,) for one in leaves], *[(a, b) for a in leaves for b in leaves]]
    for person, true in [*[(one, True) for one in members], *[(one, False) for one in people(20, seed=3)]]:
        for chosen in shown:
            proof = replace(prove_membership(members, SALT, person), leaves=chosen)
            try:
                assert verify_membership(proof, commitment=commitment) is true
            except ValueError:
                continue


def test_neither_salt_nor_size_nor_root_nor_tag_can_be_chosen_afterwards() -> None:
    members = people(9)
    commitment, stranger = set_commitment(members, SALT), people(1, seed=5)[0]
    good = prove_membership(members, SALT, members[3])
    other = prove_membership([*members, stranger], SALT, stranger)
    for forged in (
        replace(good, salt=bytes(16)),
        replace(good, size=8),
        replace(good, root=bytes(32)),
        replace(good, participant=stranger),
        replace(good, leaves=(replace(good.leaves[0], index=good.leaves[0].index ^ 1),)),
        replace(good, leaves=(replace(good.leaves[0], tag=participant_tag(SALT, stranger)),)),
        replace(prove_membership(members, SALT, stranger), size=2),
        other,
    ):
        with pytest.raises(ValueError):
            verify_membership(forged, commitment=commitment)


def test_the_root_hides_who_is_in_it_and_two_releases_of_the_same_people_do_not_look_alike() -> None:
    members = people(9)
    assert set_commitment(members, SALT) != set_commitment(members, bytes(16))
    proof = format_membership(prove_membership(members, SALT, members[0])).decode()
    assert all(other not in proof for other in members[1:])


@pytest.mark.parametrize(
    "change", [{"format": "other"}, {"size": "9"}, {"size": True}, {"leaves": [{}]}, {"salt": "AAAA=="}, {"root": 1}]
)
def test_a_file_of_another_shape_is_refused(change: dict[str, object]) -> None:
    body = json.loads(format_membership(prove_membership(people(3), SALT, people(3)[0])))
    with pytest.raises(ValueError):
        parse_membership(json.dumps({**body, **change}).encode())


def test_a_leaf_hash_is_no_other_structure() -> None:
    """The tag stands alone in a leaf of 32 bytes, so a node cannot pass for one."""
    proof: MembershipProof = prove_membership(people(4), SALT, people(4)[0])
    assert all(len(leaf.tag) == 32 for leaf in proof.leaves)
