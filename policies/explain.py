"""The whole answer to a request: beside what failed, every rule that did not, and why it did not speak."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from policies.decide import SHANGHAI, Policy
from policies.facts import Facts
from policies.rules import Rule
from policies.vocabulary import Action, Effect


def explain(policy: Policy, action: Action, facts: Facts, at: datetime, *, everything: bool = False) -> dict[str, Any]:
    """The decision in its JSON form; ``everything`` adds ``others``: rules that passed, slept or judge other acts."""
    answer = policy.decide(action, facts, at).to_json()
    if everything:
        failed = {reason["rule"] for reason in answer["reasons"]}
        answer["others"] = list(_others(policy, action, facts, at, failed))
    return answer


def _others(policy: Policy, action: Action, facts: Facts, at: datetime, failed: set[str]) -> Iterator[dict[str, Any]]:
    body, day = policy.context(action, facts), at.astimezone(SHANGHAI).date()
    for name, rule in sorted(policy.rules.items()):
        if name in failed or rule.effect == Effect.PERMIT:
            continue
        if not rule.in_force(day):
            until = None if rule.until is None else rule.until.isoformat()
            yield {"rule": name, "why": "not in force", "from": rule.since.isoformat(), "to": until}
        elif action not in rule.actions:
            yield {"rule": name, "why": "judges other acts", "actions": sorted(map(str, rule.actions))}
        else:
            yield {"rule": name, "why": "passed", "facts": _read(rule, body)}


def _read(rule: Rule, body: dict[str, Any]) -> dict[str, Any]:
    parts = ((path, *path.split(".")) for path in rule.facts)
    return {path: body[section][field] for path, section, field in parts}
