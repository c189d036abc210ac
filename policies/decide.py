"""May this leave? Facts in, decision out; fails closed.

``decide`` evaluates every rule in force at the moment asked about and answers permit with obligations, hold with
everything that is missing, or deny with every reason. A deny wins over a hold; both are listed. No rule is looked up by
order, and an error in any rule is a deny (GW-99). Only rules in force are given to Cedar, so its allow is the answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from policies.engine import Body, Engine, PolicyError, narrowed, parsed, paths
from policies.facts import SECTIONS, Facts
from policies.obligations import obligations
from policies.packs import OFF_PACKS, Sources, read_sources
from policies.rules import LANGUAGES, Rule, SignOff, read_rule
from policies.vocabulary import INSIDE_MAINLAND, NOT_FOREIGN, Action, Effect

SHANGHAI = ZoneInfo("Asia/Shanghai")
REMEMBERED = 4096
"""Judgements kept by (action, facts, legal day); a judgement depends on nothing else."""


class NotSignedOff(PolicyError):
    """Production needs a named person's sign-off for each rule whose legal text was not read."""

    code = "policy_not_signed_off"


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
            "reasons": [dict(reason) for reason in self.reasons],
            "passed": list(self.passed),
            "obligations": [dict(owed) for owed in self.obligations],
            "policy_version": self.policy_version,
            "evaluated_at": self.evaluated_at,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judgement:
    effect: Effect
    reasons: tuple[dict[str, Any], ...]
    passed: tuple[str, ...]
    obligations: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """The rules of one act that are in force together, and the attributes they read, by section."""

    engine: Engine
    asked: tuple[str, ...]
    reads: Mapping[str, tuple[str, ...]]


class Policy:
    """All packs that are switched on, parsed and validated; one value, shared by all decisions."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._bodies: dict[str, Body] = {}
        self.rules: dict[str, Rule] = {}
        for pack, texts in sources.packs.items():
            for text in texts.values():
                self._add(pack, parsed(text))
        self.limits = sources.limit_values()
        self.version = _version(sources)
        Engine(self._bodies, sources.schema)  # the whole must fit the whole schema, whatever is in force today
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._judge)
        self._benches = lru_cache(maxsize=256)(self._bench)

    def decide(self, action: Action, facts: Facts, at: datetime) -> Decision:
        """Every failing rule in force on the legal day (Asia/Shanghai) of ``at``."""
        found = self._remembered(action, facts, at.astimezone(SHANGHAI).date())
        return Decision(
            effect=found.effect,
            reasons=found.reasons,
            passed=found.passed,
            obligations=found.obligations,
            policy_version=self.version,
            evaluated_at=at.isoformat(),
        )

    def context(self, action: Action, facts: Facts) -> dict[str, Any]:
        """Facts as Cedar context, with the limits and the recipient's two axes worked out (rule catalogue, table 1)."""
        body = facts.to_json()
        body["recipient"] |= _axes(action, facts)
        body["limits"] = self.limits
        return body

    def unread(self) -> tuple[Rule, ...]:
        """Rules of which a cited text was not read, by id."""
        return tuple(rule for name, rule in sorted(self.rules.items()) if not rule.text_read)

    def _add(self, pack: str, bodies: Mapping[str, Body]) -> None:
        for name, body in bodies.items():
            if name in self.rules:
                raise PolicyError(f"rule {name} is in {self.rules[name].pack} and again in {pack}")
            self.rules[name] = read_rule(pack, body, self._sources.words)
            self._bodies[name] = body

    def _bench(self, action: Action, in_force: frozenset[str]) -> _Bench:
        asked = sorted(name for name in in_force if action in self.rules[name].actions)
        bodies = {name: self._bodies[name] for name in asked}
        read = {path for body in bodies.values() for path in paths(body)}
        sections = {section: [path.split(".")[1] for path in sorted(read) if path.split(".")[0] == section]
                    for section in (*SECTIONS, "limits")}  # fmt: skip
        return _Bench(
            engine=Engine(bodies, narrowed(self._sources.schema, read)),
            asked=tuple(name for name in asked if self.rules[name].effect != Effect.PERMIT and name != "GW-99"),
            reads={section: tuple(fields) for section, fields in sections.items()},
        )

    def _judge(self, action: Action, facts: Facts, day: date) -> _Judgement:
        in_force = frozenset(name for name, rule in self.rules.items() if rule.in_force(day))
        bench, whole = self._benches(action, in_force), self.context(action, facts)
        body = {section: {field: whole[section][field] for field in fields} for section, fields in bench.reads.items()}
        answer = bench.engine.ask(str(action), body)
        failed = set(answer.forbidden_by)
        if not answer.evaluated or (not answer.allowed and not failed):
            failed.add("GW-99")
        reasons = tuple(self._reason(self.rules[name], whole, day) for name in sorted(failed))
        effects = {reason["effect"] for reason in reasons}
        effect = Effect.DENY if "deny" in effects else Effect.HOLD if effects else Effect.PERMIT
        return _Judgement(
            effect=effect,
            reasons=reasons,
            passed=tuple(name for name in bench.asked if name not in failed),
            obligations=obligations(action, facts) if effect == Effect.PERMIT else (),
        )

    def _reason(self, rule: Rule, body: Mapping[str, Any], day: date) -> dict[str, Any]:
        said = words_of(self._sources.authorities, day)
        return {
            "rule": rule.rule,
            "effect": str(rule.effect),
            "title": {language: _filled(text, said, language) for language, text in rule.title.items()},
            "cite": [dict(cite) for cite in rule.cite],
            "facts": {path: body[path.split(".")[0]][path.split(".")[1]] for path in rule.facts},
            "remedy": {language: _filled(text, said, language) for language, text in rule.remedy.items()},
        }


def _axes(action: Action, facts: Facts) -> dict[str, bool]:
    """Whether giving is 对外提供 or 开放使用, and whether it leaves the mainland; unknown is yes, open use is both."""
    recipient, person, public = facts.recipient, facts.person, action == Action.PUBLISH
    return {
        "foreign": public or recipient.party_class not in NOT_FOREIGN or person.foreign_individual != "no",
        "outside": public or recipient.party_class not in INSIDE_MAINLAND or person.place_of_access != "mainland",
    }


def words_of(authorities: Iterable[Mapping[str, Any]], day: date) -> dict[str, Mapping[str, str]]:
    """The procedure's name and the authority on that day; the first known words for a day before all of them."""
    rows = sorted(authorities, key=lambda row: row["from"])
    row = [row for row in rows if row["from"] <= day][-1:] or rows[:1]
    return {name: row[0][name] for name in ("procedure", "authority")} if row else {}


@cache
def load_policy(packs: frozenset[str] = frozenset()) -> Policy:
    """The policy files of this package with the named packs switched on, parsed once."""
    return Policy(read_sources(files("policies"), packs))


def production(policy: Policy, sign_offs: Iterable[SignOff]) -> Policy:
    """The same policy, fit for production. Raises NotSignedOff naming each unread rule nobody answers for by name,
    the sign-off being for exactly this text of the rule."""
    missing = unsigned(policy, sign_offs)
    if missing:
        raise NotSignedOff(f"no named person signed off: {', '.join(missing)}")
    return policy


def unsigned(policy: Policy, sign_offs: Iterable[SignOff]) -> tuple[str, ...]:
    """Unread rules for whose present text no named person answers, by id."""
    signed = {(sign.rule, sign.digest) for sign in sign_offs if sign.person.strip()}
    return tuple(rule.rule for rule in policy.unread() if (rule.rule, rule.digest) not in signed)


def _filled(text: str, said: Mapping[str, Mapping[str, str]], language: str) -> str:
    for name, words in said.items():
        text = text.replace(f"{{{name}}}", words[language])
    return text


def _version(sources: Sources) -> str:
    parts = [sources.packs, sources.schema, sources.words, sources.limits, sources.authorities]
    whole = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


__all__ = [
    "LANGUAGES", "OFF_PACKS", "SHANGHAI", "Decision", "NotSignedOff", "Policy", "Rule", "SignOff", "load_policy",
    "production", "words_of",
]  # fmt: skip
