"""The life of an application item between submission and closing: review, questions, refusal, suspension, its end.

Who may do what in which state is ``policies/tables/workflow.toml``; every refused attempt is itself recorded. What
stops acts at once and by one person; what opens again needs two people of different units and filings that stand.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from gateway.env import Actor, Env, FactsOfLog
from gateway.errors import BadInput, Conflict, NotAllowed, NotFound
from gateway.evidence import APPROVE, approval_digest, gather, rules_against
from gateway.ports import Row, Tx
from gateway.record import check_facts, put_fact, record_refused_act, with_log
from gateway.thing_facts import READ
from gateway.times import legal_day, stamp
from policies.model import Delegation, Person
from policies.vocabulary import Action, Trilean
from policies.workflow import Acting, Approval, Item, Refusal, acts, after, may

APPROVAL = "approve"
NAMES = {APPROVE: APPROVAL}
"""Approvals are stored under the name that the ledger has always used."""
PLAIN = frozenset({"submit", "withdraw", "begin-review", "ask", "hold", "refuse", "suspend", "resume", "close", READ})
"""Acts that change the item's state, or are one person's word; the others have use cases of their own."""
NOTED = frozenset({"ask", "hold", "refuse", "suspend", READ})
ANSWERED = frozenset({READ})
"""Acts whose note is the reason of a yes that is bound to the digest of what it is a yes to."""
RESTRICTS = frozenset({"refuse", "suspend", "withdraw", "close"})


def act(env: Env, actor: Actor, item_id: str, name: str, *, note: str = "", under: str | None = None) -> dict[str, Any]:
    """Do one plain act; the item as it then stands. ``note`` is what the applicant is told; ``under`` the delegation
    of a substitute."""
    if name not in PLAIN:
        raise BadInput(f"the act must be one of {', '.join(sorted(PLAIN))}")
    if name in NOTED and not note.strip():
        raise BadInput(f"to {name} needs a note: the applicant is told why")
    refused = with_log(env, lambda tx, log: refusal(tx, env, actor, item_id, name, log, under), writes=False)
    if refused is not None:
        env.uow.run(lambda tx: record_refused_act(tx, env, actor, act=name, about=item_id, rules=refused.rules))
        raise _raised(refused)

    def work(tx: Tx, log: FactsOfLog) -> Row:
        again = refusal(tx, env, actor, item_id, name, log, under)
        if again is not None:
            raise _raised(again)
        _carry_out(tx, env, (actor, under), found_item(tx, item_id), name, note)
        return found_item(tx, item_id)[0]

    row = with_log(env, work)
    return {key: row[key] for key in ("id", "application_id", "dataset_id", "views", "state", "note")}


def _carry_out(tx: Tx, env: Env, by: tuple[Actor, str | None], about: tuple[Row, Row], name: str, note: str) -> None:
    item, application = about
    state = after(name, as_item(tx, item, application))
    if acts()[name].get("people", 1) > 1 or name in ANSWERED:
        give_approval(tx, env, by, about, name, reason=note or None)
    columns = {"state": state} | ({"note": note} if note and name not in ANSWERED else {})
    if columns != {"state": item["state"]}:
        kind = "restrict" if name in RESTRICTS else "fact"
        put_fact(tx, env, "item", item["id"], columns=columns, kind=kind)
    _tell_grants(tx, env, item["id"], item["state"], state)


def refusal(
    tx: Tx, env: Env, actor: Actor, item_id: str, name: str, log: FactsOfLog, under: str | None = None
) -> Refusal | None:
    """What stands against an act; None when it may be done. An item of others does not exist for the actor."""
    item, application = found_item(tx, item_id)
    if actor.institution_id != item["custodian_id"] and actor.person_id != application["applicant_id"]:
        raise NotFound("application item")
    known = as_item(tx, item, application)
    if acts()[name].get("filings"):
        known = replace(known, filings=filings_stand(tx, env, item, application, log))
    return may(name, acting(tx, actor, item_id, under), known, legal_day(env.clock.now()))


def filings_stand(tx: Tx, env: Env, item: Row, application: Row, log: FactsOfLog) -> Trilean:
    """Whether the law would let a grant be given now, for every view of the item: its filings and all else it asks."""
    return Trilean.NO if against(tx, env, Action.GRANT, item, application, log) else Trilean.YES


def against(tx: Tx, env: Env, action: Action, item: Row, application: Row, log: FactsOfLog) -> list[dict[str, Any]]:
    """Every reason, over all views of the item, why the law would not let this be done now; each rule once."""
    reasons: dict[str, dict[str, Any]] = {}
    for view_id in item["views"]:
        evidence = gather(tx, env, next_release(item, application, view_id), measured=False)
        tampered = check_facts(tx, log, evidence.scopes)
        decision = rules_against(env, evidence, action, tampered=tampered)
        reasons |= {reason["rule"]: reason for reason in decision.reasons}
    return [reasons[rule] for rule in sorted(reasons)]


def next_release(item: Row, application: Row, view_id: str, place: str | None = None) -> Row:
    """A release row that was never stored: what ``gather`` needs to look ahead."""
    return {
        "id": None,
        "custodian_id": item["custodian_id"],
        "item_id": item["id"],
        "dataset_id": item["dataset_id"],
        "view_id": view_id,
        "requester_id": application["applicant_id"],
        "place_of_access": place,
        "action": None,
        "key_id": None,
        "grant_id": None,
        "core_view_id": None,
        "copy_id": None,
    }


def give_approval(
    tx: Tx,
    env: Env,
    by: tuple[Actor, str | None],
    about: tuple[Row, Row],
    act: str,
    *,
    reason: str | None = None,
) -> None:
    """One person's yes, bound to the digest of what it is a yes to. ``by``: the person and, for a substitute, the
    delegation; ``about``: item and application."""
    (actor, under), (item, application) = by, about
    lent = None if under is None else tx.get("delegation", under)
    columns = {
        "giver_id": None if lent is None else lent["giver_id"],
        "reason": reason,
        "item_id": item["id"],
        "person_id": actor.person_id,
        "unit": actor.unit,
        "act": act,
        "digest": approval_digest(tx, item, application),
        "given_at": stamp(env.clock.now()),
        "state": "given",
    }
    put_fact(tx, env, "approval", env.new_id(), custodian_id=item["custodian_id"], scope=item["id"], columns=columns)


def as_item(tx: Tx, item: Row, application: Row) -> Item:
    """The item as the workflow knows it. Approvals of what has changed since stay in, and do not count."""
    given = tx.find("approval", item_id=item["id"], state="given")
    approvals = [
        Approval(
            by=replace(as_person(tx, row["person_id"]), unit=row["unit"]),
            act=NAMES.get(str(row["act"]), str(row["act"])),
            digest=row["digest"],
            giver=None if row["giver_id"] is None else as_person(tx, row["giver_id"]),
        )
        for row in given
    ]
    return Item(
        state=item["state"],
        custodian=item["custodian_id"],
        applicant=as_person(tx, application["applicant_id"]),
        digest=approval_digest(tx, item, application),
        investigators=_investigators(tx, item),
        approvals=tuple(approvals),
    )


def acting(tx: Tx, actor: Actor, item_id: str, under: str | None) -> Acting:
    """Who acts; ``under`` is a delegation of this item, and one of another item is none."""
    person = as_person(tx, actor.person_id, actor)
    if under is None:
        return Acting(person=person)
    lent = tx.get("delegation", under)
    if lent is None or lent["item_id"] != item_id:
        raise NotFound("delegation of this item")
    return Acting(person=person, under=as_delegation(tx, lent))


def as_delegation(tx: Tx, row: Row) -> Delegation:
    """A stored delegation as the workflow knows it: the giver with the roles the giver still has."""
    giver = as_person(tx, row["giver_id"])
    held = tx.find("role", person_id=row["giver_id"], state="active")
    return Delegation(
        giver=replace(giver, roles=frozenset(role["role"] for role in held)),
        to=as_person(tx, row["to_id"]),
        role=row["role"],
        first_day=date.fromisoformat(row["first_day"]),
        last_day=date.fromisoformat(row["last_day"]),
        revoked=row["state"] != "given",
    )


def as_person(tx: Tx, person_id: str, actor: Actor | None = None) -> Person:
    """A person as the workflow knows them: with the roles of this session where they act, without any elsewhere."""
    row = tx.get("person", person_id) or {}
    return Person(
        account=person_id,
        institution=actor.institution_id if actor else row.get("institution_id") or "",
        unit=actor.unit if actor else row.get("unit") or "",
        roles=actor.roles if actor else frozenset(),
        natural_person=row.get("natural_person"),
    )


def found_item(tx: Tx, item_id: str) -> tuple[Row, Row]:
    """The item and its application. Raises NotFound."""
    item = tx.get("item", item_id)
    application = None if item is None else tx.get("application", item["application_id"])
    if item is None or application is None:
        raise NotFound("application item")
    return item, application


def _investigators(tx: Tx, item: Row) -> tuple[Person, ...]:
    """The dataset's own investigators who have an account here: its manifest names them by login."""
    dataset = tx.get("dataset", item["dataset_id"])
    named = [] if dataset is None else list(map(str, dataset["manifest"].get("investigators", ())))
    return tuple(as_person(tx, account["id"]) for account in tx.find("account", login=named)) if named else ()


def _tell_grants(tx: Tx, env: Env, item_id: str, before: str, now: str) -> None:
    """A suspended item's grant is suspended, so that running fetches stop too; resumed, it is active again."""
    turn = {"suspended": ("active", "suspended", "restrict")}.get(now)
    if before == "suspended" and now == "active":
        turn = ("suspended", "active", "fact")
    if turn is not None:
        was, becomes, kind = turn
        for grant in tx.find("access_grant", item_id=item_id, state=was):
            put_fact(tx, env, "access_grant", grant["id"], columns={"state": becomes}, kind=kind)


def _raised(refused: Refusal) -> Exception:
    if refused.rules == ("GW-25",):
        return Conflict(refused.sentence)
    return NotAllowed(refused.sentence, rules=refused.rules)
