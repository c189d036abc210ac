"""A receipt checked without the log: the entry's own bytes, the receipt, the log's key, and the witnesses' policy."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .merkle import leaf_hash
from .note import VerifierKey, parse_note
from .policy import Policy, cosigners
from .proof import verify_proof
from .rotation import LogKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedReceipt:
    """What a receipt shows. ``witnesses`` are those of the policy whose good cosignature it carries; without a policy
    none can be known and ``witnessed`` is False."""

    index: int
    size: int
    origin: str
    witnessed: bool
    witnesses: tuple[str, ...]
    kind: str
    type: str


def check_receipt(
    receipt: bytes, *, entry: bytes, key: VerifierKey | LogKeys, policy: Policy | None = None
) -> CheckedReceipt:
    """The entry stands in the log at the receipt's index; ``ValueError`` where the receipt does not show it."""
    proof = verify_proof(receipt, key=key, leaf=leaf_hash(entry))
    found = () if policy is None else cosigners(parse_note(proof.signed_checkpoint), policy)
    event = _event(entry)
    return CheckedReceipt(
        index=proof.index,
        size=proof.checkpoint.size,
        origin=proof.checkpoint.origin,
        witnessed=policy is not None and policy.satisfied(found),
        witnesses=tuple(sorted(found)),
        kind=str(event["kind"]),
        type=str(event["type"]),
    )


def opened_fields(entry: bytes, opened: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The disclosed values, each checked against its commitment; ``ValueError`` names the first that lies.

    Commitment: HMAC-SHA256(salt, name || 0x00 || canonical JSON of the value).
    """
    fields = _event(entry)["personal"]["fields"]
    values = {}
    for name, one in opened.items():
        try:
            salt = base64.b64decode(one["salt"], validate=True)
            made = hmac.digest(salt, name.encode() + b"\0" + _canonical(one["value"]), "sha256")
            if not hmac.compare_digest(base64.b64encode(made).decode(), fields[name]):
                raise ValueError
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise ValueError(f"field {name} is not the one the entry commits to") from None
        values[name] = one["value"]
    return values


def _event(entry: bytes) -> dict[str, Any]:
    try:
        event: dict[str, Any] = json.loads(entry)
        event["kind"], event["type"], event["personal"]["fields"]
    except (ValueError, KeyError, TypeError):
        raise ValueError("the entry is not an event of this ledger") from None
    return event


def _canonical(value: Any) -> bytes:
    """RFC 8785 for what events hold: text, whole numbers, booleans, null, lists and objects with ASCII names."""
    if isinstance(value, float):
        raise ValueError("a fractional number")  # noqa: TRY004  to the caller it is one more value that does not fit
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
