"""The JSON Schema of an entry, made from the same lists that sealing enforces: ``tongguan schema event``."""

from __future__ import annotations

from typing import Any

from gateway.events import FACT_KEYS, KINDS, PUBLIC_KEYS, VERSION

_BASE64 = {"type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$"}


def schema() -> dict[str, Any]:
    """Draft 2020-12. What a type may say in the open is closed; a type that is not listed is a fact."""
    listed = sorted(PUBLIC_KEYS)
    rules = [_rule({"const": name}, PUBLIC_KEYS[name]) for name in listed]
    rules.append(_rule({"not": {"enum": listed}}, FACT_KEYS))
    keys = ("v", "id", "kind", "type", "at", "origin", "custodian", "public", "personal", "pad")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An entry of a Tongguan ledger",
        "description": "Canonical JSON (RFC 8785), padded by `pad` to 1, 2, 4, 8, 16, 32 or 60 KiB.",
        "type": "object",
        "required": list(keys),
        "additionalProperties": False,
        "properties": _properties(),
        "allOf": rules,
    }


def _properties() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    return {
        "v": {"const": VERSION},
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "kind": {"enum": sorted(KINDS)},
        "type": text,
        "at": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"},
        "origin": text,
        "custodian": text,
        "public": {"type": "object"},
        "personal": {
            "type": "object",
            "required": ["root", "fields"],
            "additionalProperties": False,
            "properties": {"root": _BASE64, "fields": {"type": "object", "additionalProperties": _BASE64}},
        },
        "pad": {"type": "string", "pattern": r"^\.*$"},
    }


def _rule(named: dict[str, Any], allowed: frozenset[str]) -> dict[str, Any]:
    return {"if": {"properties": {"type": named}}, "then": {"properties": {"public": _public(allowed)}}}


def _public(allowed: frozenset[str]) -> dict[str, Any]:
    return {"properties": dict.fromkeys(sorted(allowed), True), "additionalProperties": False}
