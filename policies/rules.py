"""One rule: a Cedar policy's annotations with its texts, the facts it reads and the acts it is about.

Annotations of every policy: @id, @effect (permit, hold, deny), @title and @remedy (keys of policies/texts/rules.toml),
@cite ("law | article | read or unread", several with ";"), @from, @to (optional, that day included), @confidence (codes
of the rule catalogue), @text_read (whether all cited texts were read), @covers (other catalogue ids, optional).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from policies.engine import Body, PolicyError, paths, scope
from policies.vocabulary import GROUPS, Action, Effect

LANGUAGES = ("en", "zh-Hans", "zh-Hant")
DERIVED = {
    "recipient.foreign": ("recipient.party_class", "person.foreign_individual"),
    "recipient.outside": ("recipient.party_class", "person.place_of_access"),
}
"""What the two derived attributes are worked out from; a reason shows these too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One policy's annotations and texts. ``facts`` and ``actions`` are read from the policy itself."""

    rule: str
    effect: Effect
    title: Mapping[str, str]
    remedy: Mapping[str, str]
    cite: tuple[Mapping[str, Any], ...]
    since: date
    until: date | None
    confidence: str
    text_read: bool
    covers: tuple[str, ...]
    facts: tuple[str, ...]
    limits: tuple[str, ...]
    actions: frozenset[Action]
    pack: str
    digest: str

    def in_force(self, day: date) -> bool:
        """From ``since`` to ``until``, both included."""
        return self.since <= day and (self.until is None or day <= self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOff:
    """A named person answers for a rule whose legal text was not read. Bound to the rule's digest."""

    rule: str
    person: str
    signed_on: date
    digest: str


def read_rule(pack: str, body: Body, words: Mapping[str, Any]) -> Rule:
    """Read one policy. Raises PolicyError naming the rule whose annotations or texts are wrong."""
    notes = body["annotations"]
    name = notes["id"]
    try:
        cite = tuple(_cite(part) for part in notes["cite"].split(";"))
        title, remedy = words[notes["title"]]["title"], words[notes["remedy"]]["remedy"]
        read = paths(body)
        read = tuple(sorted({*read, *(source for path in read for source in DERIVED.get(path, ()))}))
        rule = Rule(
            rule=name,
            effect=Effect(notes["effect"]),
            title={language: title[language] for language in LANGUAGES},
            remedy={language: remedy[language] for language in LANGUAGES},
            cite=cite,
            since=date.fromisoformat(notes["from"]),
            until=date.fromisoformat(notes["to"]) if "to" in notes else None,
            confidence=notes["confidence"],
            text_read={"true": True, "false": False}[notes["text_read"]],
            covers=tuple(notes.get("covers", "").split()),
            facts=tuple(path for path in read if not path.startswith("limits.")),
            limits=tuple(path.removeprefix("limits.") for path in read if path.startswith("limits.")),
            actions=_actions(scope(body)),
            pack=pack,
            digest=hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16],
        )
    except (KeyError, ValueError) as error:
        raise PolicyError(f"rule {name} of {pack}: {type(error).__name__} {error}") from None
    if rule.text_read != all(part["text_read"] for part in cite):
        raise PolicyError(f"rule {name} of {pack}: @text_read says otherwise than its citations")
    if (body["effect"] == "permit") != (rule.effect == Effect.PERMIT):
        raise PolicyError(f"rule {name} of {pack}: @effect says otherwise than the policy")
    return rule


def _cite(part: str) -> dict[str, Any]:
    law, article, read = (piece.strip() for piece in part.split("|"))
    return {"law": law, "article": article, "text_read": {"read": True, "unread": False}[read]}


def _actions(named: frozenset[str] | None) -> frozenset[Action]:
    if named is None:
        return frozenset(Action)
    return frozenset(action for name in named for action in (GROUPS.get(name) or {Action(name)}))
