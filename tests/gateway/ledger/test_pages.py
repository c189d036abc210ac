"""The sealed pages of the fact index: they save time at a start and can say nothing that the log does not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import LedgerUnavailable
from gateway.keys.errors import CannotUnwrapError
from gateway.keys.wrapping import unwrapped, wrapped
from gateway.ledger import FactIndex, pages
from gateway.ledger.pages import SealedPages

LedgerWorld = Any  # tests/gateway/ledger/conftest.py
KEY = bytes(32)


def fact(row: str, version: int, number: int) -> bytes:
    said = {"table": "person", "row": row, "version": version, "scopes": ["s", f"of-{row}"]}
    root = base64.b64encode(number.to_bytes(32, "big")).decode()
    body = {"id": str(number), "public": {"fact": said}, "personal": {"root": root}}
    return json.dumps(body, separators=(",", ":")).encode()


def sealed_pages(folder: Path, *, origin: str = "o", key: bytes = KEY) -> SealedPages:
    return SealedPages(
        folder,
        origin=origin,
        seal=lambda context, body: wrapped(body, kek=key, version=1, context=context, nonce=bytes(12)),
        unseal=lambda context, blob: unwrapped(blob, kek=key, context=context),
    )


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.ledger.facts.PAGE", 300)
    assert pages.PAGE == 16_384


def grown(world: LedgerWorld, folder: Path, count: int) -> FactIndex:
    world.append(*(fact(f"row{n % 50}", 1 + n // 50, n) for n in range(count)))
    index = FactIndex(world.files, pages=sealed_pages(folder))
    index.refresh()
    return index


def everything(index: FactIndex) -> list[Any]:
    rows = sorted(index.rows())
    return [(row, index.latest(*row), sorted(index.rows_in(f"of-{row[1]}"))) for row in rows]


def restarted(world: LedgerWorld, folder: Path, **how: Any) -> tuple[FactIndex, set[str]]:
    """A fresh index over the pages; and the bundles it read."""
    world.files.reads.clear()
    index = FactIndex(world.files, pages=sealed_pages(folder, **how))
    index.refresh()
    return index, {path for path in world.files.reads if path.startswith("tile/entries/")}


def test_after_a_restart_only_what_follows_the_pages_is_read_and_the_same_is_known(
    memory: LedgerWorld, tmp_path: Path
) -> None:
    before = grown(memory, tmp_path, 1500)
    memory.append(fact("late", 1, 1500))
    before.refresh()
    index, read = restarted(memory, tmp_path)
    assert len(read) == 1, "1024 entries and more lie in pages"
    assert everything(index) == everything(before)
    assert (index.size, index.rows_in("s")) == (1501, before.rows_in("s"))


def test_pages_and_log_go_on_together_however_often_it_starts_again(memory: LedgerWorld, tmp_path: Path) -> None:
    number = 0
    for step in (1, 299, 300, 1, 700, 255, 2):
        memory.append(*(fact(f"row{n % 50}", 1 + n // 50, n) for n in range(number, number + step)))
        number += step
        index, _ = restarted(memory, tmp_path)
        index.refresh()
    plain = FactIndex(memory.files)
    plain.refresh()
    assert everything(index) == everything(plain)
    ends = [page.end for page in sealed_pages(tmp_path).read()]
    assert ends == sorted(ends)
    assert ends[-1] > 1500 - 300


@pytest.mark.parametrize("damage", ["byte", "cut", "gone", "moved"])
def test_a_page_that_was_touched_is_forgotten_and_the_log_itself_is_read(
    memory: LedgerWorld, tmp_path: Path, damage: str
) -> None:
    before = grown(memory, tmp_path, 1500)
    first, second = sorted(path for path in tmp_path.iterdir() if path.is_file())[:2]
    if damage == "byte":
        data = bytearray(second.read_bytes())
        data[-20] ^= 1
        second.write_bytes(data)
    elif damage == "cut":
        second.write_bytes(second.read_bytes()[:100])
    elif damage == "gone":
        second.unlink()
    else:
        second.write_bytes(first.read_bytes())
    index, read = restarted(memory, tmp_path)
    assert everything(index) == everything(before)
    assert len(read) >= 4


@pytest.mark.parametrize("how", [{"origin": "another"}, {"key": b"\x01" * 32}])
def test_pages_of_another_log_or_key_are_not_believed(memory: LedgerWorld, tmp_path: Path, how: dict[str, Any]) -> None:
    before = grown(memory, tmp_path, 1500)
    index, read = restarted(memory, tmp_path, **how)
    assert everything(index) == everything(before)
    assert len(read) == 6


def test_pages_of_another_history_are_not_believed_although_they_open(
    memory: LedgerWorld, new_memory: Any, tmp_path: Path
) -> None:
    """What is sealed is not enough: the pages must add up to this log's signed root."""
    other = new_memory()
    grown(other, tmp_path, 1500)
    memory.append(*(fact(f"row{n % 40}", 1 + n // 40, n) for n in range(1600)))
    plain = FactIndex(memory.files)
    plain.refresh()
    index, _ = restarted(memory, tmp_path)
    assert everything(index) == everything(plain)
    assert list(sealed_pages(tmp_path).read())[-1].end >= 1300, "its own pages have taken their place"
    assert len(restarted(memory, tmp_path)[1]) <= 2


def test_pages_do_not_hide_that_the_log_was_changed_after_them(memory: LedgerWorld, tmp_path: Path) -> None:
    grown(memory, tmp_path, 1500)
    memory.append(fact("late", 1, 1500))
    path = "tile/entries/005.p/221"
    memory.files.files[path] = memory.files.files[path].replace(b"late", b"soon")
    with pytest.raises(LedgerUnavailable, match="do not add up"):
        FactIndex(memory.files, pages=sealed_pages(tmp_path)).refresh()


def test_a_log_shorter_than_its_pages_is_read_from_the_log(
    memory: LedgerWorld, new_memory: Any, tmp_path: Path
) -> None:
    grown(memory, tmp_path, 1500)
    shorter = new_memory()
    shorter.append(*(fact("a", 1, n) for n in range(10)))
    index, _ = restarted(shorter, tmp_path)
    assert index.rows() == {("person", "a")}


def test_a_page_that_cannot_be_kept_costs_nothing_but_time(
    memory: LedgerWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise LedgerUnavailable("no space")

    monkeypatch.setattr("gateway.ledger.files.DiskLogFiles.write", fails)
    assert grown(memory, tmp_path, 1500).size == 1500


def test_nothing_of_a_page_can_be_read_without_the_key(memory: LedgerWorld, tmp_path: Path) -> None:
    grown(memory, tmp_path, 400)
    blobs: Iterator[bytes] = (path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    blob = next(blobs)
    assert b'"rows"' not in blob
    with pytest.raises(CannotUnwrapError):
        unwrapped(blob, kek=b"\x01" * 32, context="o/facts/0/400")


def test_a_page_of_one_history_before_a_page_of_another_is_not_believed(
    memory: LedgerWorld, new_memory: Any, tmp_path: Path
) -> None:
    """Each opens and the last one's peaks are the log's: only what stands before it shows that they do not belong."""
    before = grown(memory, tmp_path / "ours", 1500)
    other = new_memory()
    other.append(*(fact(f"other{n}", 1, n) for n in range(1500)))
    FactIndex(other.files, pages=sealed_pages(tmp_path / "theirs")).refresh()
    first = sorted(path.name for path in (tmp_path / "ours").iterdir() if path.is_file())[0]
    (tmp_path / "ours" / first).write_bytes((tmp_path / "theirs" / first).read_bytes())
    index, _ = restarted(memory, tmp_path / "ours")
    assert everything(index) == everything(before)
