"""What a change of policy would do is said before it is done."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from policies.decide import load_policy
from policies.diff import compare, outcomes, read_policy, read_request, what_if
from policies.engine import PolicyError
from tests.policies.cases import AT, RELEASE, UNFILED, made


@pytest.fixture
def folder(repository: Path, tmp_path: Path) -> Path:
    for part in ("law", "tables", "texts"):
        shutil.copytree(repository / "policies" / part, tmp_path / "new" / part)
    return tmp_path / "new"


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def test_the_same_folder_differs_in_nothing(repository: Path, folder: Path) -> None:
    assert compare(repository / "policies", folder) == ()
    assert read_policy(folder).version == load_policy().version


def test_a_changed_limit_is_a_changed_value_and_shows_who_loses(repository: Path, folder: Path) -> None:
    _edit(folder / "tables" / "limits.toml", "value = 500\n", "value = 100\n")
    _edit(folder / "tables" / "gates.toml", "k = 20", "k = 25")
    changes = compare(repository / "policies", folder)
    assert [(c.kind, c.name, c.old, c.new) for c in changes] == [
        ("value", "gates.table.open.k", 20, 25),
        ("value", "limits.security_review_people.value", 500, 100),
    ]
    documents: dict[str, Any] = {
        "large": {"facts": made({}).to_json()},
        "small": {"facts": made({"counts.exome_genome_people": 100}).to_json()},
        "held": {"facts": made(UNFILED).to_json()},
    }
    old, new = load_policy(), read_policy(folder)
    found = {o.name: (o.old, o.new, o.turn, o.newly_failing) for o in outcomes(old, new, documents, AT)}
    assert found == {
        "large": ("permit", "hold", "loses", ("HGR-17",)),
        "small": ("permit", "permit", "same", ()),
        "held": ("hold", "hold", "other reasons", ("HGR-17",)),
    }
    back = outcomes(new, old, documents, AT)
    assert [o.turn for o in back if o.name == "large"] == ["gains"]
    assert [o.no_longer_failing for o in back if o.name == "large"] == [("HGR-17",)]


def test_rules_added_removed_and_changed_are_named(repository: Path, folder: Path) -> None:
    cedar = folder / "law" / "pipl" / "rules.cedar"
    text = cedar.read_text("utf-8")
    start, end = text.index('@id("PI-05")'), text.index('@id("PI-06")')
    cedar.write_text((text[:start] + text[end:]).replace('@id("PI-12")', '@id("PI-99")'), "utf-8")
    _edit(
        cedar, "unless { context.filings.entrustment }", "unless { context.filings.entrustment || context.filings.dua }"
    )
    _edit(folder / "texts" / "rules.toml", "Separate consent to public disclosure", "Consent to disclosure")
    states = {c.name: (c.old is not None, c.new is not None) for c in compare(repository / "policies", folder)}
    assert states == {
        "PI-05": (True, False), "PI-12": (True, False), "PI-99": (False, True), "PI-06": (True, True), "PI-08": (True, True),
    }  # fmt: skip


def test_what_if_answers_before_and_after() -> None:
    body = {"facts": made({"filings.dua": False}).to_json()}
    before, after = what_if(load_policy(), body, {"filings.dua": "true", "purpose.fee": "cost"}, AT)
    assert (before.effect, after.effect) == ("hold", "permit")
    with pytest.raises(ValueError, match=r"unknown fact: filings\.dau"):
        what_if(load_policy(), body, {"filings.dau": "true"}, AT)
    with pytest.raises(ValueError, match=r"filings\.dua must be bool"):
        what_if(load_policy(), body, {"filings.dua": "perhaps"}, AT)


def test_a_request_names_its_act_and_moment_or_gets_a_release_now() -> None:
    facts = made({}).to_json()
    assert read_request({"facts": facts}, AT) == (RELEASE, made({}), AT)
    action, _, at = read_request({"facts": facts, "action": "Publish", "at": "2024-01-01T00:00:00+08:00"}, AT)
    assert (str(action), at.year) == ("Publish", 2024)
    for broken in ({"at": "2024-01-01T00:00:00"}, {"action": "Sell"}):
        with pytest.raises(ValueError, match=r"offset|Sell"):
            read_request({"facts": facts, **broken}, AT)


def test_a_folder_that_does_not_parse_is_refused(folder: Path) -> None:
    (folder / "law" / "pipl" / "rules.cedar").write_text("permit (", "utf-8")
    with pytest.raises(PolicyError):
        read_policy(folder)
