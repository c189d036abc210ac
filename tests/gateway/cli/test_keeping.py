"""The client keeps what it saw of a server's ledger and does not believe a server that shows another history."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.keeping import keep_up, kept_keys
from gateway.cli.session import Gateway
from gateway.errors import GatewayError, Rewritten
from gateway.ledger import DiskLogFiles, make_receipt
from gateway.verifier.note import parse_checkpoint
from gateway.verifier.rotation import Rotation
from tests.gateway.verifier.conftest import SignedLog, some_entries
from tests.gateway.verifier.test_rotation import Rotating, Seeded, note


@dataclass
class Served(Gateway):
    """A server that answers from a folder, and never with entries."""

    folder: Path
    server: str = "http://ledger.invalid"

    def find_bytes(self, path: str) -> bytes | None:
        assert "entries" not in path, "a client needs hashes alone"
        file = self.folder / path.removeprefix("/ledger/")
        return file.read_bytes() if file.is_file() else None


@pytest.fixture
def log(tmp_path: Path) -> SignedLog:
    made = SignedLog(folder=tmp_path / "ledger")
    made.rewrite(some_entries(300))
    return made


def test_a_log_that_only_grows_is_followed(log: SignedLog, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    for more in (0, 1, 5, 300, 0):
        if more:
            log.grow(some_entries(more, "more"))
        _, head = keep_up(Served(folder=log.folder), kept)
        assert (kept / "checkpoint").read_bytes() == (log.folder / "checkpoint").read_bytes()
    assert head.size == 606


@pytest.mark.parametrize("count", [299, 300, 301, 900])
def test_a_rewritten_or_shortened_log_signed_with_the_real_key_is_an_alarm(
    log: SignedLog, tmp_path: Path, count: int
) -> None:
    kept = tmp_path / "kept"
    keep_up(Served(folder=log.folder), kept)
    before = (kept / "checkpoint").read_bytes()
    log.rewrite([b"{}", *some_entries(count)[1:]] if count != 299 else some_entries(299))
    with pytest.raises(Rewritten):
        keep_up(Served(folder=log.folder), kept)
    assert (kept / "checkpoint").read_bytes() == before, "the evidence is kept"


def test_another_key_is_an_alarm_however_well_it_signs(log: SignedLog, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    keep_up(Served(folder=log.folder), kept)
    other = SignedLog(folder=tmp_path / "other", seed=bytes(32))
    other.rewrite(some_entries(300))
    with pytest.raises(Rewritten, match="another ledger key"):
        keep_up(Served(folder=other.folder), kept)


def test_tiles_that_do_not_lead_to_the_signed_roots_are_not_believed(log: SignedLog, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    keep_up(Served(folder=log.folder), kept)
    log.grow(some_entries(300, "more"))
    tile = log.folder / "tile" / "0" / "001"
    tile.write_bytes(bytes(len(tile.read_bytes())))
    with pytest.raises((Rewritten, GatewayError)):
        keep_up(Served(folder=log.folder), kept)


def test_a_checkpoint_that_the_key_did_not_sign_is_not_kept(log: SignedLog, tmp_path: Path) -> None:
    signed = (log.folder / "checkpoint").read_bytes()
    (log.folder / "checkpoint").write_bytes(signed.replace(b"\n300\n", b"\n301\n"))
    with pytest.raises(Rewritten):
        keep_up(Served(folder=log.folder), tmp_path / "kept")
    assert not (tmp_path / "kept" / "checkpoint").exists()


def test_a_key_that_the_kept_one_signed_for_is_followed_and_kept_and_its_loss_is_an_alarm(
    tmp_path: Path,
) -> None:
    log, kept = Rotating(tmp_path / "ledger", some_entries), tmp_path / "kept"
    keep_up(Served(folder=log.folder), kept)
    log.rotate()
    log.grow(20)
    keys, head = keep_up(Served(folder=log.folder), kept)
    assert (head.size, keys.current) == (320, log.keys[1].vkey)
    assert (kept / "rotation" / "1").read_bytes() == (log.folder / "rotation" / "1").read_bytes()
    (log.folder / "rotation" / "1").unlink()
    log.sign(log.keys[0])
    with pytest.raises(Rewritten):
        keep_up(Served(folder=log.folder), kept)


def test_a_change_of_key_that_the_kept_one_did_not_sign_is_an_alarm(tmp_path: Path) -> None:
    log, kept = Rotating(tmp_path / "ledger", some_entries), tmp_path / "kept"
    keep_up(Served(folder=log.folder), kept)
    made = Rotation(number=1, size=300, old=log.keys[0].vkey, new=Seeded(2).vkey)
    log.files.write("rotation/1", note(made, Seeded(2), Seeded(2)))
    with pytest.raises(Rewritten, match="did not sign"):
        keep_up(Served(folder=log.folder), kept)


@dataclass
class ServedYears(Served):
    """The log of 2027 at the front, that of 2026 under its number."""

    old: SignedLog | None = None
    entry: bytes = b""
    after_end: int = 0

    def find_bytes(self, path: str) -> bytes | None:
        rest = path.removeprefix("/ledger/former/1/")
        if rest == path or self.old is None:
            return None if "former/" in path else super().find_bytes(path)
        if rest == "end":
            return self.entry
        if rest == "end.tlog-proof":
            size = parse_checkpoint((self.old.folder / "checkpoint").read_bytes()).size
            return make_receipt(DiskLogFiles(self.old.folder), size - 1 - self.after_end)
        return Served(folder=self.old.folder).find_bytes(f"/ledger/{rest}")


def turned(tmp_path: Path, log: SignedLog) -> tuple[ServedYears, SignedLog]:
    new = SignedLog(folder=tmp_path / "2027", origin="gateway.example/provisions-2027", seed=bytes(32))
    public = {"next": new.origin, "next_key": new.public_key.hex()}
    said = {"kind": "fact", "personal": {"fields": {}}, "public": public, "type": "log.end"}
    end = json.dumps(said, separators=(",", ":")).encode()
    log.grow([*some_entries(3, "late"), end])
    new.rewrite(some_entries(9))
    return ServedYears(folder=new.folder, old=log, entry=end), new


def test_a_new_year_that_the_kept_log_names_is_followed(log: SignedLog, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "server"
    keep_up(Served(folder=log.folder), kept)
    served, new = turned(tmp_path, log)
    for _ in range(2):
        keys, head = keep_up(served, kept)
        assert (head.origin, head.size, str(keys.current)) == (new.origin, 9, new.vkey)
    former = kept_keys(kept, log.origin)
    assert former is not None
    assert str(former.current) == log.vkey
    assert kept_keys(kept, "another.example/log") is None


def test_a_change_of_year_that_was_cut_short_goes_on_and_trusts_nobody_anew(log: SignedLog, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    keep_up(Served(folder=log.folder), kept)
    served, _ = turned(tmp_path, log)
    keep_up(served, kept)
    kept.rename(tmp_path / "kept.next")
    stranger = SignedLog(folder=tmp_path / "strange", origin=log.origin, seed=bytes([9] * 32))
    stranger.rewrite(some_entries(9))
    with pytest.raises(Rewritten):
        keep_up(Served(folder=stranger.folder), kept)


@pytest.mark.parametrize("lie", ["no end", "another end", "rewritten", "no former", "another key", "went on"])
def test_a_new_log_that_the_kept_one_does_not_lead_to_is_an_alarm(log: SignedLog, tmp_path: Path, lie: str) -> None:
    kept = tmp_path / "kept"
    keep_up(Served(folder=log.folder), kept)
    before = (kept / "log.vkey").read_bytes()
    served, new = turned(tmp_path, log)
    if lie == "no end":
        log.grow(some_entries(1))
    elif lie == "went on":
        log.grow(some_entries(1))
        served.after_end = 1
    elif lie == "another end":
        served.entry = served.entry.replace(b"2027", b"2028")
    elif lie == "rewritten":
        log.rewrite([*some_entries(400, "other"), served.entry])
    elif lie == "no former":
        served.old = None
    else:
        SignedLog(folder=new.folder, origin=new.origin, seed=bytes([9] * 32)).rewrite(some_entries(9))
    for _ in range(2):
        with pytest.raises(Rewritten):
            keep_up(served, kept)
    assert before in {path.read_bytes() for path in tmp_path.glob("kept*/log.vkey")}, "the evidence is kept"
