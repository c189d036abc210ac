"""Where each id of the rule catalogue lives: a rule, a computation, an obligation, or the reason why none can be.

``python -m policies.coverage`` prints policies/law/COVERAGE.md; a test compares, and fails when an id is nowhere.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from policies.decide import load_policy
from policies.obligations import obligation_rows
from policies.packs import OFF_PACKS
from policies.rules import Rule

HEAD = """# Where the rule catalogue lives

Made by `python -m policies.coverage` from the policy files and `policies/tables/catalogue.toml`; do not edit by hand.
`enforced`: a named Cedar rule (its pack, and "off" where the pack is switched off by default). `computed`: worked out
before the rules look. `obligation`: owed after a release. `not enforced`: why a gateway cannot.

| id | what | how | where, or why not |
|---|---|---|---|
"""


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """The ids of the catalogue with their titles."""
    return tomllib.loads((files("policies") / "tables" / "catalogue.toml").read_text("utf-8"))


def places(name: str) -> list[tuple[str, str]]:
    """(how, where) of one id; empty when it is nowhere."""
    rules = [rule for rule in _all_rules() if rule.rule == name or name in rule.covers]
    row = catalogue()[name]
    found = [("enforced", ", ".join(_rule_words(rule) for rule in rules))] if rules else []
    found += [("computed", row["computed"])] if "computed" in row else []
    owed = sorted({owed["due"] for owed in obligation_rows() if owed["rule"] == name})
    found += [("obligation", "; ".join(owed))] if owed else []
    return found + ([("not enforced", row["not_enforced"])] if "not_enforced" in row else [])


def nowhere() -> list[str]:
    """Ids that are neither enforced, computed, owed nor explained."""
    return [name for name in catalogue() if not places(name)]


def strangers() -> list[str]:
    """Ids that rules or obligations claim to cover and the catalogue does not know; data use terms are GA4GH's own."""
    owed = {str(row["rule"]) for row in obligation_rows() if not str(row["when"]).startswith("duo-")}
    claimed = {name for rule in _all_rules() for name in rule.covers} | owed
    return sorted(claimed - catalogue().keys())


def page() -> str:
    """COVERAGE.md."""
    lines = []
    for name, row in catalogue().items():
        found = places(name)
        how, where = " and ".join(how for how, _ in found), "; ".join(where for _, where in found)
        lines.append(f"| {name} | {row['title']} | {how} | {where} |")
    own = [rule for rule in _all_rules() if rule.rule not in catalogue()]
    lines += [
        "",
        "Rules beside the catalogue: house rules, and the second half of a rule that both denies and holds.",
        "",
    ]
    lines += ["| id | effect | what | pack |", "|---|---|---|---|"]
    lines += [f"| {rule.rule} | {rule.effect} | {rule.title['en']} | {rule.pack} |" for rule in own]
    return HEAD + "\n".join(lines) + "\n"


def _all_rules() -> list[Rule]:
    return sorted(load_policy(OFF_PACKS).rules.values(), key=lambda rule: rule.rule)


def _rule_words(rule: Rule) -> str:
    return f"{rule.rule} in {rule.pack}{' (off)' if rule.pack in OFF_PACKS else ''}"


if __name__ == "__main__":
    sys.stdout.write(page())
