"""The log in an object store: what is written once stays, the checkpoint is replaced over what was read, or nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import GenericError
from obstore.store import MemoryStore, ObjectStore

from gateway import object_log
from gateway.errors import BadInput, LedgerUnavailable
from gateway.object_log import ObjectLogFiles
from gateway.object_store import read_store
from gateway.verifier import verify_log

LedgerWorld = Any  # tests/gateway/ledger/conftest.py
PUT = obstore.put


def files_in(store: ObjectStore, folder: Path, writer: str = "one") -> ObjectLogFiles:
    return ObjectLogFiles(store, "ledger", place="s3://bucket", lock=folder / "lock", token=writer)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def files(store: MemoryStore, tmp_path: Path) -> ObjectLogFiles:
    return files_in(store, tmp_path)


def names(store: ObjectStore) -> list[str]:
    return sorted(one["path"] for part in obstore.list(store) for one in part)


def test_what_is_written_once_is_never_another(files: ObjectLogFiles, store: MemoryStore, tmp_path: Path) -> None:
    files.write("tile/0/000", b"abc")
    files.write("tile/0/000", b"abc")
    for writer in (files, files_in(store, tmp_path, "other")):
        with pytest.raises(LedgerUnavailable, match="tile/0/000 is there already and says something else"):
            writer.write("tile/0/000", b"abd")
        with pytest.raises(LedgerUnavailable, match="is there already"):
            writer.write("tile/0/000", b"")
    assert files.read("tile/0/000") == b"abc"
    assert names(store) == ["ledger/tile/0/000"], "what was written to try the store is gone"


def test_a_writer_that_stood_still_does_not_put_its_old_checkpoint_over_a_later_one(
    files: ObjectLogFiles, store: MemoryStore, tmp_path: Path
) -> None:
    files.write("checkpoint", b"1")
    assert files.read("checkpoint") == b"1"
    awake = files_in(store, tmp_path, "other")
    assert awake.read("checkpoint") == b"1"
    awake.write("checkpoint", b"2")
    reader = threading.Thread(target=lambda: files.read("checkpoint"))  # a page served meanwhile is no reading of ours
    reader.start()
    reader.join()
    with pytest.raises(LedgerUnavailable, match="replaced by another process meanwhile"):
        files.write("checkpoint", b"1 again")
    assert files.read("checkpoint") == b"2"
    files.write("checkpoint", b"3")
    assert awake.read("checkpoint") == b"3"


def test_two_first_checkpoints_are_not_both_written(
    files: ObjectLogFiles, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = files_in(store, tmp_path, "other")

    def late(self: ObjectLogFiles, name: str) -> bytes | None:
        found = read(self, name)
        if self is files and found is None:
            other.write(name, b"theirs")
        return found

    read = ObjectLogFiles._read
    monkeypatch.setattr(ObjectLogFiles, "_read", late)
    with pytest.raises(LedgerUnavailable):
        files.write("checkpoint", b"ours")
    assert other.read("checkpoint") == b"theirs"


def test_a_store_that_writes_over_what_is_to_be_written_once_is_refused_before_the_first_byte(
    files: ObjectLogFiles, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obstore, "put", lambda store, name, data, **_: PUT(store, name, data))
    with pytest.raises(LedgerUnavailable, match="ignores If-None-Match"):
        files.write("tile/0/000", b"abc")
    assert names(store) == []


def without_if_match(store: ObjectStore, name: str, data: bytes, *, mode: Any, **given: Any) -> Any:
    """As OpenStack Swift answers."""
    if isinstance(mode, dict):
        raise GenericError("Server returned non-2xx status code: 501 Not Implemented")
    return PUT(store, name, data, mode=mode, **given)


def test_where_a_store_cannot_compare_the_checkpoint_is_replaced_and_tiles_are_still_written_once(
    files: ObjectLogFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obstore, "put", without_if_match)
    for head in (b"1", b"2", b"3"):
        files.write("checkpoint", head)
        assert files.read("checkpoint") == head
    files.write("tile/0/000", b"abc")
    with pytest.raises(LedgerUnavailable, match="says something else"):
        files.write("tile/0/000", b"abd")


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_log_whose_writes_break_off_anywhere_is_mended_by_the_next_run(tmp_path: Path, carried_out: bool) -> None:
    broken = 0
    for fail_at in range(1, 200):
        store, left = MemoryStore(), fail_at

        def put(where: ObjectStore, name: str, data: bytes, **given: Any) -> Any:
            nonlocal left
            left -= object_log.PROBE not in name
            if left or carried_out:
                done = PUT(where, name, data, **given)
            if not left and object_log.PROBE not in name:
                raise GenericError("the answer never came")
            return done

        world = new_world(store, tmp_path)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(object_log.obstore, "put", put)
            try:
                world.append(*(b"%d" % n for n in range(300)))
                world.append(*(b"%d" % n for n in range(300, 520)))
            except LedgerUnavailable:
                broken += 1
        if left > 0:
            break
        world.files = files_in(store, tmp_path, "again")
        world.append(*(b"%d" % n for n in range(len(world.outbox.bodies), 520)))
        verdict = verify_log(world.files.folder(), key=world.vkey)
        assert (verdict.state, verdict.size) == ("proven", 520), (fail_at, verdict)
    assert broken == fail_at - 1 >= 12, "every write was one that broke off"


def new_world(store: ObjectStore, folder: Path) -> LedgerWorld:
    from tests.gateway.ledger.conftest import LedgerWorld

    return LedgerWorld(files=files_in(store, folder))


def test_names_that_no_log_has_are_carried_to_the_verifier_and_nowhere_else(store: MemoryStore, tmp_path: Path) -> None:
    world = new_world(store, tmp_path)
    world.append(b"one")
    assert verify_log(world.files.folder(), key=world.vkey).state == "proven"
    PUT(store, "ledger/tile/0/a b", b"x")
    folder = world.files.folder()
    verdict = verify_log(folder, key=world.vkey)
    assert (verdict.state, verdict.place) == ("tampered", "%tile%2F0%2Fa%20b")
    assert all(path.resolve().is_relative_to(folder.resolve()) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["tile", "tile/0", "checkpoint/extra"])
def test_an_object_that_stands_where_a_folder_is_needed_is_found_and_stops_no_audit(
    store: MemoryStore, tmp_path: Path, name: str
) -> None:
    world = new_world(store, tmp_path)
    world.append(b"one")
    PUT(store, f"ledger/{name}", b"x")
    verdict = verify_log(world.files.folder(), key=world.vkey)
    assert verdict.state in ("tampered", "unknown"), verdict
    assert verdict.state == "tampered" or name.startswith("checkpoint")


def test_old_partial_tiles_are_removed_and_a_retired_log_whole(store: MemoryStore, tmp_path: Path) -> None:
    world = new_world(store, tmp_path)
    for start in range(0, 300, 100):
        world.append(*(b"%d" % n for n in range(start, start + 100)))
    kept = [name for name in names(store) if ".p" in name]
    assert kept == ["ledger/tile/0/001.p/44", "ledger/tile/1/000.p/1", "ledger/tile/entries/001.p/44"]
    PUT(store, "ledger-2/checkpoint", b"the next year's")
    world.files.remove()
    assert names(store) == ["ledger-2/checkpoint"]
    world.files.remove()


GOOD = """
bucket = "hospital-ledger"
endpoint = "https://s3.example"
region = "south-1"
access_key_id = "AK"
secret_access_key = "a very secret word"
"""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (GOOD + "colour = 'red'", "colour: Extra inputs"),
        (GOOD.replace("https:", "http:"), "endpoint: .*must begin with https"),
        (GOOD.replace("s3.example", "s3.example/path"), "endpoint"),
        (GOOD.replace("https://s3.example", "https://1.2.3.4") + "bucket_in_host = true", "a name, not an address"),
        (GOOD.replace("hospital-ledger", "../other"), "bucket"),
        (GOOD + "prefix = 'a/../b'", "prefix"),
        (GOOD.replace("secret_access_key", "other"), "secret_access_key: Field required"),
        (GOOD + "region = ", "cannot be read as TOML"),
        (GOOD + "bucket_in_host = 'yes'", "bucket_in_host"),
    ],
)
def test_a_store_file_that_says_too_much_or_too_little_is_refused_without_its_secret(
    tmp_path: Path, said: str, why: str
) -> None:
    path = tmp_path / "store.toml"
    path.write_text(said, "utf-8")
    path.chmod(0o600)
    with pytest.raises(BadInput, match=why) as refused:
        read_store(path)
    assert "very secret" not in str(refused.value)


def test_a_store_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.toml"
    path.write_text(GOOD, "utf-8")
    path.chmod(0o640)
    with pytest.raises(BadInput, match="chmod 600"):
        read_store(path)
    path.chmod(0o600)
    assert read_store(path).prefix == "tongguan"
    with pytest.raises(BadInput, match="No such file"):
        read_store(tmp_path / "nothing.toml")
