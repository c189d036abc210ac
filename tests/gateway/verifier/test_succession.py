"""Logs of several years as one line: what an insider with every key can still not do, because the next log says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger import DiskLogFiles, make_receipt
from gateway.verifier.note import parse_checkpoint
from gateway.verifier.succession import verify_line
from tests.gateway.verifier.conftest import SignedLog, some_entries

OLD, NEW = "gateway.example/provisions-2026", "gateway.example/provisions-2027"


def entry(kind: str, **public: Any) -> bytes:
    return json.dumps({"public": public, "type": kind}, separators=(",", ":")).encode()


class TwoYears:
    """A log of 2026 that ended, and the one of 2027 that follows it; each has a key of its own."""

    def __init__(self, folder: Path) -> None:
        self.old = SignedLog(folder=folder / "2026", origin=OLD)
        self.new = SignedLog(folder=folder / "2027", origin=NEW, seed=bytes(32))
        self.end = entry("log.end", next=NEW, next_key=self.new.public_key.hex())
        self.old.rewrite([*some_entries(300), self.end])
        self.begin()

    def begin(self, **changed: Any) -> None:
        head = parse_checkpoint((self.old.folder / "checkpoint").read_bytes())
        public = {"former": OLD, "size": head.size, "root": head.root.hex(), "number": 2} | changed
        self.new.rewrite([entry("log.begin", **public), *some_entries(5)])

    @property
    def folders(self) -> list[Path]:
        return [self.old.folder, self.new.folder]

    def found(self, key: str | None = None) -> tuple[str, str | None]:
        verdict = verify_line(self.folders, key=key or self.new.vkey)
        return verdict.state, verdict.place


@pytest.fixture
def years(tmp_path: Path) -> TwoYears:
    return TwoYears(tmp_path)


def test_an_honest_line_is_proven_by_the_key_of_either_log(years: TwoYears) -> None:
    assert years.found(years.new.vkey) == years.found(years.old.vkey) == ("proven", None)
    stranger = SignedLog(folder=years.old.folder, origin=OLD, seed=bytes([7] * 32))
    assert years.found(stranger.vkey)[0] == "tampered"


def test_each_log_still_proves_alone(years: TwoYears) -> None:
    for folder in years.folders:
        assert verify_line([folder], key=None).state == "proven"


@pytest.mark.parametrize("count", [299, 300, 301])
def test_the_old_log_rewritten_with_its_real_key_is_caught_by_the_next(years: TwoYears, count: int) -> None:
    years.old.rewrite([*some_entries(count, "rewritten"), years.end])
    state, place = years.found()
    assert (state, place) == ("tampered", "tile/entries/000")


def test_an_old_log_cut_before_its_end_is_caught(years: TwoYears) -> None:
    years.old.rewrite(some_entries(300))
    state, place = years.found()
    assert state == "tampered"
    assert place is not None
    assert place.startswith("2026/")


@pytest.mark.parametrize("signed", [True, False])
def test_nothing_can_be_added_after_the_end_even_with_the_key(years: TwoYears, signed: bool) -> None:
    checkpoint = (years.old.folder / "checkpoint").read_bytes()
    years.old.grow(some_entries(3, "late"))
    if not signed:
        (years.old.folder / "checkpoint").write_bytes(checkpoint)
    verdict = verify_line([years.old.folder], key=years.old.vkey)
    assert (verdict.state, "ends the log" in verdict.detail) == ("tampered", True), verdict


@pytest.mark.parametrize(
    "changed",
    [{"former": "another.example/log"}, {"size": 300}, {"root": bytes(32).hex()}],
    ids=["name", "size", "root"],
)
def test_a_log_that_begins_after_something_else_is_refused(years: TwoYears, changed: dict[str, Any]) -> None:
    years.begin(**changed)
    assert years.found() == ("tampered", "tile/entries/000")


@pytest.mark.parametrize("changed", [{"next": "another.example/log"}, {"next_key": bytes(32).hex()}])
def test_a_successor_that_the_old_log_did_not_name_is_refused(years: TwoYears, changed: dict[str, Any]) -> None:
    public = {"next": NEW, "next_key": years.new.public_key.hex()} | changed
    years.old.rewrite([*some_entries(300), entry("log.end", **public)])
    years.begin()
    state, place = years.found()
    assert (state, str(place)[:5]) == ("tampered", "2026/")


def test_a_byte_of_a_former_log_is_found_and_named_with_its_folder(years: TwoYears) -> None:
    tile = years.old.folder / "tile" / "0" / "000"
    good = tile.read_bytes()
    tile.write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
    assert years.found() == ("tampered", f"{years.old.folder.name}/tile/0/000")
    tile.write_bytes(good)
    (years.old.folder / "checkpoint").unlink()
    assert years.found() == ("unknown", f"{years.old.folder.name}/checkpoint")


def test_what_was_kept_of_the_old_year_still_counts(years: TwoYears) -> None:
    receipt = make_receipt(DiskLogFiles(years.old.folder), 17)
    since = (years.old.folder / "checkpoint").read_bytes()
    verdict = verify_line(years.folders, key=years.new.vkey, receipts=[receipt], since=since)
    assert (verdict.state, "1 receipt confirmed" in verdict.detail) == ("proven", True)
    years.old.rewrite([*some_entries(300, "rewritten"), years.end])
    years.begin()  # an insider with both keys, who rewrites both years
    assert years.found() == ("proven", None)
    for kept in ({"receipts": [receipt]}, {"since": since}):
        assert verify_line(years.folders, key=years.new.vkey, **kept).state == "tampered"  # type: ignore[arg-type]
