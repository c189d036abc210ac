"""A named person answers for a risk over the limits of the controlled tier (gate table, ARCHITECTURE section 6).

The signature is bound to the numbers that were measured for this audience: when the audience comes to hold more, or the
core view is made anew with other numbers, the risk is another and the signature no longer counts. Open and registered
limits are hard: nobody signs there. Who asked for the data never signs.
"""

from __future__ import annotations

from typing import Any

from gateway.accounts import require
from gateway.env import Actor, Env
from gateway.errors import Conflict, NotAllowed, NotFound
from gateway.evidence import release_rows
from gateway.measured import SIGN_RISK, Measured, measure
from gateway.ports import Row, Tx
from gateway.record import put_fact, record_refused_act
from gateway.times import stamp


def sign_risk(env: Env, actor: Actor, release_id: str) -> dict[str, Any]:
    """Sign the measured risk of a held release; the numbers signed. The applicant then asks again."""
    require(actor, "steward")
    if env.uow.read(lambda tx: _is_applicant(tx, actor, release_id)):
        env.uow.run(lambda tx: record_refused_act(tx, env, actor, act=SIGN_RISK, about=release_id, rules=("GW-20",)))
        raise NotAllowed("who asks never signs the risk", rules=("GW-20",))

    def work(tx: Tx) -> dict[str, Any]:
        row = _held(tx, actor, release_id)
        found = _measured(tx, row)
        columns = {
            "item_id": row["item_id"],
            "person_id": actor.person_id,
            "unit": actor.unit,
            "act": SIGN_RISK,
            "digest": found.digest(),
            "given_at": stamp(env.clock.now()),
            "state": "given",
        }
        scope = row["item_id"]
        put_fact(tx, env, "approval", env.new_id(), custodian_id=row["custodian_id"], scope=scope, columns=columns)
        return {"k": found.k, "l": found.l, "linkable": found.linkable, "tables_held": found.tables_held} | {
            "given_back": found.given_back
        }

    return env.uow.run(work)


def _held(tx: Tx, actor: Actor, release_id: str) -> Row:
    row = tx.get("release", release_id)
    if row is None or row["custodian_id"] != actor.institution_id:
        raise NotFound("release")
    view = tx.get("view", row["view_id"])
    if row["outcome"] != "hold" or row["core_view_id"] is None or view is None or view["tier"] != "controlled":
        raise Conflict("only a release of the controlled tier that is on hold with a measured risk can be signed")
    return row


def _measured(tx: Tx, row: Row) -> Measured:
    core = tx.get("core_view", row["core_view_id"])
    if core is None:
        raise NotFound("core view")
    return measure(tx, release_rows(tx, row), core)


def _is_applicant(tx: Tx, actor: Actor, release_id: str) -> bool:
    row = tx.get("release", release_id)
    return row is not None and row["requester_id"] == actor.person_id
