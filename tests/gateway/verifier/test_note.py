"""Signed notes, keys and receipts: a published vector, and every loose spelling refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.verifier import merkle, note, proof, tiles

VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
TEXT = "This is an example message.\n"
LINE = (
    "\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3"
    "mFXmRKuwHjG1Yu72IneyaQM=\n"
)
SIGNED = f"{TEXT}\n{LINE}".encode()


def test_the_published_note_verifies_and_its_key_prints_itself() -> None:
    key = note.parse_vkey(VKEY)
    assert str(key) == VKEY
    parsed = note.parse_note(SIGNED)
    assert parsed.text == TEXT.encode()
    note.verify_note(parsed, key)


def test_every_changed_byte_of_the_published_note_is_refused() -> None:
    key = note.parse_vkey(VKEY)
    for position in range(len(SIGNED)):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(SIGNED)
            changed[position] ^= flip
            with pytest.raises(ValueError):
                note.verify_note(note.parse_note(bytes(changed)), key)


@pytest.mark.parametrize(
    "damaged",
    [
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("530d903a", "530d903b"),
        VKEY.replace("/foo", "/fop"),
        VKEY + "=",
        VKEY[:-1] + "l",
        VKEY.replace("+530d903a", ""),
        VKEY.replace("example.com/foo", "example.com foo"),
        "",
    ],
)
def test_a_damaged_key_is_refused(damaged: str) -> None:
    with pytest.raises(ValueError):
        note.parse_vkey(damaged)


@pytest.mark.parametrize(
    "damaged",
    [
        SIGNED[:-1],
        SIGNED + b"x",
        SIGNED + b"\n",
        SIGNED.replace(b"\n\n", b"\n"),
        SIGNED.replace(b"\n\n", b"\r\n\n"),
        SIGNED.replace("\u2014".encode(), b"-"),
        SIGNED.replace(b"IneyaQM=", b"IneyaQN="),
        SIGNED.replace(b"IneyaQM=", b"IneyaQM"),
        SIGNED + b"\xff\n",
        TEXT.encode() + b"\n" + LINE.encode() * 101,
        b"x" * 1_000_001,
    ],
)
def test_a_note_in_any_other_spelling_is_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError):
        note.parse_note(damaged)


def test_signatures_of_unknown_keys_are_ignored_but_a_bad_one_of_a_known_key_refuses_all() -> None:
    key = note.parse_vkey(VKEY)
    witness = note.signature_line(note.VerifierKey(name="witness.example", public_key=bytes(32)), bytes(64))
    note.verify_note(note.parse_note(SIGNED + witness), key)
    with pytest.raises(ValueError, match="does not verify"):
        note.verify_note(note.parse_note(SIGNED + note.signature_line(key, bytes(64))), key)
    with pytest.raises(ValueError, match="not signed by this key"):
        note.verify_note(note.parse_note(f"{TEXT}\n".encode() + witness), key)


def test_sixteen_signatures_are_accepted() -> None:
    witness = note.signature_line(note.VerifierKey(name="witness.example", public_key=bytes(32)), bytes(64))
    note.verify_note(note.parse_note(SIGNED + witness * 15), note.parse_vkey(VKEY))


@pytest.mark.parametrize("size", ["01", "-1", "+1", " 1", "1_0", "\u0661", "", "0x1", "1.0"])
def test_a_size_that_is_not_plain_decimal_is_refused(size: str) -> None:
    root = base64.b64encode(bytes(32)).decode()
    with pytest.raises(ValueError):
        note.read_checkpoint_text(f"log.example\n{size}\n{root}\n".encode())


@pytest.mark.parametrize("root", ["", "AAAA", base64.b64encode(bytes(33)).decode()])
def test_a_root_that_is_not_32_bytes_is_refused(root: str) -> None:
    with pytest.raises(ValueError):
        note.read_checkpoint_text(f"log.example\n1\n{root}\n".encode())


def test_a_checkpoint_of_another_origin_than_its_key_is_refused() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    key = note.VerifierKey(name="log.example", public_key=private.public_key().public_bytes_raw())
    for origin, holds in (("log.example", True), ("other.example", False)):
        text = note.checkpoint_text(origin=origin, size=0, root=merkle.EMPTY_ROOT)
        signed = text + b"\n" + note.signature_line(key, private.sign(text))
        if holds:
            assert note.verify_checkpoint(signed, key).size == 0
        else:
            with pytest.raises(ValueError, match="another log"):
                note.verify_checkpoint(signed, key)


def test_extension_lines_are_allowed() -> None:
    text = note.checkpoint_text(origin="log.example", size=0, root=merkle.EMPTY_ROOT) + b"extension\n"
    assert note.read_checkpoint_text(text).origin == "log.example"


@pytest.mark.parametrize(
    ("index", "path"),
    [(0, "000"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067"), (1_000_000, "x001/x000/000")],
)
def test_tile_numbers_are_written_as_published(index: int, path: str) -> None:
    assert tiles.encode_index(index) == path
    tile = tiles.Tile(level=0, index=index)
    assert tiles.parse_path(f"tile/0/{path}") == tile


@pytest.mark.parametrize(
    "path",
    [
        *("tile/0/x000/000", "tile/00/000", "tile/64/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01"),
        *("tile/0/0", "tile/entries/1000", "tile/0/000/", "/tile/0/000", "tile/0/000.p", "tile/0/000\n", "tile/x/000"),
    ],
)
def test_a_path_in_any_other_spelling_is_refused(path: str) -> None:
    with pytest.raises(ValueError):
        tiles.parse_path(path)


def test_a_log_of_70000_entries_has_the_published_tiles() -> None:
    """C2SP tlog-tiles, "Partial Tiles": the worked example; 553 files with the entries."""
    promised = list(tiles.promised_tiles(70_000))
    assert len(promised) == 553 - 2  # without checkpoint and log.vkey
    hashes = [tile.path for tile in promised if tile.level is not None]
    assert len([path for path in hashes if path.startswith("tile/0/")]) == 274
    assert [path for path in hashes if ".p/" in path] == ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]


def test_a_log_of_256_entries_has_a_full_tile_and_one_above() -> None:
    assert [tile.path for tile in tiles.promised_tiles(256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x02a", b"\x00\x01a\x00", b"\x00\x01ab", b"\x00\x01a\x00\x01b"])
def test_a_bundle_that_does_not_hold_exactly_its_entries_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        tiles.parse_bundle(data, 1)


def test_a_bundle_reads_back() -> None:
    entries = [b"", b"a", bytes(tiles.MAX_ENTRY)]
    assert tiles.parse_bundle(tiles.encode_bundle(entries), 3) == entries


HASHES = [merkle.leaf_hash(bytes([n])) for n in range(5)]


def _receipt(extra: bytes = b"") -> tuple[bytes, note.VerifierKey]:
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    key = note.VerifierKey(name="log.example", public_key=private.public_key().public_bytes_raw())
    text = note.checkpoint_text(origin="log.example", size=5, root=merkle.root(HASHES))
    signed = text + b"\n" + note.signature_line(key, private.sign(text))
    path = merkle.inclusion_path(HASHES, 3)
    return proof.format_proof(index=3, path=path, signed_checkpoint=signed, extra=extra), key


@pytest.mark.parametrize("extra", [b"", b"salt"])
def test_a_receipt_proves_its_entry_and_no_other(extra: bytes) -> None:
    data, key = _receipt(extra)
    assert proof.verify_proof(data, key=key, leaf=HASHES[3]).extra == extra
    assert (b"\nextra " in data) == bool(extra)
    with pytest.raises(ValueError, match="does not lead to the root"):
        proof.verify_proof(data, key=key, leaf=HASHES[2])


def test_every_changed_byte_of_a_receipt_is_refused() -> None:
    data, key = _receipt()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x01
        with pytest.raises(ValueError):
            proof.verify_proof(bytes(changed), key=key, leaf=HASHES[3])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"index 3\n", b"index 03\n"),
        (b"index 3\n", b""),
        (b"index 3\n", b"extra \nindex 3\n"),
        (b"index 3\n", b"index 3\nAAAA\n"),
        (b"\n\n", b"\n"),
        (b"@v1", b"@v2"),
    ],
)
def test_a_receipt_in_any_other_spelling_is_refused(old: bytes, new: bytes) -> None:
    data, _ = _receipt()
    with pytest.raises(ValueError):
        proof.parse_proof(data.replace(old, new))
