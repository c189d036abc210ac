"""The fact index believes the bundles only as far as they add up to the signed root, however the log grew."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gateway.errors import LedgerUnavailable
from gateway.ledger import FactIndex

LedgerWorld = Any  # tests/gateway/ledger/conftest.py


def fact(row: str, version: int, number: int) -> bytes:
    said = {"table": "person", "row": row, "version": version, "scopes": ["s"]}
    body = {"id": str(number), "public": {"fact": said}, "personal": {"root": base64.b64encode(bytes(32)).decode()}}
    return json.dumps(body, separators=(",", ":")).encode()


@pytest.mark.parametrize("steps", [(1,), (255, 1, 1), (256,), (100, 156, 256, 600), (257, 255, 3), (70_000,)])
def test_every_growth_adds_up_and_every_fact_is_found(memory: LedgerWorld, steps: tuple[int, ...]) -> None:
    index, number = FactIndex(memory.files), 0
    for step in steps:
        memory.append(*(fact(f"row{n}", 1, n) if n % 97 == 0 else b"{}" for n in range(number, number + step)))
        number += step
        assert index.refresh() == number
    again = FactIndex(memory.files)
    again.refresh()
    wanted = {("person", f"row{n}") for n in range(0, number, 97)}
    assert index.rows() == again.rows() == index.rows_in("s") == wanted


@pytest.mark.parametrize("place", [0, 100, 255, 256, 511, 599])
def test_a_changed_entry_is_refused_wherever_it_stands(memory: LedgerWorld, place: int) -> None:
    memory.append(*(b"entry %06d" % n for n in range(600)))
    index = FactIndex(memory.files)
    path = next(path for path in memory.files.files if path.startswith(f"tile/entries/00{place // 256}"))
    memory.files.files[path] = memory.files.files[path].replace(b"entry %06d" % place, b"other %06d" % place)
    with pytest.raises(LedgerUnavailable, match="do not add up"):
        index.refresh()
    assert index.size == 0, "nothing is taken in"


def test_the_newest_version_counts_whatever_the_order(memory: LedgerWorld) -> None:
    memory.append(fact("a", 2, 0), fact("a", 1, 1))
    index = FactIndex(memory.files)
    index.refresh()
    found = index.latest("person", "a")
    assert found is not None
    assert found.version == 2
