"""Issue the grant of an item: the committee's yes, its period, keys and quota, once the law lets it be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.accounts import require
from gateway.env import Actor, Env, FactsOfLog
from gateway.errors import BadInput, Conflict, NotAllowed, NotFound
from gateway.item_life import against, found_item
from gateway.party_facts import granted_class
from gateway.ports import Row, Tx
from gateway.record import put_fact, with_log
from gateway.times import stamp
from policies.vocabulary import Action

SHOWN = (
    *("id", "custodian_id", "item_id", "application_id", "dataset_id", "project_id", "recipient_id", "person_id"),
    *("encryption_key_id", "signing_key_id", "quotas", "valid_from", "valid_to", "granted_by", "granted_as", "state"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantTerms:
    """Period and quotas of a grant; keys are the applicant's registered ones."""

    valid_from: datetime
    valid_to: datetime
    releases: int
    encryption_key_id: str
    signing_key_id: str


def grant(env: Env, actor: Actor, item_id: str, terms: GrantTerms) -> Row:
    """Issue the grant once the package is frozen and filed. The release itself is decided again, twice."""
    require(actor, "steward")
    grant_id = env.new_id()

    def work(tx: Tx, log: FactsOfLog) -> Row:
        item, application = found_item(tx, item_id)
        if actor.institution_id != item["custodian_id"]:
            raise NotFound("application item")
        if actor.person_id == application["applicant_id"]:
            raise NotAllowed("who asks never grants", rules=("GW-20",))
        if item["state"] != "filing":
            raise Conflict(f"the item is {item['state']}; a grant follows a frozen and filed package")
        _require_lawful(against(tx, env, Action.GRANT, item, application, log))
        for key_id, kind in ((terms.encryption_key_id, "encryption"), (terms.signing_key_id, "signing")):
            _require_key(tx, application["applicant_id"], key_id, kind)
        columns = {
            "item_id": item_id,
            "application_id": application["id"],
            "dataset_id": item["dataset_id"],
            "project_id": application["project_id"],
            "recipient_id": application["institution_id"],
            "person_id": application["applicant_id"],
            "encryption_key_id": terms.encryption_key_id,
            "signing_key_id": terms.signing_key_id,
            "quotas": {"releases": terms.releases},
            "valid_from": stamp(terms.valid_from),
            "valid_to": stamp(terms.valid_to),
            "granted_by": actor.person_id,
            "granted_as": granted_class(tx, application),
            "state": "active",
        }
        row = put_fact(
            tx, env, "access_grant", grant_id, custodian_id=item["custodian_id"], scope=item_id, columns=columns
        )
        put_fact(tx, env, "item", item_id, columns={"state": "granted"})
        return {key: row[key] for key in SHOWN}

    return with_log(env, work)


def _require_lawful(reasons: Sequence[Mapping[str, Any]]) -> None:
    """Filings gate the grant and the release, never the internal approval (rule catalogue, section 17)."""
    if reasons:
        said = "; ".join(f"{reason['rule']} {reason['title']['en']}" for reason in reasons)
        raise NotAllowed(
            f"the law does not let this grant be given yet: {said}", rules=tuple(r["rule"] for r in reasons)
        )


def _require_key(tx: Tx, person_id: str, key_id: str, kind: str) -> None:
    key = tx.get("recipient_key", key_id)
    if key is None or key["person_id"] != person_id or key["kind"] != kind or key["state"] != "active":
        raise BadInput(f"the grant needs an active {kind} key of the applicant, registered with proof of possession")
