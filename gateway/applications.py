"""An application and its items, one per dataset, each with its own states.

    submitted -> approved-to-file -> filing (package frozen) -> granted -> revoked | expired | suspended

What else may happen to an item is in ``gateway.item_life``; who may do what when, in ``policies/tables/workflow.toml``.

The answer to ``submit`` is the decision as it stands: usually a hold that names everything still missing.
Approval to file takes two people of different units, never the applicant; each approval is bound to the digest of what
was approved, so a later change of the application or the dataset voids it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.accounts import HOUSE, require
from gateway.env import Actor, Env, FactsOfLog
from gateway.errors import BadInput, Conflict, NotAllowed, NotFound
from gateway.evidence import APPROVE, approval_digest, decide_release, gather, release_rows
from gateway.item_life import (
    APPROVAL,
    acting,
    against,
    as_item,
    found_item,
    give_approval,
    next_release,
)
from gateway.ports import Row, Tx
from gateway.record import check_facts, put_fact, record_refused_act, with_log
from gateway.thing_facts import data_use, stated
from gateway.times import legal_day, stamp
from policies.vocabulary import Action
from policies.workflow import after, may


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
            "items": [
                _shown("item", item)
                | {"approvals": _approvals(tx, item["id"]), "data_use": _data_use(tx, item, application)}
                for item in items
            ],
        }

    return env.uow.read(work)


def preview(env: Env, actor: Actor, item_id: str) -> dict[str, dict[str, Any]]:
    """Each view's decision as it stands now, in the shape of ``policy explain``; nothing is recorded."""

    def work(tx: Tx, log: FactsOfLog) -> dict[str, dict[str, Any]]:
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

    return with_log(env, work, writes=False)


def approve(env: Env, actor: Actor, item_id: str, *, under: str | None = None) -> Row:
    """Approve an item to file; ``under`` is the delegation of a substitute.

    A refused attempt (own application, same unit, same person, what the law denies) is itself recorded.
    """
    refused = with_log(env, lambda tx, log: _approval_refused(tx, env, (actor, under), item_id, log), writes=False)
    if refused is not None:
        message, rules = refused
        env.uow.run(lambda tx: record_refused_act(tx, env, actor, act=APPROVE, about=item_id, rules=rules))
        raise NotAllowed(message, rules=rules)

    def work(tx: Tx, log: FactsOfLog) -> Row:
        again = _approval_refused(tx, env, (actor, under), item_id, log)
        if again is not None:
            raise NotAllowed(again[0], rules=again[1])
        item, application = found_item(tx, item_id)
        following = after(APPROVAL, as_item(tx, item, application))
        give_approval(tx, env, (actor, under), (item, application), APPROVE)
        if following != item["state"]:
            put_fact(tx, env, "item", item_id, columns={"state": following})
        found = tx.get("item", item_id)
        assert found is not None  # noqa: S101  read three lines above in the same transaction
        return _shown("item", found)

    return with_log(env, work)


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


def _approval_refused(
    tx: Tx, env: Env, by: tuple[Actor, str | None], item_id: str, log: FactsOfLog
) -> tuple[str, tuple[str, ...]] | None:
    """Why this person may not approve this item now; None when they may (invariant 8).

    The workflow is asked first; then the law, of all that no filing can still bring (rule catalogue, section 17).
    """
    actor, under = by
    item, application = found_item(tx, item_id)
    if actor.institution_id != item["custodian_id"] and actor.person_id != application["applicant_id"]:
        raise NotFound("application item")
    known = as_item(tx, item, application)
    refused = may(APPROVAL, acting(tx, actor, item_id, under), known, legal_day(env.clock.now()))
    if refused is not None and refused.rules == ("GW-25",):
        raise Conflict(f"the item is {item['state']}, not waiting for approval to file")
    if refused is not None:
        return refused.sentence, refused.rules
    reasons = against(tx, env, Action.APPROVE_TO_FILE, item, application, log)
    said = "; ".join(f"{reason['rule']} {reason['title']['en']}" for reason in reasons)
    return (f"the law does not let this be approved: {said}", tuple(r["rule"] for r in reasons)) if reasons else None


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


def _data_use(tx: Tx, item: Row, application: Row) -> dict[str, Any]:
    """What each term of the dataset's permission says to the purpose, and whether a person answered for the rest."""
    rows = release_rows(tx, next_release(item, application, item["views"][0]))
    said = data_use(rows, stated(rows))
    wanted = approval_digest(tx, item, application)
    return {
        "answer": said.answer,
        "findings": [{"term": each.term, "answer": each.answer, "why": each.why} for each in said.findings],
        "read_by_a_person": any(reading["digest"] == wanted for reading in rows["readings"]),
    }


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
}
"""What of a row is answered: a list of what may be seen, so that a new column is not seen until somebody adds it."""


def _shown(table: str, row: Row) -> dict[str, Any]:
    return {key: row[key] for key in SHOWN[table]}
