"""The only module that knows Cedar.

Policies and schema are parsed once and validated against each other; every request's entities and context are validated
on each call. Cedar skips a forbid that errors, so anything but a clean answer is refusal: an error in any policy, a
NoDecision, an allow with remarks (invariant 4).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import cedarpy

PRINCIPAL, RESOURCE = 'Person::"access-applicant"', 'View::"requested"'
ENTITIES = [
    {"uid": {"type": "Person", "id": "access-applicant"}, "attrs": {}, "parents": []},
    {"uid": {"type": "View", "id": "requested"}, "attrs": {}, "parents": []},
]


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

    def __init__(self, text: str, schema: str) -> None:
        self._schema = _parsed_schema(schema)
        result = cedarpy.validate_policies(text, schema)
        if not result.validation_passed:
            raise PolicyError(f"the policies do not fit the schema: {[str(e) for e in result.errors][:3]}")
        self._policies = cedarpy.PolicySet.from_str(text)
        self._entities = cedarpy.Entities.from_json_str(json.dumps(ENTITIES), schema)
        self._ids = {key: str(value["id"]) for key, value in notes_by_key(text).items()}

    def ask(self, action: str, context: Mapping[str, Any]) -> Answer:
        """Evaluate one request. A forbid that cannot be evaluated makes the answer ``evaluated=False``."""
        request = {"principal": PRINCIPAL, "action": f'Action::"{action}"', "resource": RESOURCE, "context": context}
        try:
            result = cedarpy.is_authorized(request, self._policies, self._entities, self._schema)
        except (ValueError, TypeError, KeyError):
            return Answer(allowed=False, forbidden_by=(), evaluated=False)
        errors = list(result.diagnostics.errors)
        decided = result.decision in (cedarpy.Decision.Allow, cedarpy.Decision.Deny)
        clean = decided and not errors
        reasons = tuple(sorted(self._ids[key] for key in result.diagnostics.reasons))
        allowed = clean and result.decision == cedarpy.Decision.Allow
        return Answer(allowed=allowed, forbidden_by=() if allowed else reasons, evaluated=clean)


def notes(text: str) -> list[dict[str, str]]:
    """The annotations of every policy in the text, in order."""
    return list(notes_by_key(text).values())


def notes_by_key(text: str) -> dict[str, dict[str, str]]:
    """Annotations by Cedar's own policy key."""
    body = json.loads(cedarpy.policies_to_json_str(text))
    return {key: cast("dict[str, str]", policy["annotations"]) for key, policy in body["staticPolicies"].items()}


def joined(texts: Iterable[str]) -> str:
    """Several policy files as one text."""
    return "\n".join(texts)


def _parsed_schema(schema: str) -> Any:
    try:
        return cedarpy.Schema.from_str(schema)
    except ValueError as error:
        raise PolicyError(f"the schema does not parse: {error}") from None
