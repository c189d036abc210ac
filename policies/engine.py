"""The only module that knows Cedar.

Policies and schema are parsed once and validated against each other; every request's entities and context are validated
on each call. Cedar skips a forbid that errors, so anything but a clean answer is refusal: an error in any policy, a
NoDecision, an allow with remarks (invariant 4).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cedarpy

PRINCIPAL, RESOURCE = 'Person::"access-applicant"', 'View::"requested"'
ENTITIES = [
    {"uid": {"type": "Person", "id": "access-applicant"}, "attrs": {}, "parents": []},
    {"uid": {"type": "View", "id": "requested"}, "attrs": {}, "parents": []},
]
SECTION, FIELD = re.compile(r"^  (\w+): \{$"), re.compile(r"^    (\w+): \w+,?$")
Body = Mapping[str, Any]
"""One policy in Cedar's own JSON form: effect, scope, conditions, annotations."""


class PolicyError(ValueError):
    """The policy text does not parse or does not fit the schema; nothing may be decided with it."""

    code = "policy_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Cedar said: the ids of the forbids that hold, or that it could not be evaluated."""

    allowed: bool
    forbidden_by: tuple[str, ...]
    evaluated: bool


class Engine:
    """A parsed policy set with its schema."""

    def __init__(self, policies: Mapping[str, Body], schema: str) -> None:
        text = json.dumps({"templates": {}, "staticPolicies": dict(policies), "templateLinks": []})
        try:
            self._schema = cedarpy.Schema.from_str(schema)
            self._policies = cedarpy.PolicySet.from_json_str(text)
            checked = cedarpy.validate_policies(cedarpy.policies_from_json_str(text), schema)
        except ValueError as error:
            raise PolicyError(f"the policies or their schema do not parse: {error}") from None
        if not checked.validation_passed:
            raise PolicyError(f"the policies do not fit the schema: {[str(e) for e in checked.errors][:3]}")
        self._entities = cedarpy.Entities.from_json_str(json.dumps(ENTITIES), schema)

    def ask(self, action: str, context: Mapping[str, Any]) -> Answer:
        """Evaluate one request. A forbid that cannot be evaluated makes the answer ``evaluated=False``."""
        request = {"principal": PRINCIPAL, "action": f'Action::"{action}"', "resource": RESOURCE, "context": context}
        try:
            result = cedarpy.is_authorized(request, self._policies, self._entities, self._schema)
        except (ValueError, TypeError, KeyError):
            return Answer(allowed=False, forbidden_by=(), evaluated=False)
        decided = result.decision in (cedarpy.Decision.Allow, cedarpy.Decision.Deny)
        clean = decided and not list(result.diagnostics.errors)
        allowed = clean and result.decision == cedarpy.Decision.Allow
        reasons = tuple(sorted(result.diagnostics.reasons))
        return Answer(allowed=allowed, forbidden_by=() if allowed else reasons, evaluated=clean)


def narrowed(schema: str, read: Collection[str]) -> str:
    """The schema with those attributes (``section.field``) only; as strict as before about what is left."""
    kept, section = [], ""
    for line in schema.splitlines():
        opened, field = SECTION.match(line), FIELD.match(line)
        section = opened[1] if opened else section
        if field is None:
            kept.append(line)
        elif f"{section}.{field[1]}" in read:
            kept.append(f"{line.rstrip(',')},")
    return "\n".join(kept)


def parsed(text: str) -> dict[str, Body]:
    """The policies of one text by their ``@id``. Raises PolicyError on a missing or doubled id."""
    try:
        found = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values()
    except ValueError as error:
        raise PolicyError(f"the policy text does not parse: {error}") from None
    by_id = {body.get("annotations", {}).get("id", ""): body for body in found}
    if len(by_id) != len(found) or "" in by_id:
        raise PolicyError("every policy has an @id of its own")
    return by_id


def scope(body: Body) -> frozenset[str] | None:
    """The actions and groups a policy names; None when it is about every action."""
    named = body["action"]
    if named["op"] == "All":
        return None
    entities = named["entities"] if "entities" in named else [named["entity"]]
    return frozenset(entity["id"] for entity in entities)


def paths(body: Body) -> tuple[str, ...]:
    """Every ``section.field`` of the context the policy's conditions read, sorted."""
    return tuple(sorted({path for condition in body["conditions"] for path in _paths(condition["body"])}))


def _paths(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for part in node:
            yield from _paths(part)
    elif isinstance(node, dict):
        access = node.get(".")
        if access and access["left"].get(".", {}).get("left") == {"Var": "context"}:
            yield f"{access['left']['.']['attr']}.{access['attr']}"
        else:
            for part in node.values():
                yield from _paths(part)
