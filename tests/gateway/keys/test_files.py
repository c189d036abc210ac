"""Key files: made once, private or refused, rotated without losing the old, never taken for one another."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.keys import CannotUnwrapError, FileKeys, KeyName, KeysError, KeysUnreadableError, Purpose, Scope
from gateway.keys.port import ON_DEMAND

ALONE = [KeyName.TOKEN, KeyName.BACKUP, KeyName.SOURCE]


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_making_all_twice_changes_no_byte(keys: FileKeys, root: Path, random: Any) -> None:
    keys.add_custodian("h1")
    before = content(root)
    assert set(before) == {f"{name}.v1" for name in KeyName if name not in ON_DEMAND} | {"custodians/h1.v1"}
    again = FileKeys(root, random)
    again.create_all()
    assert again.add_custodian("h1") == 1
    assert content(root) == before


def test_ten_processes_that_start_at_once_agree_on_the_keys(root: Path, random: Any) -> None:
    seen: list[bytes] = []
    start = threading.Barrier(10)

    def begin() -> None:
        mine = FileKeys(root, random)
        start.wait()
        mine.create_all()
        mine.add_custodian("h1")
        scope = Scope(custodian="h1", dataset=None, project=None, version=1)
        seen.append(mine.secret(KeyName.TOKEN) + mine.derive(Purpose.LINKAGE, scope))

    threads = [threading.Thread(target=begin) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 10
    assert len(set(seen)) == 1
    assert not list(root.rglob(".new-*"))


def test_folders_are_0700_and_files_0600_whatever_the_umask(root: Path, random: Any) -> None:
    old = os.umask(0)
    try:
        keys = FileKeys(root, random)
        keys.create_all()
        keys.add_custodian("h1")
    finally:
        os.umask(old)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (root, root / "custodians")} == {0o700}


@pytest.mark.parametrize("name", ["token.v1", "custodians/h1.v1"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o700])
def test_a_key_file_open_to_others_is_refused_by_name(
    keys: FileKeys, root: Path, name: str, mode: int, random: Any
) -> None:
    keys.add_custodian("h1")
    (root / name).chmod(mode)
    with pytest.raises(KeysUnreadableError, match=f"{name} is open to others"):
        use(FileKeys(root, random), name)


def use(keys: FileKeys, name: str) -> None:
    if name.startswith("custodians"):
        keys.derive(Purpose.NOISE, Scope(custodian="h1", dataset="d", project="p", version=1))
    else:
        keys.secret(KeyName.TOKEN)


@pytest.mark.parametrize("folder", ["", "custodians"])
def test_a_key_folder_open_to_others_is_refused(keys: FileKeys, root: Path, folder: str, random: Any) -> None:
    keys.add_custodian("h1")
    (root / folder).chmod(0o750)
    with pytest.raises(KeysUnreadableError, match="is open to others"):
        FileKeys(root, random).create_all()


@pytest.mark.parametrize("name", ["token.v1", "custodians/h1.v1"])
def test_a_symbolic_link_in_place_of_a_key_is_refused(keys: FileKeys, root: Path, name: str, random: Any) -> None:
    keys.add_custodian("h1")
    target = root / "elsewhere"
    (root / name).rename(target)
    (root / name).symlink_to(target)
    with pytest.raises(KeysUnreadableError, match="cannot be opened"):
        use(FileKeys(root, random), name)


def test_a_symbolic_link_in_place_of_the_folder_is_refused(keys: FileKeys, root: Path, random: Any) -> None:
    root.rename(root.with_name("moved"))
    root.symlink_to(root.with_name("moved"))
    with pytest.raises(KeysUnreadableError, match="cannot be opened"):
        FileKeys(root, random).secret(KeyName.TOKEN)


def test_a_folder_or_a_pipe_in_place_of_a_key_is_refused(keys: FileKeys, root: Path, random: Any) -> None:
    (root / "token.v1").unlink()
    os.mkfifo(root / "token.v1", 0o600)
    with pytest.raises(KeysUnreadableError, match="not what it must be"):
        FileKeys(root, random).secret(KeyName.TOKEN)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_of_another_user_is_refused(keys: FileKeys, root: Path, random: Any) -> None:
    os.chown(root / "token.v1", 12345, -1)
    with pytest.raises(KeysUnreadableError, match="another user"):
        FileKeys(root, random).secret(KeyName.TOKEN)


@pytest.mark.parametrize("damage", ["empty", "swapped", "one letter", "missing"])
def test_a_damaged_key_file_is_named_and_not_shown(keys: FileKeys, root: Path, damage: str, random: Any) -> None:
    """Invariant 18: the message holds no part of the key."""
    file = root / "token.v1"
    line = file.read_text()
    body = line.split()[3]
    if damage == "missing":
        file.unlink()
    elif damage == "swapped":
        file.write_text((root / "backup.v1").read_text())
    elif damage == "one letter":
        file.write_text(line.replace(body, ("A" if body[0] != "A" else "B") + body[1:]))
    else:
        file.write_text("")
    with pytest.raises(KeysUnreadableError, match=r"token") as caught:
        FileKeys(root, random).secret(KeyName.TOKEN)
    assert body[:8] not in str(caught.value)


def test_the_keys_that_stand_alone_differ(keys: FileKeys) -> None:
    assert len({keys.secret(name) for name in ALONE}) == len(ALONE)


@pytest.mark.parametrize("name", [KeyName.KEK, KeyName.LEDGER_SIGNING])
def test_the_kek_and_the_signing_key_do_not_leave(keys: FileKeys, name: KeyName) -> None:
    with pytest.raises(KeysError, match="does not leave"):
        keys.secret(name)


def test_rotation_adds_a_version_and_keeps_the_old(keys: FileKeys, root: Path, random: Any) -> None:
    before = content(root)
    blob = keys.wrap("h1/row/1", b"secret")
    old_token, old_signer = keys.secret(KeyName.TOKEN), keys.ledger_signer("log").public_key
    for name in KeyName:
        first = 1 if name in ON_DEMAND else 2  # what nobody has asked for yet has no version to keep
        assert keys.rotate(name) == first
        assert list(keys.versions(name)) == list(range(1, first + 1))
    for fresh in (keys, FileKeys(root, random)):
        assert fresh.unwrap("h1/row/1", blob) == b"secret"
        assert fresh.secret(KeyName.TOKEN, version=1) == old_token != fresh.secret(KeyName.TOKEN)
        assert fresh.ledger_signer("log", version=1).public_key == old_signer != fresh.ledger_signer("log").public_key
    assert keys.wrap("h1/row/1", b"secret")[:8] == b"TGW1\0\0\0\2"
    assert before.items() <= content(root).items()


def test_versions_sort_as_numbers(keys: FileKeys) -> None:
    for _ in range(10):
        keys.rotate(KeyName.TOKEN)
    assert list(keys.versions(KeyName.TOKEN)) == list(range(1, 12))


def test_a_rotated_custodian_key_derives_anew_and_the_old_still_derives(
    keys: FileKeys, root: Path, random: Any
) -> None:
    keys.add_custodian("h1")
    first = Scope(custodian="h1", dataset="d", project="p", version=1)
    old = keys.derive(Purpose.PSEUDONYMS, first)
    keys.rotate(KeyName.KEK)
    assert keys.rotate_custodian("h1") == keys.custodian_version("h1") == keys.add_custodian("h1") == 2
    fresh = FileKeys(root, random)
    assert fresh.derive(Purpose.PSEUDONYMS, first) == old
    assert fresh.derive(Purpose.PSEUDONYMS, Scope(custodian="h1", dataset="d", project="p", version=2)) != old
    with pytest.raises(KeysUnreadableError, match="no version 3"):
        fresh.derive(Purpose.PSEUDONYMS, Scope(custodian="h1", dataset="d", project="p", version=3))


def test_a_custodian_without_a_key_is_not_given_one_in_passing(keys: FileKeys, root: Path) -> None:
    for act in (keys.custodian_version, keys.rotate_custodian):
        with pytest.raises(KeysUnreadableError, match="no key h9"):
            act("h9")
    assert not list((root / "custodians").iterdir())


@pytest.mark.parametrize("custodian", ["", "../kek", "a/b", "a.v1", ".hidden", "a" * 129, "a b"])
def test_a_custodian_id_is_never_a_path(keys: FileKeys, custodian: str) -> None:
    with pytest.raises(KeysError, match="custodian's id"):
        keys.add_custodian(custodian)


def test_one_custodians_key_file_does_not_open_as_anothers(keys: FileKeys, root: Path, random: Any) -> None:
    """Invariant 20: custodians do not interfere."""
    keys.add_custodian("h1")
    line = (root / "custodians/h1.v1").read_text().replace(" h1 ", " h2 ")
    (root / "custodians/h2.v1").touch(0o600)
    (root / "custodians/h2.v1").write_text(line)
    with pytest.raises(CannotUnwrapError, match="h2/custodian-key/1"):
        FileKeys(root, random).derive(Purpose.NOISE, Scope(custodian="h2", dataset=None, project=None, version=1))


def test_a_wrapped_secret_opens_in_its_context_only(keys: FileKeys) -> None:
    blob = keys.wrap("h1/participant/7", b"secret")
    assert keys.unwrap("h1/participant/7", blob) == b"secret"
    assert b"secret" not in blob
    with pytest.raises(CannotUnwrapError, match="h2/participant/7"):
        keys.unwrap("h2/participant/7", blob)


def test_every_changed_byte_of_a_wrapped_secret_is_found(keys: FileKeys) -> None:
    blob = keys.wrap("c", b"secret")
    keys.rotate(KeyName.KEK)
    for at in range(len(blob)):
        changed = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        with pytest.raises(CannotUnwrapError):
            keys.unwrap("c", changed)
    for cut in (0, 10, len(blob) - 1):
        with pytest.raises(CannotUnwrapError):
            keys.unwrap("c", blob[:cut])


def test_a_blob_does_not_open_under_another_kek_version(keys: FileKeys) -> None:
    keys.rotate(KeyName.KEK)
    blob = bytearray(keys.wrap("c", b"secret"))
    blob[7] = 1
    with pytest.raises(CannotUnwrapError, match="changed, or belongs elsewhere"):
        keys.unwrap("c", bytes(blob))


def test_the_signer_signs_what_another_verifier_accepts(keys: FileKeys) -> None:
    signer = keys.ledger_signer("tongguan.example/log")
    assert signer.name == "tongguan.example/log"
    Ed25519PublicKey.from_public_bytes(signer.public_key).verify(signer.sign(b"note"), b"note")
