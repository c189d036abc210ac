"""Published vectors: RFC 6962 trees, the note of the Go module, a whole log, and the transparency-dev proof cases."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.ledger.log import append, inclusion_path, root_of
from gateway.verifier import tiles
from gateway.verifier.merkle import ProofError, fold, leaf_hash, node_hash, verify_consistency, verify_inclusion
from gateway.verifier.note import NoteError, parse_vkey, verifier_key, verify_note

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
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
NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"


class Memory:
    """Log files in a dictionary."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def write(self, path: str, data: bytes) -> None:
        self.files[path] = data


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_published_leaves(size: int) -> None:
    entries = [bytes.fromhex(leaf) for leaf in LEAVES[:size]]
    assert fold([leaf_hash(entry) for entry in entries]).hex() == ROOTS[size]
    files = Memory()
    for done, entry in enumerate(entries):
        append(files, done, [entry])
    assert root_of(files, size).hex() == ROOTS[size]


def test_leaf_and_node_prefixes() -> None:
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    assert node_hash(b"N123", b"N456").hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


@pytest.mark.parametrize(
    ("index", "size", "starts"),
    [
        (0, 8, "96a296d2 5f083f0a 6b47aaf2"),
        (5, 8, "bc1a0643 ca854ea1 d37ee418"),
        (2, 3, "fac54203"),
        (1, 5, "6e340b9c 5f083f0a bc1a0643"),
    ],
)
def test_inclusion_paths_begin_as_published(index: int, size: int, starts: str) -> None:
    files = Memory()
    append(files, 0, [bytes.fromhex(leaf) for leaf in LEAVES[:size]])
    assert " ".join(step.hex()[:8] for step in inclusion_path(files, index, size)) == starts


def test_the_example_note_is_accepted_and_any_change_refused() -> None:
    key = parse_vkey(VKEY)
    assert verify_note(NOTE.encode(), key) == "This is an example message.\n"
    for changed in (NOTE.replace("example m", "Example m"), NOTE.replace("Uw2Q", "Vw2Q"), NOTE[:-1], NOTE + "\n"):
        with pytest.raises(NoteError):
            verify_note(changed.encode(), key)


def test_a_vkey_whose_id_does_not_fit_is_refused() -> None:
    with pytest.raises(NoteError):
        parse_vkey(VKEY.replace("530d903a", "530d903b"))


def test_the_whole_log_vector_of_70000_entries() -> None:
    files, size = Memory(), 0
    entries = [json.dumps({"event": "provision", "seq": i}).encode() for i in range(70_000)]
    for start in range(0, 70_000, 1000):
        size = append(files, size, entries[start : start + 1000])
    root = root_of(files, size)
    assert base64.b64encode(root).decode() == "k0rP+RjmHm5rTfmJ0WoD+28ap7DVZk0lUb+5AL1/Ojk="
    assert tiles.layout(size).keys() | tiles.bundles(size).keys() <= files.files.keys()
    assert len(tiles.layout(size)) + len(tiles.bundles(size)) == 551
    public = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
    vkey = verifier_key("gateway.example/provisions", public).text()
    assert vkey == "gateway.example/provisions+9ced732d+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    for index in (0, 255, 256, 65_535, 65_536, 69_999):
        path = inclusion_path(files, index, size)
        verify_inclusion(leaf_hash(entries[index]), index=index, size=size, path=path, root=root)


def test_numbers_become_paths_as_the_standard_writes_them() -> None:
    assert tiles.number(1234067) == "x001/x234/067"
    assert tiles.tile_path(0, 273, 112) == "tile/0/273.p/112"


def test_every_published_proof_case_positive_and_negative(shared_data: Path) -> None:
    # The folder also holds 322 cases of subtree proofs, which no format of ours uses.
    folders = ("inclusion", "consistency")
    cases = [path for name in folders for path in (shared_data / "tlog" / "testdata" / name).rglob("*.json")]
    assert len(cases) == 196
    wrong = []
    for path in cases:
        case = json.loads(path.read_text("utf-8"))
        try:
            _check(case)
            refused = False
        except (ProofError, ValueError):
            refused = True
        if refused != bool(case.get("wantErr")):
            wrong.append(path.name)
    assert not wrong


def _check(case: dict[str, object]) -> None:
    proof = [base64.b64decode(step) for step in case.get("proof") or []]  # type: ignore[attr-defined]
    if "leafIdx" in case:
        verify_inclusion(
            base64.b64decode(str(case["leafHash"])),
            index=int(str(case["leafIdx"])),
            size=int(str(case["treeSize"])),
            path=proof,
            root=base64.b64decode(str(case["root"])),
        )
        return
    verify_consistency(
        old=int(str(case["size1"])),
        new=int(str(case["size2"])),
        path=proof,
        old_root=base64.b64decode(str(case["root1"])),
        new_root=base64.b64decode(str(case["root2"])),
    )
