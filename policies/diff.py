"""What a change of policy would do: two policy folders compared, and one document of facts asked of both.

A rule changed when its text, annotations or words did; a value changed when a table says otherwise. ``compare`` says
what differs, ``outcomes`` which documents gain or lose by it, ``what_if`` what one changed fact would do.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources.abc import Traversable
from typing import Any

from policies.decide import Decision, Policy
from policies.facts import Facts
from policies.packs import read_sources
from policies.rules import Rule
from policies.vocabulary import Action

STRENGTH = {"deny": 0, "hold": 1, "permit": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference: what it is about, and its old and new state (None: not there)."""

    kind: str
    name: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One document of facts under both policies. ``turn``: gains, loses, same, or other reasons."""

    name: str
    old: str
    new: str
    turn: str
    newly_failing: tuple[str, ...]
    no_longer_failing: tuple[str, ...]


def read_policy(root: Traversable, packs: frozenset[str] = frozenset()) -> Policy:
    """The policy of a folder. Raises PolicyError where it does not parse, OSError where it cannot be read."""
    return Policy(read_sources(root, packs))


def compare(old: Traversable, new: Traversable, packs: frozenset[str] = frozenset()) -> tuple[Change, ...]:
    """Every rule added, removed or changed, then every value of every table, by name."""
    before, after = (_rules(read_policy(root, packs)) for root in (old, new))
    values = (dict(_values(root)) for root in (old, new))
    return (*_changes("rule", before, after), *_changes("value", *values))


def outcomes(old: Policy, new: Policy, documents: Mapping[str, Mapping[str, Any]], at: datetime) -> tuple[Outcome, ...]:
    """Each document ({"action", "at", "facts"}) under both policies. Raises ValueError on a document that is none."""
    return tuple(_outcome(name, old, new, read_request(body, at)) for name, body in sorted(documents.items()))


def what_if(
    policy: Policy, body: Mapping[str, Any], changes: Mapping[str, str], at: datetime
) -> tuple[Decision, Decision]:
    """The decision as asked, and with the changed facts (``section.field`` to a JSON value or a bare word)."""
    action, facts, moment = read_request(body, at)
    whole = facts.to_json()
    for path, text in changes.items():
        section, _, field = path.partition(".")
        if field not in whole.get(section, {}):
            raise ValueError(f"unknown fact: {path}")
        whole[section][field] = _value(text)
    return policy.decide(action, facts, moment), policy.decide(action, Facts.from_json(whole), moment)


def read_request(body: Mapping[str, Any], at: datetime) -> tuple[Action, Facts, datetime]:
    """Action, facts and moment of an explain request; a release and ``at`` where they are not given.

    The sections of the facts stand beside ``at`` and ``action``, or together under ``facts``. Raises ValueError.
    """
    moment = datetime.fromisoformat(body["at"]) if body.get("at") else at
    if moment.tzinfo is None:
        raise ValueError("at needs an offset from UTC")
    sections = body["facts"] if "facts" in body else {k: v for k, v in body.items() if k not in {"at", "action"}}
    if not sections:
        raise ValueError("the request states no facts")
    return Action(body.get("action", Action.RECEIVE_RELEASE)), Facts.from_json(sections), moment


def _outcome(name: str, old: Policy, new: Policy, asked: tuple[Action, Facts, datetime]) -> Outcome:
    before, after = old.decide(*asked), new.decide(*asked)
    was, now = ({reason["rule"] for reason in decision.reasons} for decision in (before, after))
    step = STRENGTH[after.effect] - STRENGTH[before.effect]
    return Outcome(
        name=name,
        old=str(before.effect),
        new=str(after.effect),
        turn="gains" if step > 0 else "loses" if step < 0 else "same" if was == now else "other reasons",
        newly_failing=tuple(sorted(now - was)),
        no_longer_failing=tuple(sorted(was - now)),
    )


def _changes(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Change(kind=kind, name=name, old=old.get(name), new=new.get(name))


def _rules(policy: Policy) -> dict[str, Any]:
    return {name: _shown(rule) for name, rule in policy.rules.items()}


def _shown(rule: Rule) -> dict[str, Any]:
    return {
        "digest": rule.digest,
        "pack": rule.pack,
        "effect": str(rule.effect),
        "from": rule.since.isoformat(),
        "to": None if rule.until is None else rule.until.isoformat(),
        "title": dict(rule.title),
        "remedy": dict(rule.remedy),
    }


def _values(root: Traversable) -> Iterator[tuple[str, Any]]:
    for table in sorted((root / "tables").iterdir(), key=lambda file: file.name):
        if table.name.endswith(".toml"):
            yield from _flat(table.name.removesuffix(".toml"), tomllib.loads(table.read_text("utf-8")))


def _flat(name: str, node: Any) -> Iterator[tuple[str, Any]]:
    parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    if parts is None:
        yield name, node
    else:
        for key, value in parts:
            yield from _flat(f"{name}.{key}", value)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
