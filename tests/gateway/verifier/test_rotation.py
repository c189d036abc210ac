"""Which key may sign which sizes: a log changes its key with both keys' word, and an old key can do no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.ledger import DiskLogFiles, integrate, make_receipt, sign_checkpoint
from gateway.verifier import verify_log
from gateway.verifier.note import VerifierKey, parse_checkpoint, signature_line
from gateway.verifier.rotation import LogKeys, Rotation, is_rotation, parse_rotation, read_log_keys
from gateway.verifier.tiles import WIDTH

Log = Any  # tests/gateway/verifier/conftest.py: SignedLog
ORIGIN = "gateway.example/provisions"


class Seeded:
    """One key of a log."""

    def __init__(self, number: int, origin: str = ORIGIN) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        self.name, self.public_key = origin, self._key.public_key().public_bytes_raw()

    @property
    def vkey(self) -> VerifierKey:
        return VerifierKey(name=self.name, public_key=self.public_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def note(made: Rotation, *signers: Seeded) -> bytes:
    return signed(made.text, *signers)


def signed(text: bytes, *signers: Seeded) -> bytes:
    return text + b"\n" + b"".join(signature_line(one.vkey, one.sign(text)) for one in signers)


class Rotating:
    """A log in a folder whose key changes."""

    def __init__(self, folder: Path, entries: Any) -> None:
        self.folder, self.files = folder, DiskLogFiles(folder)
        self.keys = [Seeded(1)]
        self.size = 0
        self.entries = entries
        self.files.write("log.vkey", f"{self.keys[0].vkey}\n".encode())
        self.grow(300)

    def grow(self, count: int, signer: Seeded | None = None) -> None:
        self.size, self.root = integrate(self.files, self.size, self.entries(count, f"of-{self.size}"))
        self.sign(signer or self.keys[-1])

    def sign(self, signer: Seeded) -> None:
        self.files.write("checkpoint", sign_checkpoint(signer, size=self.size, root=self.root))

    def rotate(self) -> None:
        old, new = self.keys[-1], Seeded(len(self.keys) + 1)
        made = Rotation(number=len(self.keys), size=self.size, old=old.vkey, new=new.vkey)
        self.files.write(f"rotation/{made.number}", note(made, old, new))
        self.keys.append(new)


@pytest.fixture
def rotating(tmp_path: Path, entries: Any) -> Rotating:
    """300 entries under the first key, 200 under the second, 100 under the third."""
    made = Rotating(tmp_path / "ledger", entries)
    made.rotate()
    made.grow(200)
    made.rotate()
    made.grow(100)
    return made


@pytest.mark.parametrize("number", [0, 1, 2])
def test_whoever_kept_any_key_of_the_log_can_prove_it(rotating: Rotating, number: int) -> None:
    verdict = verify_log(rotating.folder, key=str(rotating.keys[number].vkey))
    assert (verdict.state, verdict.size) == ("proven", 600)
    assert "2 changes of key" in verdict.detail


def test_receipts_and_checkpoints_of_every_key_hold_after_the_changes(tmp_path: Path, entries: Any) -> None:
    log = Rotating(tmp_path / "ledger", entries)
    kept, since = [], []
    for _ in range(3):
        kept.append(make_receipt(log.files, log.size - 1))
        since.append((log.folder / "checkpoint").read_bytes())
        log.rotate()
        log.grow(50)
    for checkpoint in since:
        verdict = verify_log(log.folder, key=str(log.keys[0].vkey), receipts=kept, since=checkpoint)
        assert verdict.state == "proven", verdict.detail


def test_at_the_moment_of_the_change_a_head_of_either_key_is_good(rotating: Rotating) -> None:
    rotating.rotate()
    assert verify_log(rotating.folder, key=None).state == "proven", "signed by the old key, at the size of the change"
    rotating.sign(rotating.keys[-1])
    assert verify_log(rotating.folder, key=None).state == "proven"


def test_a_key_stolen_after_it_was_replaced_cannot_make_the_log_longer(rotating: Rotating) -> None:
    rotating.grow(10, signer=rotating.keys[0])
    verdict = verify_log(rotating.folder, key=None)
    assert (verdict.state, verdict.place) == ("tampered", "checkpoint")
    assert "key 1 of the log may not sign a head of 610 entries" in verdict.detail


def test_a_new_key_cannot_sign_what_was_before_it(rotating: Rotating) -> None:
    early = LogKeys(keys=tuple(one.vkey for one in rotating.keys), sizes=(300, 500))
    for number, size, good in ((0, 300, True), (0, 301, False), (1, 299, False), (1, 300, True), (1, 500, True)):
        signed = sign_checkpoint(rotating.keys[number], size=size, root=bytes(32))
        if good:
            assert early.verify(signed).size == size
        else:
            with pytest.raises(ValueError, match="may not sign"):
                early.verify(signed)
    with pytest.raises(ValueError, match="may not sign"):
        early.verify(sign_checkpoint(rotating.keys[2], size=499, root=bytes(32)))


def test_a_good_line_of_one_key_does_not_cover_a_bad_line_of_another(rotating: Rotating) -> None:
    keys = LogKeys(keys=tuple(one.vkey for one in rotating.keys), sizes=(300, 500))
    signed = sign_checkpoint(rotating.keys[2], size=600, root=bytes(32))
    assert keys.verify(signed)
    with pytest.raises(ValueError, match="does not verify"):
        keys.verify(signed + signature_line(rotating.keys[1].vkey, bytes(64)))
    text = parse_checkpoint(signed).text
    with pytest.raises(ValueError, match="may not sign"):
        keys.verify(signed + signature_line(rotating.keys[1].vkey, rotating.keys[1].sign(text)))


def test_every_changed_byte_of_a_rotation_is_found_and_named(rotating: Rotating) -> None:
    path = rotating.folder / "rotation/1"
    data = path.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x01
        path.write_bytes(bytes(changed))
        verdict = verify_log(rotating.folder, key=str(rotating.keys[0].vkey))
        assert (verdict.state, verdict.place) == ("tampered", "rotation/1"), place
    path.write_bytes(data + b"\n")
    assert verify_log(rotating.folder, key=None).state == "tampered"
    path.write_bytes(data)
    assert verify_log(rotating.folder, key=None).state == "proven"


@pytest.mark.parametrize("gone", ["rotation/1", "rotation/2"])
def test_a_rotation_that_was_taken_away_is_found(rotating: Rotating, gone: str) -> None:
    (rotating.folder / gone).unlink()
    assert verify_log(rotating.folder, key=str(rotating.keys[0].vkey)).state == "tampered"


def forgeries() -> dict[str, bytes]:
    one, two, other = Seeded(1), Seeded(2), Seeded(2, "another.example/log")
    good = Rotation(number=1, size=300, old=one.vkey, new=two.vkey)
    text = good.text
    return {
        "only the old key": note(good, one),
        "only the new key": note(good, two),
        "a third line": note(good, one, two, Seeded(3)),
        "the old key twice": note(good, one, one),
        "the same key": note(Rotation(number=1, size=300, old=one.vkey, new=one.vkey), one, one),
        "another log": note(Rotation(number=1, size=300, old=one.vkey, new=other.vkey), one, other),
        "another number": note(Rotation(number=2, size=300, old=one.vkey, new=two.vkey), one, two),
        "another old key": note(Rotation(number=1, size=300, old=Seeded(9).vkey, new=two.vkey), Seeded(9), two),
        "a size in another spelling": signed(text.replace(b"size 300", b"size 0300"), one, two),
        "no log's name": signed(text.replace(b"origin gateway.example/provisions\n", b""), one, two),
        "a further line of text": text + b"more x\n\n" + note(good, one, two).split(b"\n\n")[1],
    }


@pytest.mark.parametrize("name", forgeries())
def test_a_change_that_is_not_signed_for_by_both_or_does_not_follow_is_refused(
    name: str, tmp_path: Path, entries: Any
) -> None:
    data = forgeries()[name]
    with pytest.raises(ValueError, match=r"."):
        read_log_keys(Seeded(1).vkey, {"rotation/1": data}.get)
    log = Rotating(tmp_path / "ledger", entries)
    log.files.write("rotation/1", data)
    verdict = verify_log(log.folder, key=None)
    assert (verdict.state, verdict.place) == ("tampered", "rotation/1")


def test_changes_never_go_back_in_size_and_a_key_never_comes_back(tmp_path: Path, entries: Any) -> None:
    one, two, three = Seeded(1), Seeded(2), Seeded(3)
    first = note(Rotation(number=1, size=300, old=one.vkey, new=two.vkey), one, two)
    back = note(Rotation(number=2, size=299, old=two.vkey, new=three.vkey), two, three)
    again = note(Rotation(number=2, size=300, old=two.vkey, new=one.vkey), two, one)
    good = note(Rotation(number=2, size=300, old=two.vkey, new=three.vkey), two, three)
    assert read_log_keys(one.vkey, {"rotation/1": first, "rotation/2": good}.get).sizes == (300, 300)
    log = Rotating(tmp_path / "ledger", entries)
    log.files.write("rotation/1", first)
    for second in (back, again):
        with pytest.raises(ValueError, match="does not follow"):
            read_log_keys(one.vkey, {"rotation/1": first, "rotation/2": second}.get)
        log.files.write("rotation/2", second)
        verdict = verify_log(log.folder, key=None)
        assert (verdict.state, verdict.place) == ("tampered", "rotation/2")


def test_a_rotation_can_never_be_read_as_a_head_nor_a_head_as_a_rotation() -> None:
    one, two = Seeded(1), Seeded(2)
    made = note(Rotation(number=1, size=300, old=one.vkey, new=two.vkey), one, two)
    with pytest.raises(ValueError, match="decimal"):
        parse_checkpoint(made)
    with pytest.raises(ValueError, match="not a rotation"):
        parse_rotation(sign_checkpoint(one, size=300, root=bytes(32)))


@pytest.mark.parametrize("path", ["rotation/0", "rotation/01", "rotation/x", "rotation", "rotation/1/2", "rotation/-1"])
def test_a_rotation_has_one_spelling(rotating: Rotating, path: str) -> None:
    assert not is_rotation(path)
    assert is_rotation("rotation/1")
    target = rotating.folder / path
    if path not in ("rotation", "rotation/1/2"):
        target.write_bytes(b"x")
        assert verify_log(rotating.folder, key=None).state == "tampered"


def test_the_whole_log_rewritten_under_the_old_stolen_key_is_caught_by_a_kept_receipt(
    tmp_path: Path, entries: Any
) -> None:
    """What a thief of the first key can do is rewrite up to the change; one receipt from before shows it."""
    log = Rotating(tmp_path / "ledger", entries)
    kept = make_receipt(log.files, 7)
    thief = DiskLogFiles(tmp_path / "forged")
    size, root = integrate(thief, 0, entries(WIDTH + 44, "forged"))
    thief.write("checkpoint", sign_checkpoint(log.keys[0], size=size, root=root))
    log.rotate()
    for name in ("log.vkey", "rotation/1"):
        thief.write(name, (log.folder / name).read_bytes())
    verdict = verify_log(tmp_path / "forged", key=str(log.keys[1].vkey), receipts=[kept])
    assert (verdict.state, verdict.place) == ("tampered", "receipt 1")
