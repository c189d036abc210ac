"""An application and its items, one per dataset, each with its own states.

    submitted -> approved-to-file -> filing (package frozen) -> granted -> revoked | expired | suspended

What else may happen to an item is in ``gateway.item_life``; who may do what when, in ``policies/tables/workflow.toml``.

The answer to ``submit`` is the decision as it stands: usually a hold that names everything still missing.
Approval to file takes two people of different units, never the applicant; each approval is bound to the digest of what
was approved, so a later change of the application or the dataset voids it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.accounts import HOUSE, require
from gateway.canonical import digest
from gateway.env import Actor, Env
from gateway.errors import BadInput, Conflict, NotAllowed, NotFound
from gateway.evidence import APPROVE, decide_release, gather, granted_class
from gateway.item_life import (
    APPROVAL,
    against_grant,
    as_item,
    as_person,
    found_item,
    give_approval,
    next_release,
)
from gateway.ports import Row, Tx
from gateway.record import check_facts, put_fact, record_refused_act
from gateway.times import legal_day, stamp
from gateway.transform import prepare_core_view
from policies.workflow import Acting, after, may


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One dataset of an application: which of its views."""

    dataset_id: str
    views: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What an applicant sends. ``purpose`` and ``evidence`` are as the Facts schema names them."""

    purpose: dict[str, Any]
    evidence: dict[str, Any]
    items: Sequence[Wanted]
    project_id: str | None = None


def submit(env: Env, actor: Actor, submission: Submission) -> str:
    """Record an application; its id. Every item starts in state ``submitted``."""
    require(actor, "researcher")
    if not submission.items:
        raise BadInput("an application names at least one dataset and one view of it")
    application_id = env.new_id()

    def work(tx: Tx) -> None:
        now = stamp(env.clock.now())
        columns = {
            # Random, for a running number would tell one applicant how many others there are.
            "number": f"A-{now[:4]}-{env.random.token(4).hex().upper()}",
            "applicant_id": actor.person_id,
            "institution_id": actor.institution_id,
            "project_id": submission.project_id or env.new_id(),
            "purpose": submission.purpose,
            "evidence": submission.evidence,
            "submitted_at": now,
        }
        put_fact(tx, env, "application", application_id, custodian_id=HOUSE, scope=application_id, columns=columns)
        for wanted in submission.items:
            _add_item(tx, env, application_id, wanted)

    env.uow.run(work)
    return application_id


def show(env: Env, actor: Actor, application_id: str) -> dict[str, Any]:
    """The application with its items, for its applicant and for stewards of its custodians."""

    def work(tx: Tx) -> dict[str, Any]:
        application = tx.get("application", application_id)
        items = tx.find("item", application_id=application_id)
        if application is None or not _may_see(actor, application, items):
            raise NotFound("application")
        return {
            "application": _shown("application", application),
            "items": [_shown("item", item) | {"approvals": _approvals(tx, item["id"])} for item in items],
        }

    return env.uow.read(work)


def preview(env: Env, actor: Actor, item_id: str) -> dict[str, dict[str, Any]]:
    """Each view's decision as it stands now, in the shape of ``policy explain``; nothing is recorded."""
    env.ledger.sync()
    log = env.ledger.facts()

    def work(tx: Tx) -> dict[str, dict[str, Any]]:
        item, application = found_item(tx, item_id)
        if not _may_see(actor, application, [item]):
            raise NotFound("application item")
        answers = {}
        for view_id in item["views"]:
            row = _as_release(item, application, view_id, actor)
            evidence = gather(tx, env, row, measured=False)
            decision = decide_release(env, evidence, tampered=check_facts(tx, log, evidence.scopes))
            answers[view_id] = decision.to_json()
        return answers

    return env.uow.read(work)


def approve(env: Env, actor: Actor, item_id: str) -> Row:
    """Approve an item to file. A refused attempt (own application, same unit, same person) is itself recorded."""
    refused = env.uow.read(lambda tx: _approval_refused(tx, env, actor, item_id))
    if refused is not None:
        message, rules = refused
        env.uow.run(lambda tx: record_refused_act(tx, env, actor, act=APPROVE, about=item_id, rules=rules))
        raise NotAllowed(message, rules=rules)

    def work(tx: Tx) -> Row:
        again = _approval_refused(tx, env, actor, item_id)
        if again is not None:
            raise NotAllowed(again[0], rules=again[1])
        item, application = found_item(tx, item_id)
        following = after(APPROVAL, as_item(tx, item, application))
        give_approval(tx, env, actor, item, application, APPROVE)
        if following != item["state"]:
            put_fact(tx, env, "item", item_id, columns={"state": following})
        found = tx.get("item", item_id)
        assert found is not None  # noqa: S101  read three lines above in the same transaction
        return _shown("item", found)

    return env.uow.run(work)


def freeze_package(env: Env, actor: Actor, item_id: str) -> Row:
    """Transform, measure and freeze what would leave, so that exactly this can be filed."""
    require(actor, "steward", "custodian")
    item, application = env.uow.read(lambda tx: found_item(tx, item_id))
    _require_own_custodian(actor, item)
    if item["state"] != "approved-to-file":
        raise Conflict(f"the item is {item['state']}; the package is prepared after two people approved it to file")
    parts = []
    for view_id in item["views"]:
        core_id = prepare_core_view(env, _as_release(item, application, view_id, actor))
        parts.append(env.uow.read(lambda tx, core_id=core_id: _part(tx, core_id)))  # type: ignore[misc]
    package_id = env.new_id()

    def work(tx: Tx) -> Row:
        people = {row["participant_id"] for part in parts for row in tx.find("core_member", core_view_id=part["core"])}
        columns = {
            "item_id": item_id,
            "parts": parts,
            "digest": digest(parts),
            "people": len(people),
            "frozen_at": stamp(env.clock.now()),
        }
        package = put_fact(
            tx, env, "package", package_id, custodian_id=item["custodian_id"], scope=item_id, columns=columns
        )
        put_fact(tx, env, "item", item_id, columns={"package_id": package_id, "state": "filing"})
        return _shown("package", package)

    return env.uow.run(work)


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
    env.ledger.sync()
    log = env.ledger.facts()

    def work(tx: Tx) -> Row:
        item, application = found_item(tx, item_id)
        _require_own_custodian(actor, item)
        if actor.person_id == application["applicant_id"]:
            raise NotAllowed("who asks never grants", rules=("GW-20",))
        if item["state"] != "filing":
            raise Conflict(f"the item is {item['state']}; a grant follows a frozen and filed package")
        _require_lawful(against_grant(tx, env, item, application, log))
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
        return _shown("access_grant", row)

    return env.uow.run(work)


def _add_item(tx: Tx, env: Env, application_id: str, wanted: Wanted) -> None:
    dataset = tx.get("dataset", wanted.dataset_id)
    known = {view["id"] for view in tx.find("view", dataset_id=wanted.dataset_id)}
    if dataset is None or dataset["state"] != "confirmed" or not set(wanted.views) <= known or not wanted.views:
        raise NotFound("dataset or view")
    item_id = env.new_id()
    columns = {
        "application_id": application_id,
        "dataset_id": wanted.dataset_id,
        "views": sorted(set(wanted.views)),
        "package_id": None,
        "state": "submitted",
    }
    put_fact(tx, env, "item", item_id, custodian_id=dataset["custodian_id"], scope=item_id, columns=columns)


def _approval_refused(tx: Tx, env: Env, actor: Actor, item_id: str) -> tuple[str, tuple[str, ...]] | None:
    """Why this person may not approve this item now; None when they may (invariant 8)."""
    item, application = found_item(tx, item_id)
    if actor.institution_id != item["custodian_id"] and actor.person_id != application["applicant_id"]:
        raise NotFound("application item")
    acting = Acting(person=as_person(tx, actor.person_id, actor))
    refused = may(APPROVAL, acting, as_item(tx, item, application), legal_day(env.clock.now()))
    if refused is None:
        return None
    if refused.rules == ("GW-25",):
        raise Conflict(f"the item is {item['state']}, not waiting for approval to file")
    return refused.sentence, refused.rules


def _require_own_custodian(actor: Actor, item: Row) -> None:
    if actor.institution_id != item["custodian_id"]:
        raise NotFound("application item")


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


def _part(tx: Tx, core_id: str) -> dict[str, Any]:
    core = tx.get("core_view", core_id)
    if core is None:
        raise Conflict("the core view is gone; prepare the package again")
    members = len(tx.find("core_member", core_view_id=core_id))
    files = [{"name": part["name"], "digest": part["digest"], "bytes": part["size"]} for part in core["parts"]]
    return {"core": core_id, "view": core["view_id"], "people": members, "files": files}


def _as_release(item: Row, application: Row, view_id: str, actor: Actor) -> Row:
    """The release that the applicant would ask for next; the place is theirs only where they look themselves."""
    place = actor.place_of_access if actor.person_id == application["applicant_id"] else None
    return next_release(item, application, view_id, place)


def _may_see(actor: Actor, application: Row, items: Sequence[Row]) -> bool:
    owns = any(item["custodian_id"] == actor.institution_id for item in items)
    return application["applicant_id"] == actor.person_id or (
        owns and actor.has("steward", "custodian", "report-filer")
    )


def _approvals(tx: Tx, item_id: str) -> list[dict[str, Any]]:
    rows = tx.find("approval", item_id=item_id, state="given")
    return [{key: row[key] for key in ("unit", "act", "given_at", "digest")} for row in rows]


SHOWN = {
    "application": (
        "id",
        "number",
        "applicant_id",
        "institution_id",
        "project_id",
        "purpose",
        "evidence",
        "submitted_at",
    ),
    "item": ("id", "custodian_id", "application_id", "dataset_id", "views", "package_id", "state", "note"),
    "package": ("id", "item_id", "parts", "digest", "people", "frozen_at"),
    "access_grant": (
        *("id", "custodian_id", "item_id", "application_id", "dataset_id", "project_id", "recipient_id", "person_id"),
        *(
            "encryption_key_id",
            "signing_key_id",
            "quotas",
            "valid_from",
            "valid_to",
            "granted_by",
            "granted_as",
            "state",
        ),
    ),
}
"""What of a row is answered: a list of what may be seen, so that a new column is not seen until somebody adds it."""


def _shown(table: str, row: Row) -> dict[str, Any]:
    return {key: row[key] for key in SHOWN[table]}
