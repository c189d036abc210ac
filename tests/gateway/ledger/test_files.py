"""The disk: what is written is durable or refused, and after a failed fsync nothing is acknowledged again."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import LedgerUnavailable
from gateway.ledger import DiskLogFiles
from gateway.verifier import verify_log

World = Any  # tests/gateway/ledger/conftest.py: LedgerWorld


def test_what_is_written_reads_back_and_nothing_else_is_there(tmp_path: Path) -> None:
    files = DiskLogFiles(tmp_path / "ledger")
    files.write("tile/0/x001/000.p/7", b"abc")
    files.write("tile/0/x001/000.p/7", b"abcd")
    assert files.read("tile/0/x001/000.p/7") == b"abcd"
    assert files.read("tile/0/000") is None
    assert [path.name for path in (tmp_path / "ledger").rglob("*") if path.is_file()] == ["7"]


def test_folders_are_0700_and_files_0600(tmp_path: Path) -> None:
    DiskLogFiles(tmp_path / "ledger").write("tile/0/000", b"abc")
    for path in [tmp_path / "ledger", *(tmp_path / "ledger").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", ".tmp/x", "", "a//b", "a\n", "a\x00b"])
def test_a_path_outside_the_log_is_refused(tmp_path: Path, path: str) -> None:
    files = DiskLogFiles(tmp_path / "ledger")
    with pytest.raises(ValueError):
        files.write(path, b"x")
    with pytest.raises(ValueError):
        files.read(path)


def test_a_folder_where_a_file_should_be_is_trouble_and_not_absence(tmp_path: Path) -> None:
    files = DiskLogFiles(tmp_path / "ledger")
    files.write("tile/0/000", b"abc")
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        files.read("tile/0")


def test_a_full_disk_is_one_sentence_and_does_not_poison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = DiskLogFiles(tmp_path / "ledger")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", _raising(errno.ENOSPC))
        with pytest.raises(LedgerUnavailable, match="checkpoint cannot be written"):
            files.write("checkpoint", b"x")
    assert files.read("checkpoint") is None
    files.write("checkpoint", b"x")


def test_after_one_failed_fsync_nothing_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = DiskLogFiles(tmp_path / "ledger")
    files.write("checkpoint", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _raising(errno.EIO))
        with pytest.raises(LedgerUnavailable):
            files.write("checkpoint", b"new")
    with pytest.raises(LedgerUnavailable, match="failed fsync"):
        files.write("checkpoint", b"new")
    assert files.read("checkpoint") == b"old"


@pytest.mark.parametrize("number", range(1, 4))
def test_every_fsync_of_a_write_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A new folder's parent, the file, the folder after the rename: each failure is seen."""
    files = DiskLogFiles(tmp_path / "ledger")
    calls, real = 0, os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(LedgerUnavailable):
        files.write("tile/x", b"x")
    assert calls == number


def test_an_unfinished_write_is_cleared_at_the_start(tmp_path: Path, disk: World) -> None:
    disk.append(b"one", b"two")
    unfinished = tmp_path / "ledger" / ".tmp" / "checkpoint"
    unfinished.write_bytes(b"half")
    assert verify_log(tmp_path / "ledger", key=disk.vkey).state == "proven"
    other = DiskLogFiles(tmp_path / "ledger")
    assert unfinished.exists(), "opening a log must not take a live writer's file away"
    with other.exclusive() as alone:
        assert alone
        assert not unfinished.exists()


@pytest.mark.parametrize("call", ["fsync", "write", "open", "replace"])
def test_an_error_at_any_system_call_leaves_a_log_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: World, call: str
) -> None:
    """Each occurrence of each call fails once; after a restart the log holds every entry and audits clean."""
    disk.append(b"first")
    seen, count = 0, 1
    while True:
        disk.outbox.bodies.append(b"entry %d" % count)
        disk.files = DiskLogFiles(tmp_path / "ledger")
        failing = _FailingAt(count, getattr(os, call))
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                disk.sequencer.run_once()
            except LedgerUnavailable:
                seen += 1
        if failing.calls < count:
            break
        disk.files = DiskLogFiles(tmp_path / "ledger")
        disk.append()
        verdict = verify_log(tmp_path / "ledger", key=disk.vkey)
        assert (verdict.state, verdict.size) == ("proven", count + 1), verdict
        count += 1
    assert seen == count - 1 >= 3


def _raising(number: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


class _FailingAt:
    """A system call whose ``number``-th call fails."""

    def __init__(self, number: int, real: Callable[..., Any]) -> None:
        self.calls = 0
        self._number, self._real = number, real

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls == self._number:
            raise OSError(errno.EIO, "Input/output error")
        return self._real(*arguments, **options)
