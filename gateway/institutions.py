"""Who controls an institution: reported by one person, restated by two.

A partner that becomes a 外方单位 in mid-project suspends every release to it (HGR FAQ 3.9). To report is to
restrict, so one operator is enough and it holds at once; what control is now is stated anew and confirmed by a second
operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.accounts import require
from gateway.env import Actor, Env
from gateway.errors import BadInput, NotFound
from gateway.ports import Tx
from gateway.record import put_fact
from policies.parties import ownership


def report_change_of_control(env: Env, actor: Actor, institution_id: str) -> None:
    """Hold every release to an institution from now on, until its control is stated anew and confirmed."""
    require(actor, "operator")

    def work(tx: Tx) -> None:
        row = tx.get("institution", institution_id)
        if row is None:
            raise NotFound("institution")
        changed = {**(row["control"] or {}), "changed": "yes"}
        put_fact(tx, env, "institution", institution_id, columns={"control": changed}, kind="restrict")

    env.uow.run(work)


def restate_control(env: Env, actor: Actor, institution_id: str, control: Mapping[str, Any]) -> None:
    """State who controls an institution now; until a second operator confirms it, nothing goes to it."""
    require(actor, "operator")
    if not control:
        raise BadInput("control: nothing is stated")
    try:
        ownership(control)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"control: {error}") from None

    def work(tx: Tx) -> None:
        if tx.get("institution", institution_id) is None:
            raise NotFound("institution")
        columns = {
            "control": dict(control),
            "state": "proposed",
            "proposed_by": actor.person_id,
            "confirmed_by": None,
        }
        put_fact(tx, env, "institution", institution_id, columns=columns, kind="restrict")

    env.uow.run(work)
