"""The policy commands: what the rules are, what they say of a request, and what a change would do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.errors import BadInput
from tests.policies.cases import FREQUENCIES, UNFILED, made

RUN = CliRunner()


def _request(folder: Path, **body: object) -> str:
    path = folder / "request.json"
    path.write_text(json.dumps(body), "utf-8")
    return str(path)


def test_rules_lists_the_law_and_which_text_nobody_read() -> None:
    rows = {row["rule"]: row for row in json.loads(RUN.invoke(app, ["policy", "rules", "--json"]).stdout)}
    assert rows["HGR-17"]["text_read"] is False
    assert rows["GBA-01a"]["to"] == "2024-09-09"
    assert "TRI-11" not in rows
    unread = json.loads(RUN.invoke(app, ["policy", "rules", "--unread", "--json"]).stdout)
    assert {row["rule"] for row in unread} == {name for name, row in rows.items() if not row["text_read"]}
    trusted = RUN.invoke(app, ["policy", "rules", "--pack", "trusted-institutions"]).stdout
    assert "TRI-11" in trusted


def test_explain_judges_the_act_that_is_named(tmp_path: Path) -> None:
    held = RUN.invoke(app, ["policy", "explain", _request(tmp_path, facts=made(UNFILED).to_json()), "--json"])
    assert held.exit_code == 1
    assert [reason["rule"] for reason in json.loads(held.stdout)["reasons"]] == ["BKP-02", "HGR-10"]
    body = _request(tmp_path, action="Publish", facts=made(FREQUENCIES).to_json())
    assert RUN.invoke(app, ["policy", "explain", body]).exit_code == 0


def test_a_request_states_its_sections_beside_what_is_asked(tmp_path: Path) -> None:
    """INTERFACES, "Explain": {"at", "action", "person", "recipient", "report_filer", ...}."""
    flat = _request(tmp_path, at="2026-11-21T08:00:00+08:00", action="ReceiveRelease", **made(UNFILED).to_json())
    answer = json.loads(RUN.invoke(app, ["policy", "explain", flat, "--json"]).stdout)
    assert [reason["rule"] for reason in answer["reasons"]] == ["BKP-02", "HGR-10"]
    assert answer["evaluated_at"] == "2026-11-21T08:00:00+08:00"
    assert "others" not in answer


def test_all_tells_of_every_rule_why_it_did_not_fail(tmp_path: Path) -> None:
    request = _request(tmp_path, at="2026-11-21T08:00:00+08:00", **made(UNFILED).to_json())
    answer = json.loads(RUN.invoke(app, ["policy", "explain", request, "--all", "--json"]).stdout)
    failed, others = {r["rule"] for r in answer["reasons"]}, {r["rule"]: r for r in answer["others"]}
    rules = {row["rule"] for row in json.loads(RUN.invoke(app, ["policy", "rules", "--json"]).stdout)}
    assert failed.isdisjoint(others)
    assert {name for name in rules if not name.startswith("permit-")} == failed | set(others)
    assert others["HGR-17"]["why"] == "passed"
    assert others["HGR-17"]["facts"]["view.exome_or_genome"] == made(UNFILED).view.exome_or_genome
    assert others["GW-30"] == {"rule": "GW-30", "why": "judges other acts", "actions": ["ReturnToOwner"]}
    assert (others["GBA-01a"]["why"], others["GBA-01a"]["to"]) == ("not in force", "2024-09-09")
    assert set(answer["passed"]) == {name for name, other in others.items() if other["why"] == "passed"} - {"GW-99"}


def test_what_if_shows_both_answers(tmp_path: Path) -> None:
    request = _request(tmp_path, facts=made({"filings.dua": False}).to_json())
    answer = RUN.invoke(app, ["policy", "what-if", request, "--set", "filings.dua=true", "--json"])
    assert answer.exit_code == 0
    body = json.loads(answer.stdout)
    assert (body["before"]["decision"], body["after"]["decision"]) == ("hold", "permit")
    wrong = RUN.invoke(app, ["policy", "what-if", request, "--set", "filings.dau=true"])
    assert isinstance(wrong.exception, BadInput)
    assert "unknown fact" in str(wrong.exception)


def test_diff_names_what_changed_and_who_loses(repository: Path, tmp_path: Path) -> None:
    new = tmp_path / "policies"
    for part in ("law", "tables", "texts"):
        shutil.copytree(repository / "policies" / part, new / part)
    old = str(repository / "policies")
    assert RUN.invoke(app, ["policy", "diff", old, str(new)]).exit_code == 0
    limits = new / "tables" / "limits.toml"
    limits.write_text(limits.read_text("utf-8").replace("value = 500\n", "value = 100\n"), "utf-8")
    request = _request(tmp_path, facts=made({}).to_json())
    shown = RUN.invoke(app, ["policy", "diff", old, str(new), "--facts", request])
    assert shown.exit_code == 1
    assert "limits.security_review_people.value: 500 -> 100" in shown.stdout
    assert "permit -> hold (loses)" in shown.stdout
    missing = RUN.invoke(app, ["policy", "diff", old, str(tmp_path / "none")])
    assert isinstance(missing.exception, BadInput)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"facts": {"grant": {"stat": 1}}}'])
def test_a_request_that_is_none_is_said_with_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "request.json"
    path.write_text(text, "utf-8")
    answer = RUN.invoke(app, ["policy", "explain", str(path)])
    assert isinstance(answer.exception, BadInput)
    assert "request.json" in str(answer.exception)
