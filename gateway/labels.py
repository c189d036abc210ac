"""Change the label of a view: one person proposes, another confirms, and a fall needs its proof.

A label never falls without a recipe, a measured risk report of what that recipe makes, and a second person
(invariant 6). Between proposal and confirmation the view is not confirmed, and what is not confirmed holds. To raise a
label only the second person is needed. The words of a label are closed sets (``policies.protection``).
Source: GB/T 43697-2024 6 and 7 (re-grading of derived data); GB/T 42460-2023.
"""

from __future__ import annotations

from typing import Any

from gateway.accounts import require
from gateway.env import Actor, Env
from gateway.errors import BadInput, Conflict, NotAllowed, NotFound
from gateway.ports import Row, Tx
from gateway.record import put_fact, record_refused_act
from policies.gates import table_limits
from policies.protection import GRADES, LEVELS, NEVER_WIDER, TIERS, falls

ACT = "relabel"


def propose_label(env: Env, actor: Actor, view_id: str, *, grade: str, level: int, tier: str, reason: str) -> Row:
    """Give a view another label, to be confirmed by somebody else. A fall without its proof is refused and recorded."""
    require(actor, "steward", "custodian")
    if grade not in GRADES or level not in LEVELS or tier not in TIERS or not reason.strip():
        raise BadInput(
            f"a label has a grade ({', '.join(GRADES)}), a level (1 to 5), a tier ({', '.join(TIERS)}) and a reason"
        )
    lacking = env.uow.read(lambda tx: _lacking(tx, actor, view_id, {"grade": grade, "level": level, "tier": tier}))
    if lacking:
        env.uow.run(lambda tx: record_refused_act(tx, env, actor, act=ACT, about=view_id, rules=("GW-24",)))
        raise NotAllowed(f"the label would fall, and {lacking}", rules=("GW-24",))

    def work(tx: Tx) -> Row:
        view = own_view(tx, actor, view_id)
        label = {**view["label"], "grade": grade, "level": level, "tier": tier, "reason": reason.strip()}
        again = _lacking(tx, actor, view_id, label)
        if again:
            raise NotAllowed(f"the label would fall, and {again}", rules=("GW-24",))
        columns = {"label": label, "tier": tier, "labelled_by": actor.person_id, "state": "proposed"}
        return shown_label(put_fact(tx, env, "view", view_id, columns=columns))

    return env.uow.run(work)


def confirm_label(env: Env, actor: Actor, view_id: str) -> Row:
    """A steward who did not propose it confirms a label."""
    require(actor, "steward")

    def work(tx: Tx) -> Row:
        view = own_view(tx, actor, view_id)
        if view["state"] != "proposed":
            raise Conflict(f"the label is {view['state']}; there is nothing to confirm")
        if view["labelled_by"] == actor.person_id:
            raise NotAllowed("a second person confirms the label", rules=("GW-21",))
        columns = {"state": "confirmed", "confirmed_by": actor.person_id}
        return shown_label(put_fact(tx, env, "view", view_id, columns=columns))

    return env.uow.run(work)


def _lacking(tx: Tx, actor: Actor, view_id: str, label: dict[str, Any]) -> str:
    """What a fall still lacks, in words; empty where nothing falls or everything is there."""
    view = own_view(tx, actor, view_id)
    parts = falls({**view["label"], "tier": view["tier"]}, label)
    if not parts:
        return ""
    if not view["recipe_digest"]:
        return "this view has no recipe"
    if view["kind"] in NEVER_WIDER and label["tier"] in {"open", "registered"}:
        return f"a {view['kind']} of people never leaves by the {label['tier']} door"
    measured = [core for core in tx.find("core_view", view_id=view_id, state="assessed") if _of_recipe(core, view)]
    if not measured:
        return "nothing made by its present recipe has been measured; prepare a package first"
    return _too_risky(measured[-1], view["kind"], label["tier"])


def _too_risky(core: Row, kind: str, tier: str) -> str:
    risk = core["risk"] or {}
    if not risk.get("clean"):
        return "the leak check of what its recipe makes is not clean"
    k, least = table_limits(tier)
    if kind == "table" and (risk.get("k", 0) < k or risk.get("l", 0) < least):
        return f"the measured table has k {risk.get('k', 0)} and l {risk.get('l', 0)}; {tier} wants {k} and {least}"
    return ""


def _of_recipe(core: Row, view: Row) -> bool:
    return bool(core["report"]) and all(part["recipe"]["digest"] == view["recipe_digest"] for part in core["report"])


def own_view(tx: Tx, actor: Actor, view_id: str) -> Row:
    """The view, if its data belong to the actor's institution; one of others does not exist."""
    view = tx.get("view", view_id)
    if view is None or view["custodian_id"] != actor.institution_id:
        raise NotFound("view")
    return view


def shown_label(row: Row) -> Row:
    """What of a view is answered after a change of its label."""
    return {key: row[key] for key in ("id", "name", "tier", "label", "state")}
