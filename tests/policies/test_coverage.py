"""No id of the rule catalogue is lost, and the page that says where each lives is made of the policy files."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from policies import coverage

COUNTS = {
    "HGR": 27, "FAQ": 23, "BKP": 6, "TRI": 21, "PI": 18, "DSL": 5, "ETH": 1, "XB": 8, "GBA": 8, "DG": 7, "DEI": 11,
    "HD": 3, "GEN": 2, "STD": 2, "SHR": 15, "FEA": 13, "HK": 5, "MO": 4,
}  # fmt: skip
"""Rows of the catalogue per family, counted by hand; ten FAQ rows of sections 1 to 4 are usable."""


def test_no_id_of_the_catalogue_is_nowhere() -> None:
    assert coverage.nowhere() == []
    assert coverage.strangers() == []


def test_the_catalogue_is_whole() -> None:
    assert Counter(name.split("-")[0] for name in coverage.catalogue()) == COUNTS


def test_an_id_that_nothing_covers_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {**coverage.catalogue(), "HGR-28": {"title": "a rule nobody wrote"}}
    monkeypatch.setattr(coverage, "catalogue", lambda: more)
    assert coverage.nowhere() == ["HGR-28"]


def test_the_page_is_made_of_the_policy_files(repository: Path) -> None:
    page = (repository / "policies" / "law" / "COVERAGE.md").read_text("utf-8")
    assert page == coverage.page(), "run: python -m policies.coverage > policies/law/COVERAGE.md"


def test_every_file_the_page_names_is_there(repository: Path) -> None:
    named = re.findall(r"(?<!/)\b(?:policies|gateway|deid|connectors)/[\w/.]*", coverage.page())
    lost = {name for name in named if not (repository / name.rstrip("/.")).exists()}
    assert not {name for name in lost if not (repository / f"{name.rstrip('/.')}.py").exists()}


def test_what_is_not_enforced_says_why_in_a_sentence() -> None:
    reasons = [row["not_enforced"] for row in coverage.catalogue().values() if "not_enforced" in row]
    assert reasons
    assert all(len(reason) > 10 for reason in reasons)
