"""The ledger events of a release: its opening, with what went to whom under which law, or its refusal.

What anybody may read is public; what names a person, an institution, a purpose or a size is committed under a salt of
its own and disclosed per audience.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.env import Env
from gateway.errors import NotFound
from gateway.events import EventDraft
from gateway.evidence import Evidence
from gateway.filing_facts import standing_filings
from gateway.ports import Row, Tx
from gateway.record import draft
from gateway.times import legal_day
from gateway.verifier.membership import set_commitment
from policies.decide import Decision
from policies.vocabulary import Action

PROVISION = {
    Action.RECEIVE_RELEASE: "provide",
    Action.EXPORT_MEDIA: "provide",
    Action.RETURN_TO_OWNER: "return",
    Action.TRANSIT: "transit",
}
"""What kind of event it is: provision to outside (对外提供), or one that is neither provision nor open use."""


def opening_event(tx: Tx, env: Env, evidence: Evidence, row: Row, decision: Decision) -> EventDraft:
    """The event of a permitted release: provision to outside or open use (对外提供或开放使用)."""
    copy = tx.get("copy", row["copy_id"])
    if copy is None:
        raise NotFound("copy")
    rows, salt = evidence.rows, env.random.token(16)
    public = {
        **_common(evidence, row, decision),
        "view_identity": row["core_view_id"],
        "copy": copy["id"],
        "grant": evidence.grant_id,
        "passed": list(decision.passed),
        "obligations": [owed["rule"] for owed in decision.obligations],
        "permitted_root": set_commitment(evidence.permitted.ids, salt).hex(),
        "provision_type": PROVISION[evidence.action],
        "channel": "medium" if evidence.action == Action.EXPORT_MEDIA else "network",
        "files": [entry["etag"] for entry in copy["files"]],
        "key_versions": {"custodian": copy["files"][0]["key_version"] if copy["files"] else 0},
        "witnessed": env.ledger.witnessed,
        "address_learnt": "said at sign-in" if env.demo else "table of networks",
    }
    personal = {
        **_to_whom(evidence, row),
        "party_class": evidence.facts.recipient.party_class,
        "people": len(evidence.permitted.ids),
        "people_cumulative": evidence.facts.counts.exome_genome_people,
        "filings": _relied_on(env, rows),
        "owner": rows["dataset"]["owner_id"],
        "responsible_person": rows["dataset"]["responsible_person"],
        "label": None if rows["view"] is None else rows["view"]["label"],
        "consent_scope": evidence.permitted.digest,
        "volume": sum(entry["size"] for entry in copy["files"]),
        "place_of_access": row["place_of_access"],
        "permitted_salt": salt.hex(),
    }
    return draft(
        env, kind="open", type="release.open", custodian_id=row["custodian_id"], public=public, personal=personal
    )


def refusal_event(env: Env, evidence: Evidence, row: Row, decision: Decision) -> EventDraft:
    """A hold or deny, with every rule that failed."""
    public = {
        **_common(evidence, row, decision),
        "outcome": str(decision.effect),
        "rules": [reason["rule"] for reason in decision.reasons],
    }
    personal = _to_whom(evidence, row)
    return draft(
        env, kind="refuse", type="release.refuse", custodian_id=row["custodian_id"], public=public, personal=personal
    )


def _relied_on(env: Env, rows: Mapping[str, Any]) -> list[dict[str, str]]:
    """The filings that stand for this recipient and item today: what was filed for another is not this one's to see."""
    standing = standing_filings(rows, legal_day(env.clock.now()))
    return [{"kind": kind, "number": filing["number"]} for kind in sorted(standing) for filing in standing(kind)]


def _to_whom(evidence: Evidence, row: Row) -> dict[str, Any]:
    application = evidence.rows["application"]
    return {
        "recipient": evidence.rows["recipient"]["id"],
        "person": row["requester_id"],
        "purpose": {"return": str(evidence.action)} if application is None else application["purpose"],
    }


def _common(evidence: Evidence, row: Row, decision: Decision) -> dict[str, Any]:
    return {
        "release": row["id"],
        "dataset": row["dataset_id"],
        "view": row["view_id"],
        "policy_version": decision.policy_version,
        "facts_digest": evidence.facts.digest(),
        "tier": None if evidence.rows["view"] is None else evidence.rows["view"]["tier"],
    }
