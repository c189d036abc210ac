"""May this leave? Facts in, decision out; fails closed.

``decide`` evaluates every rule in force at the moment asked about and answers permit with obligations, hold with
everything that is missing, or deny with every reason. A deny wins over a hold; both are listed. No rule is looked up by
order, and an error in any rule is a deny (GW-99).
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any
from zoneinfo import ZoneInfo

from policies.engine import Engine, joined, notes
from policies.facts import Facts
from policies.vocabulary import FOREIGN_CLASSES, OUTSIDE_MAINLAND, Action, Effect

SHANGHAI = ZoneInfo("Asia/Shanghai")
LANGUAGES = ("en", "zh-Hans", "zh-Hant")
OFF_PACKS = frozenset({"trusted-institutions"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One policy's annotations and texts."""

    rule: str
    effect: Effect
    title: Mapping[str, str]
    remedy: Mapping[str, str]
    cite: tuple[Mapping[str, Any], ...]
    since: date
    until: date | None
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer, in the shape of ``policy explain``."""

    effect: Effect
    reasons: tuple[dict[str, Any], ...]
    passed: tuple[str, ...]
    obligations: tuple[dict[str, Any], ...]
    policy_version: str
    evaluated_at: str

    def to_json(self) -> dict[str, Any]:
        """INTERFACES, "Explain"."""
        return {
            "decision": str(self.effect),
            "reasons": list(self.reasons),
            "passed": list(self.passed),
            "obligations": list(self.obligations),
            "policy_version": self.policy_version,
            "evaluated_at": self.evaluated_at,
        }


class Policy:
    """All packs that are switched on, parsed and validated; one value, shared by all decisions."""

    def __init__(self, texts: Mapping[str, str], schema: str, words: Mapping[str, Any]) -> None:
        self._packs = dict(sorted(texts.items()))
        self._schema = schema
        self.rules = {rule.rule: rule for text in self._packs.values() for rule in _rules(text, words)}
        whole = joined([schema, *self._packs.values(), repr(sorted(words.items()))])
        self.version = hashlib.sha256(whole.encode()).hexdigest()[:16]
        self._engine = Engine(joined(self._packs.values()), schema)

    def decide(self, action: Action, facts: Facts, at: datetime) -> Decision:
        """Every failing rule in force on the legal day of ``at``."""
        day = at.astimezone(SHANGHAI).date()
        answer = self._engine.ask(str(action), context(facts))
        in_force = {name for name, rule in self.rules.items() if rule.since <= day and (rule.until or day) >= day}
        failed = [name for name in answer.forbidden_by if name in in_force]
        if not answer.evaluated or (not answer.allowed and not answer.forbidden_by):
            failed = sorted({*failed, "GW-99"})
        reasons = tuple(self._reason(name, facts) for name in failed)
        effects = {reason["effect"] for reason in reasons}
        effect = Effect.DENY if "deny" in effects else Effect.HOLD if effects else Effect.PERMIT
        return Decision(
            effect=effect,
            reasons=reasons,
            passed=tuple(sorted(in_force - set(failed) - {"GW-01", "GW-99"})),
            obligations=_obligations(facts) if effect == Effect.PERMIT else (),
            policy_version=self.version,
            evaluated_at=at.isoformat(),
        )

    def _reason(self, name: str, facts: Facts) -> dict[str, Any]:
        rule = self.rules[name]
        body = facts.to_json()
        return {
            "rule": rule.rule,
            "effect": str(rule.effect),
            "title": dict(rule.title),
            "cite": [dict(cite) for cite in rule.cite],
            "facts": {path: body[path.split(".")[0]][path.split(".")[1]] for path in rule.facts},
            "remedy": dict(rule.remedy),
        }


def context(facts: Facts) -> dict[str, Any]:
    """Facts as Cedar context, with the two classes of recipient worked out (rule catalogue, table 1)."""
    body = facts.to_json()
    body["recipient"]["foreign"] = (
        facts.recipient.party_class in FOREIGN_CLASSES or facts.person.foreign_individual == "yes"
    )
    body["recipient"]["outside"] = (
        facts.recipient.party_class in OUTSIDE_MAINLAND or facts.person.place_of_access != "mainland"
    )
    return body


@cache
def load_policy() -> Policy:
    """The policy files of this package, parsed once."""
    root = files("policies")
    law = root / "law"
    texts = {
        f"{pack.name}/{file.name}": file.read_text("utf-8")
        for pack in law.iterdir()
        if pack.is_dir() and pack.name not in OFF_PACKS
        for file in pack.iterdir()
        if file.name.endswith(".cedar")
    }
    schema = (law / "schema.cedarschema").read_text("utf-8")
    return Policy(texts, schema, _words(root))


def _words(root: Traversable) -> dict[str, Any]:
    return tomllib.loads((root / "texts" / "rules.toml").read_text("utf-8"))


def _rules(text: str, words: Mapping[str, Any]) -> list[Rule]:
    found = []
    for note in notes(text):
        name = note["id"]
        says = words[name]
        found.append(
            Rule(
                rule=name,
                effect=Effect(note["effect"]),
                title={language: says["title"][language] for language in LANGUAGES},
                remedy={language: says["remedy"][language] for language in LANGUAGES},
                cite=tuple(_cite(part) for part in note["cite"].split(";")),
                since=date.fromisoformat(note["from"]),
                until=date.fromisoformat(note["to"]) if note.get("to") else None,
                facts=tuple(note["facts"].split()),
            )
        )
    return found


def _cite(part: str) -> dict[str, Any]:
    law, article, read = (piece.strip() for piece in part.split("|"))
    return {"law": law, "article": article, "text_read": read == "read"}


def _obligations(facts: Facts) -> tuple[dict[str, Any], ...]:
    """What the recipient and the owner owe after this release."""
    owed = [{"rule": "PI-12", "what": {"keep": "impact assessment and processing record"}, "due": "3 years"}]
    if facts.recipient.party_class in OUTSIDE_MAINLAND and facts.filings.mechanism in {
        "gba-contract",
        "standard-contract",
    }:
        owed.append({"rule": "GBA-05" if facts.filings.mechanism == "gba-contract" else "XB-07",
                     "what": {"file": "the contract with the authorities"}, "due": "10 working days"})  # fmt: skip
    owed.append(
        {"rule": "PI-10", "what": {"destroy": "on withdrawal or at the end of the grant"}, "due": "end of grant"}
    )
    return tuple(owed)
