"""The event envelope, version 1: what an entry of the ledger is, to the byte.

Canonical JSON (RFC 8785) with an allow-listed public part (opaque ids, digests, rule ids, coarse counts) and a personal
part of which only salted commitments stand in the log. A commitment is HMAC-SHA256 under a 128-bit salt over the
field's name and canonical value; equal values never give equal commitments. Salts are kept apart, disclosed per
audience, and destroyed on duty to erase. Every entry is padded to a size bucket, so that its length tells nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.canonical import canonical
from gateway.ports import Randomness
from gateway.verifier.merkle import leaf_hash, root

VERSION = 1
KINDS = frozenset({"open", "close", "refuse", "fact", "restrict", "erase"})
BUCKETS = tuple(1024 << n for n in range(6))
LARGEST = 60 * 1024

PUBLIC_KEYS: Mapping[str, frozenset[str]] = {
    "release.open": frozenset(
        {
            "release", "dataset", "view", "view_identity", "copy", "grant", "policy_version", "facts_digest",
            "passed", "obligations", "permitted_root", "permitted_digest", "provision_type", "channel", "tier",
            "files", "key_versions", "witnessed", "address_learnt", "filings", "labels",
        }
    ),
    "release.refuse": frozenset(
        {"release", "dataset", "view", "outcome", "rules", "policy_version", "facts_digest", "tier"}
    ),
    "release.arrived": frozenset({"release", "opened", "files", "statement"}),
    "release.close": frozenset({"release", "opened", "ended", "bytes_charged", "sessions"}),
    "act.refuse": frozenset({"act", "about", "rules"}),
    "key.rotate": frozenset({"number", "old", "new"}),
    "key.line": frozenset({"line", "number", "old", "new"}),
    "log.end": frozenset({"next", "next_key"}),
    "log.begin": frozenset({"number", "former", "size", "root"}),
    "log.retire": frozenset({"number", "former", "size", "root", "ended", "years"}),
}  # fmt: skip
FACT_KEYS = frozenset({"fact"})


class EventError(ValueError):
    """The event may not be written: an unknown kind or key, or too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDraft:
    """An event before sealing. ``row_salt`` makes the personal salts derivable from the one kept with a fact row."""

    id: str
    kind: str
    type: str
    at: str
    origin: str
    custodian: str
    public: Mapping[str, Any]
    personal: Mapping[str, Any]
    row_salt: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """What opens one commitment."""

    salt: bytes
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedEvent:
    """The entry's bytes and, apart from them, what opens its personal fields."""

    entry: bytes
    disclosures: Mapping[str, Disclosure]


def seal_event(draft: EventDraft, random: Randomness) -> SealedEvent:
    """Commit, lay out and pad. Raises EventError for a kind, key or size that is not allowed."""
    _check(draft)
    salts = {
        name: random.token(16) if draft.row_salt is None else field_salt(draft.row_salt, name)
        for name in sorted(draft.personal)
    }
    fields = {name: commitment(salts[name], name, draft.personal[name]) for name in salts}
    body: dict[str, Any] = {
        "v": VERSION,
        "id": draft.id,
        "kind": draft.kind,
        "type": draft.type,
        "at": draft.at,
        "origin": draft.origin,
        "custodian": draft.custodian,
        "public": dict(draft.public),
        "personal": {
            "root": _b64(commitment_root(fields)),
            "fields": {name: _b64(value) for name, value in fields.items()},
        },
        "pad": "",
    }
    opened = {name: Disclosure(salt=salts[name], value=draft.personal[name]) for name in salts}
    return SealedEvent(entry=_padded(body), disclosures=opened)


def commitment(salt: bytes, name: str, value: Any) -> bytes:
    """HMAC-SHA256 over name, zero byte and the canonical value."""
    return hmac.digest(salt, name.encode() + b"\0" + canonical(value), "sha256")


def commitment_root(fields: Mapping[str, bytes]) -> bytes:
    """Merkle root over (name, commitment) in order of name."""
    return root([leaf_hash(name.encode() + b"\0" + fields[name]) for name in sorted(fields)])


def field_salt(row_salt: bytes, name: str) -> bytes:
    """The salt of one column, from the salt of its row."""
    return hmac.digest(row_salt, b"column\0" + name.encode(), "sha256")[:16]


def row_commitment(columns: Mapping[str, Any], row_salt: bytes) -> bytes:
    """What the log must hold for a fact row of these columns and salt."""
    return commitment_root({name: commitment(field_salt(row_salt, name), name, columns[name]) for name in columns})


def commits(row: Mapping[str, Any], shapes: Iterable[tuple[str, ...]], root: bytes) -> bool:
    """Whether a fact row, read in one of these shapes, is what the log holds for it."""
    salt = bytes(row["salt"])
    return any(row_commitment({name: row[name] for name in shape}, salt) == root for shape in shapes)


def opens(fields: Mapping[str, str], name: str, disclosure: Disclosure) -> bool:
    """Whether a disclosure opens the commitment of that field."""
    made = commitment(disclosure.salt, name, disclosure.value)
    return hmac.compare_digest(made, base64.b64decode(fields.get(name, "")))


def _check(draft: EventDraft) -> None:
    if draft.kind not in KINDS:
        raise EventError(f"unknown event kind {draft.kind}")
    allowed = PUBLIC_KEYS.get(draft.type, FACT_KEYS)
    extra = draft.public.keys() - allowed
    if extra:
        raise EventError(f"not allowed in the public part of {draft.type}: {', '.join(sorted(extra))}")


def _padded(body: dict[str, Any]) -> bytes:
    bare = canonical(body)
    if len(bare) > LARGEST:
        raise EventError(f"the entry has {len(bare)} bytes; at most {LARGEST} fit")
    bucket = next((size for size in BUCKETS if size >= len(bare)), LARGEST)
    return canonical({**body, "pad": "." * (bucket - len(bare))})


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def digest_of(entry: bytes) -> str:
    """SHA-256 of an entry, hex; for receipts and logs."""
    return hashlib.sha256(entry).hexdigest()
