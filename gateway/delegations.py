"""Lend one's role for one item to a substitute, from a day to a day, and take it back.

A substitute acts in the lent role alone, is another person of the same house without a conflict of interest, and counts
with the giver as one hand (GW-21). Who may lend is ``policies/tables/workflow.toml``; a refused attempt is recorded.
Legal sense: 委托, 代理人.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from gateway.env import Actor, Env
from gateway.errors import NotAllowed, NotFound
from gateway.item_life import as_item, as_person, found_item
from gateway.ports import Row, Tx
from gateway.record import put_fact, record_refused_act
from gateway.times import legal_day
from policies.model import Delegation
from policies.workflow import Acting, Refusal, may, may_substitute

ACT = "delegate"
SHOWN = ("id", "item_id", "giver_id", "to_id", "role", "first_day", "last_day", "state")


def delegate(
    env: Env, actor: Actor, item_id: str, *, to: str, role: str, first_day: date, last_day: date
) -> dict[str, Any]:
    """Name a substitute by login or id; the delegation as recorded. Raises NotAllowed with every rule against it."""
    known = env.uow.read(lambda tx: tx.find("account", login=to))
    columns = {
        "item_id": item_id,
        "giver_id": actor.person_id,
        "to_id": known[0]["id"] if known else to,
        "role": role,
        "first_day": first_day.isoformat(),
        "last_day": last_day.isoformat(),
        "state": "given",
    }
    refused = env.uow.read(lambda tx: _refusal(tx, env, actor, columns))
    if refused is not None:
        env.uow.run(lambda tx: record_refused_act(tx, env, actor, act=ACT, about=item_id, rules=refused.rules))
        raise NotAllowed(refused.sentence, rules=refused.rules)
    delegation_id = env.new_id()

    def work(tx: Tx) -> Row:
        again = _refusal(tx, env, actor, columns)
        if again is not None:
            raise NotAllowed(again.sentence, rules=again.rules)
        item, _ = found_item(tx, item_id)
        custodian = item["custodian_id"]
        return put_fact(tx, env, "delegation", delegation_id, custodian_id=custodian, scope=item_id, columns=columns)

    return _shown(env.uow.run(work))


def revoke(env: Env, actor: Actor, delegation_id: str) -> dict[str, Any]:
    """Take a delegation back, at once; only its giver does."""

    def work(tx: Tx) -> Row:
        row = tx.get("delegation", delegation_id)
        if row is None or row["giver_id"] != actor.person_id:
            raise NotFound("delegation")
        return put_fact(tx, env, "delegation", delegation_id, columns={"state": "revoked"}, kind="restrict")

    return _shown(env.uow.run(work))


def listed(env: Env, actor: Actor) -> list[dict[str, Any]]:
    """The delegations I gave and those given to me."""

    def work(tx: Tx) -> list[dict[str, Any]]:
        mine = [*tx.find("delegation", giver_id=actor.person_id), *tx.find("delegation", to_id=actor.person_id)]
        return [_shown(row) for row in mine]

    return env.uow.read(work)


def _refusal(tx: Tx, env: Env, actor: Actor, columns: dict[str, str]) -> Refusal | None:
    """What stands against the giver, and against the substitute; an item of another house does not exist here."""
    item, application = found_item(tx, columns["item_id"])
    if actor.institution_id != item["custodian_id"]:
        raise NotFound("application item")
    if tx.get("person", columns["to_id"]) is None:
        raise NotFound("person")
    known, day = as_item(tx, item, application), legal_day(env.clock.now())
    giver = as_person(tx, actor.person_id, actor)
    lent = Delegation(
        giver=giver,
        to=as_person(tx, columns["to_id"]),
        role=columns["role"],
        first_day=date.fromisoformat(columns["first_day"]),
        last_day=date.fromisoformat(columns["last_day"]),
    )
    found = [may(ACT, Acting(person=giver), known, day), may_substitute(lent, known, day)]
    rules = tuple(dict.fromkeys(rule for refused in found if refused is not None for rule in refused.rules))
    return Refusal(rules=rules) if rules else None


def _shown(row: Row) -> dict[str, Any]:
    return {key: row[key] for key in SHOWN}
