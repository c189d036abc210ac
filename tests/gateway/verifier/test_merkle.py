"""The tree against published vectors: transparency-dev/merkle (Apache-2.0) and RFC 6962."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gateway.verifier import merkle

LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
LEAVES.append(bytes.fromhex("606162636465666768696a6b6c6d6e6f"))
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]


@pytest.mark.parametrize(("size", "expected"), list(enumerate(ROOTS)))
def test_roots_equal_the_published_ones(size: int, expected: str) -> None:
    assert merkle.root(HASHES[:size]).hex() == expected


def test_leaf_and_node_hashes_equal_the_published_ones() -> None:
    assert merkle.leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    node = "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    assert merkle.node_hash(b"N123", b"N456").hex() == node


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        (0, 8, "96a296d2 5f083f0a 6b47aaf2"),
        (5, 8, "bc1a0643 ca854ea1 d37ee418"),
        (2, 3, "fac54203"),
        (1, 5, "6e340b9c 5f083f0a bc1a0643"),
    ],
)
def test_inclusion_paths_equal_the_published_ones(index: int, size: int, path: str) -> None:
    ours = merkle.inclusion_path(HASHES[:size], index)
    assert [one.hex()[:8] for one in ours] == path.split()
    merkle.verify_inclusion(index=index, size=size, leaf=HASHES[index], proof=ours, root=bytes.fromhex(ROOTS[size]))


def test_a_path_for_a_leaf_outside_the_tree_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        merkle.inclusion_path(HASHES[:3], 3)


def test_a_node_does_not_pass_as_a_leaf() -> None:
    """The prefixes of RFC 6962 keep a two-leaf tree from being read as one entry."""
    forged = HASHES[0] + HASHES[1]
    assert merkle.leaf_hash(forged) != merkle.node_hash(HASHES[0], HASHES[1])


def test_consistency_from_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="empty tree"):
        merkle.verify_consistency(sizes=(0, 8), roots=(merkle.EMPTY_ROOT, bytes.fromhex(ROOTS[8])), proof=[])


def _cases(folder: Path, family: str) -> list[tuple[str, dict[str, Any]]]:
    files = sorted((folder / "tlog" / "testdata" / family).rglob("*.json"))
    return [(str(file.relative_to(folder)), json.loads(file.read_text())) for file in files]


def _holds(family: str, case: dict[str, Any]) -> bool:
    proof = [base64.b64decode(one) for one in case["proof"] or []]
    hashes = {name: base64.b64decode(case[name]) for name in ("root", "leafHash", "root1", "root2") if name in case}
    try:
        if family == "inclusion":
            merkle.verify_inclusion(
                index=case["leafIdx"],
                size=case["treeSize"],
                leaf=hashes["leafHash"],
                proof=proof,
                root=hashes["root"],
            )
        elif family == "subtreeinclusion":
            merkle.verify_subtree_inclusion(
                index=case["leafIdx"],
                bounds=(case["start"], case["end"]),
                leaf=hashes["leafHash"],
                proof=proof,
                root=hashes["root"],
            )
        elif family == "consistency":
            merkle.verify_consistency(
                sizes=(case["size1"], case["size2"]), roots=(hashes["root1"], hashes["root2"]), proof=proof
            )
        else:
            merkle.verify_subtree_consistency(
                bounds=(case["start"], case["end"]),
                size=case["size"],
                roots=(hashes["root1"], hashes["root2"]),
                proof=proof,
            )
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("family", "count"),
    [("inclusion", 98), ("consistency", 98), ("subtreeinclusion", 204), ("subtreeconsistency", 118)],
)
def test_every_published_case_is_judged_as_published(shared_data: Path, family: str, count: int) -> None:
    cases = _cases(shared_data, family)
    assert len(cases) == count
    wrong = [name for name, case in cases if _holds(family, case) == case["wantErr"]]
    assert wrong == []


def test_the_empty_root_is_the_hash_of_nothing() -> None:
    assert sha256(b"").digest() == merkle.EMPTY_ROOT
