"""The verdict: every way we can think of to bend a ledger, and the place that is named."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gateway.verifier
from gateway.ledger import DiskLogFiles, make_receipt
from gateway.verifier import verify_log
from gateway.verifier.__main__ import main

Log = Any  # tests/gateway/verifier/conftest.py: SignedLog


def test_an_untouched_log_is_proven_and_says_on_what_trust(log: Log) -> None:
    verdict = verify_log(log.folder, key=log.vkey)
    assert (verdict.state, verdict.size, verdict.place, verdict.key_on_trust) == ("proven", 600, None, False)
    assert "nothing kept from earlier" in verdict.detail
    assert verify_log(log.folder, key=None).key_on_trust


def _flip_everywhere(log: Log, count: int) -> None:
    """``count`` changes of one byte, spread over all bytes of all files; each is found at its own file."""
    chance = random.Random(count)
    files = log.files()
    sizes = [path.stat().st_size for path in files]
    for _ in range(count):
        path = chance.choices(files, weights=sizes)[0] if chance.random() < 0.7 else chance.choice(files)
        whole = path.read_bytes()
        position = chance.randrange(len(whole))
        changed = bytearray(whole)
        changed[position] ^= chance.randrange(1, 256)
        path.write_bytes(changed)
        verdict = verify_log(log.folder, key=log.vkey)
        path.write_bytes(whole)
        place = path.relative_to(log.folder).as_posix()
        assert (verdict.state, verdict.place) == ("tampered", place), (place, position, verdict)


def test_a_changed_byte_anywhere_is_found_and_its_file_named(log: Log) -> None:
    _flip_everywhere(log, 200)


@pytest.mark.slow
def test_two_thousand_changed_bytes_are_found_and_their_files_named(log: Log) -> None:
    _flip_everywhere(log, 2_000)


def test_a_changed_byte_is_found_without_a_key_too(log: Log) -> None:
    for path in log.files():
        whole = path.read_bytes()
        for position in (0, len(whole) // 2, len(whole) - 1):
            changed = bytearray(whole)
            changed[position] ^= 1
            path.write_bytes(changed)
            verdict = verify_log(log.folder, key=None)
            assert verdict.state == "tampered", (path.name, position, verdict)
        path.write_bytes(whole)


def test_a_changed_entry_is_named_by_its_number(log: Log) -> None:
    path = log.folder / "tile/entries/001"
    path.write_bytes(path.read_bytes().replace(b'"seq": 300}', b'"seq": 301}'))
    verdict = verify_log(log.folder, key=log.vkey)
    assert verdict.place == "tile/entries/001"
    assert "entry 300" in verdict.detail


def test_inv17_a_whole_log_rewritten_and_signed_with_the_real_key_is_caught_by_a_receipt(
    log: Log, entries: Callable[..., list[bytes]]
) -> None:
    """Invariant 17: with a copy, a public key and one kept receipt, and without us."""
    receipt = make_receipt(DiskLogFiles(log.folder), 17)
    changed = entries(600)
    changed[17] = b'{"event": "nothing", "seq": 17}'
    for forged in (changed, [*changed, *entries(50)], entries(600, "other")):
        log.rewrite(forged)
        assert verify_log(log.folder, key=log.vkey).state == "proven"
        verdict = verify_log(log.folder, key=log.vkey, receipts=[receipt])
        assert (verdict.state, verdict.place) == ("tampered", "receipt 1")
        assert "rewritten" in verdict.detail


def test_a_rewritten_log_is_caught_by_a_kept_checkpoint(log: Log, entries: Callable[..., list[bytes]]) -> None:
    since = (log.folder / "checkpoint").read_bytes()
    log.grow(entries(100))
    assert verify_log(log.folder, key=log.vkey, since=since).state == "proven"
    changed = [*entries(599), b"{}", *entries(100)]
    log.rewrite(changed)
    assert verify_log(log.folder, key=log.vkey).state == "proven"
    verdict = verify_log(log.folder, key=log.vkey, since=since)
    assert (verdict.state, verdict.place) == ("tampered", "since")


def test_a_log_cut_short_and_signed_again_is_caught(log: Log, entries: Callable[..., list[bytes]]) -> None:
    receipt = make_receipt(DiskLogFiles(log.folder), 599)
    log.rewrite(entries(599))
    verdict = verify_log(log.folder, key=log.vkey, receipts=[receipt])
    assert (verdict.state, verdict.place) == ("tampered", "receipt 1")
    assert "removed" in verdict.detail


def test_receipts_hold_while_the_log_grows(log: Log, entries: Callable[..., list[bytes]]) -> None:
    receipts = [make_receipt(DiskLogFiles(log.folder), index) for index in (0, 255, 256, 599)]
    log.grow(entries(1_000))
    assert verify_log(log.folder, key=log.vkey, receipts=receipts).state == "proven"


def test_a_receipt_that_is_not_of_this_key_leaves_the_matter_open(log: Log, tmp_path: Path) -> None:
    other = type(log)(folder=tmp_path / "other", seed=bytes(32))
    other.rewrite([b"one"])
    receipt = make_receipt(DiskLogFiles(other.folder), 0)
    verdict = verify_log(log.folder, key=log.vkey, receipts=[receipt])
    assert (verdict.state, verdict.place) == ("unknown", "receipt 1")
    assert verify_log(log.folder, key=log.vkey, receipts=[b"nonsense"]).state == "unknown"
    assert verify_log(log.folder, key=log.vkey, since=b"nonsense").place == "since"


def test_a_log_signed_with_another_key_is_not_proven_under_the_kept_key(
    log: Log, entries: Callable[..., list[bytes]]
) -> None:
    kept, receipt = log.vkey, make_receipt(DiskLogFiles(log.folder), 0)
    log.seed = bytes(32)
    log.rewrite(entries(600))
    assert verify_log(log.folder, key=kept).place == "log.vkey"
    assert verify_log(log.folder, key=None).state == "proven"  # on trust, and it says so
    assert verify_log(log.folder, key=None, receipts=[receipt]).state == "unknown"
    (log.folder / "log.vkey").unlink()
    assert verify_log(log.folder, key=kept).place == "checkpoint"


@pytest.mark.parametrize(
    "stray",
    ["notes.txt", "tile/0/003", "tile/3/000", "tile/0/000.p/999", "tile/entries/x000/000", "tile/0/.000", "witness/a"],
)
def test_a_stray_file_is_named(log: Log, stray: str) -> None:
    path = log.folder / stray
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x00\x01a")
    verdict = verify_log(log.folder, key=log.vkey)
    assert (verdict.state, verdict.place) == ("tampered", stray)


@pytest.mark.parametrize(
    ("path", "hashes"), [("tile/0/002.p/90", 90), ("tile/3/000.p/1", 1), ("tile/1/001.p/2", 2), ("tile/0/003", 256)]
)
def test_well_formed_hashes_beyond_the_entries_are_named(log: Log, path: str, hashes: int) -> None:
    known = (log.folder / "tile/0/002.p/88").read_bytes() if path.startswith("tile/0/002") else b""
    (log.folder / path).parent.mkdir(parents=True, exist_ok=True)
    (log.folder / path).write_bytes(known.ljust(32 * hashes, b"x"))
    verdict = verify_log(log.folder, key=log.vkey)
    assert (verdict.state, verdict.place, verdict.detail) == ("tampered", path, "lies beyond the end of the log")


def test_a_file_name_cannot_write_on_the_terminal(log: Log, capsys: Any) -> None:
    (log.folder / "\x1b[2J\udcff").write_bytes(b"")
    assert main([str(log.folder)]) == 1
    assert "TAMPERED at \\x1b[2J\\udcff" in capsys.readouterr().out


def test_a_link_in_place_of_a_file_is_named(log: Log, tmp_path: Path) -> None:
    path = log.folder / "tile/0/001"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert verify_log(log.folder, key=log.vkey).place == "tile/0/001"


def test_a_promised_file_that_is_missing_is_tampering(log: Log) -> None:
    for path in log.files():
        data = path.read_bytes()
        path.unlink()
        place = path.relative_to(log.folder).as_posix()
        verdict = verify_log(log.folder, key=log.vkey)
        expected = {"checkpoint": ("unknown", "checkpoint"), "log.vkey": ("proven", None)}
        assert (verdict.state, verdict.place) == expected.get(place, ("tampered", place))
        path.write_bytes(data)


@pytest.mark.parametrize("path", ["tile/0/000", "tile/0/002.p/88", "tile/entries/002.p/88", "checkpoint", "log.vkey"])
@pytest.mark.parametrize("change", [lambda data: data + b"\x00", lambda data: data[:-1], lambda data: b""])
def test_a_longer_shorter_or_empty_file_is_named(log: Log, path: str, change: Callable[[bytes], bytes]) -> None:
    file = log.folder / path
    file.write_bytes(change(file.read_bytes()))
    verdict = verify_log(log.folder, key=log.vkey)
    assert (verdict.state, verdict.place) == ("tampered", path)


def test_a_partial_tile_of_an_earlier_size_must_agree_with_the_tree(log: Log) -> None:
    old = log.folder / "tile/0/002.p/40"
    old.write_bytes((log.folder / "tile/0/002.p/88").read_bytes()[: 40 * 32])
    assert verify_log(log.folder, key=log.vkey).state == "proven"
    old.write_bytes(bytes(40 * 32))
    assert verify_log(log.folder, key=log.vkey).place == "tile/0/002.p/40"


def test_entries_not_signed_yet_are_said_to_prove_nothing(log: Log, entries: Callable[..., list[bytes]]) -> None:
    signed = (log.folder / "checkpoint").read_bytes()
    log.grow(entries(300))
    (log.folder / "checkpoint").write_bytes(signed)
    verdict = verify_log(log.folder, key=log.vkey)
    assert (verdict.state, verdict.size) == ("proven", 600)
    assert "300 further entries are not signed" in verdict.detail
    path = log.folder / "tile/entries/002"
    path.write_bytes(path.read_bytes().replace(b'"seq": 513}', b'"seq": 514}'))
    assert verify_log(log.folder, key=log.vkey).place == "tile/entries/002"


def test_a_root_signed_over_other_entries_is_a_tampered_checkpoint(log: Log) -> None:
    from gateway.ledger import sign_checkpoint

    (log.folder / "checkpoint").write_bytes(sign_checkpoint(log, size=600, root=bytes(32)))
    verdict = verify_log(log.folder, key=log.vkey)
    assert (verdict.state, verdict.place) == ("tampered", "checkpoint")


def test_what_cannot_be_read_is_unknown(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verify_log(tmp_path / "nowhere", key=None).state == "unknown"
    assert verify_log(log.folder, key="nonsense").place == "given key"
    real = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "001":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    verdict = verify_log(log.folder, key=log.vkey)
    assert (verdict.state, verdict.place) == ("unknown", "tile/entries/001")


def test_the_command_answers_with_its_exit_status(log: Log, tmp_path: Path, capsys: Any) -> None:
    receipt, key = tmp_path / "one.tlog-proof", tmp_path / "key"
    receipt.write_bytes(make_receipt(DiskLogFiles(log.folder), 5))
    key.write_text(log.vkey + "\n")
    since = shutil.copy(log.folder / "checkpoint", tmp_path / "since")
    assert main([str(log.folder)]) == 0
    assert "taken on trust" in capsys.readouterr().out
    arguments = [str(log.folder), "--key", str(key), "--receipt", str(receipt), "--since", str(since), "--json"]
    assert main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["state"], said["size"], said["key_on_trust"]) == ("proven", 600, False)
    (log.folder / "tile/0/000").write_bytes(b"")
    assert main([str(log.folder), "--key", log.vkey]) == 1
    assert "TAMPERED at tile/0/000" in capsys.readouterr().out
    assert main([str(log.folder), "--receipt", str(tmp_path / "none")]) == 2
    with pytest.raises(SystemExit) as bad_use:
        main([])
    assert bad_use.value.code == 2


def test_the_verifier_runs_as_a_copy_of_its_folder_without_us(log: Log, tmp_path: Path) -> None:
    """Invariant 17: nothing of the gateway can be imported, and nothing beyond ``cryptography`` is."""
    copy = tmp_path / "alone" / "verifier"
    shutil.copytree(Path(gateway.verifier.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        "import sys, runpy\n"
        "class Wall:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        top = name.partition('.')[0]\n"
        "        if top not in {*sys.stdlib_module_names, 'verifier', 'cryptography', '_cffi_backend', 'cffi'}:\n"
        "            raise ImportError('not allowed here: ' + name)\n"
        "sys.meta_path.insert(0, Wall())\n"
        "sys.argv = ['verifier', *sys.argv[1:]]\n"
        "runpy.run_module('verifier', run_name='__main__')\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=copy.parent, env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    done = run(str(log.folder), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["state"] == "proven"
    (log.folder / "tile/0/000").unlink()
    assert run(str(log.folder)).returncode == 1
