"""The glossary: one term for one thing, and every place it names exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"\| (.+?) \| (.+?) \| `(.+?)` \|")
LINES = [
    line
    for line in (ROOT / "policies" / "GLOSSARY.md").read_text("utf-8").splitlines()
    if line.startswith("|") and not line.startswith(("| English", "|---"))
]
TERMS = [found.groups() for found in map(ROW.fullmatch, LINES) if found]


def exists(place: str) -> bool:
    """Whether a file, a module, or a name in a module is there."""
    if "/" in place:
        return (ROOT / place).is_file()
    module, _, name = place.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name)
    except ImportError:
        return False


def test_every_row_can_be_read() -> None:
    assert len(TERMS) == len(LINES) > 60


@pytest.mark.parametrize("place", sorted({place for _, _, place in TERMS}))
def test_every_place_that_is_named_exists(place: str) -> None:
    assert exists(place)


def test_the_check_of_places_can_fail() -> None:
    assert not exists("policies.consent.never_written")
    assert not exists("policies.nowhere.permitted")
    assert not exists("policies/tables/nothing.toml")


def test_one_term_for_one_thing() -> None:
    english, chinese = [term for term, _, _ in TERMS], [term for _, term, _ in TERMS]
    assert len(set(english)) == len(english)
    assert len(set(chinese)) == len(chinese)
    assert all(re.search(r"[一-鿿]", term) for term in chinese)


def test_every_module_of_the_law_on_people_is_in_it() -> None:
    named = {place.rpartition(".")[0] for _, _, place in TERMS}
    for name in ("consent", "purposes", "labels", "counting", "workflow", "model", "parties", "control", "grading"):
        assert f"policies.{name}" in named
