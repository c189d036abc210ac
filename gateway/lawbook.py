"""Which rules judge here: the policy version that two people activated, its packs, and who answers for unread rules.

New software brings new rules, and a pack that is off binds nobody until it is switched on. Both change what may leave,
so both are acts of two people, recorded in the ledger. Until they are made a real home holds every release (GW-40). A
demo home judges by the rules it came with until two people activate others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.accounts import require
from gateway.env import Actor, Env
from gateway.errors import BadInput, Conflict, NotAllowed, NotFound
from gateway.ports import Row, Tx
from gateway.record import put_fact
from gateway.times import legal_day, parse, stamp
from policies.decide import Policy, SignOff
from policies.decide import unsigned as missing_sign_offs
from policies.engine import PolicyError

SCOPE = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The policy that judges. ``activated`` is false where nobody activated it, or a rule lacks its sign-off."""

    policy: Policy
    packs: tuple[str, ...]
    activated: bool
    activation_id: str | None = None


def in_force(tx: Tx, env: Env) -> InForce:
    """What judges at this moment, read in the transaction that judges."""
    rows = tx.find("policy_activation", state="active")
    if not rows:
        return InForce(policy=env.policies(frozenset()), packs=(), activated=env.demo)
    row = rows[-1]
    packs = tuple(row["packs"])
    if len(rows) > 1:
        # Two that both judge: nobody confirmed that, so nothing leaves until one is activated anew.
        return InForce(policy=env.policies(frozenset()), packs=packs, activated=False)
    try:
        policy = env.policies(frozenset(packs))
    except PolicyError:
        # A pack that the installed software no longer has: judge by what there is, and let nothing leave.
        return InForce(policy=env.policies(frozenset()), packs=packs, activated=False, activation_id=row["id"])
    same = policy.version == row["policy_version"]
    signed = env.demo or not unsigned(tx, policy)
    return InForce(policy=policy, packs=packs, activated=same and signed, activation_id=row["id"])


def unsigned(tx: Tx, policy: Policy) -> tuple[str, ...]:
    """Ids of rules whose cited text nobody read and for whose present wording no named person answers."""
    return missing_sign_offs(policy, [_sign_off(row) for row in tx.find("policy_sign_off", state="given")])


def status(env: Env, actor: Actor) -> dict[str, Any]:
    """What judges here, what is installed, and which rules still lack a name."""
    require(actor, "operator", "steward", "auditor", "custodian", "report-filer")

    def work(tx: Tx) -> dict[str, Any]:
        now = in_force(tx, env)
        return {
            "policy_version": now.policy.version,
            "packs": list(now.packs),
            "activated": now.activated,
            "activation": now.activation_id,
            "unsigned": list(unsigned(tx, now.policy)),
            "proposed": [_shown(row) for row in tx.find("policy_activation", state="proposed")],
        }

    return env.uow.read(work)


def propose_activation(env: Env, actor: Actor, packs: Sequence[str]) -> dict[str, Any]:
    """Propose that the installed rules judge, with these packs switched on."""
    require(actor, "operator", "steward")
    policy = _policy(env, packs)
    activation_id = env.new_id()
    columns = {
        "policy_version": policy.version,
        "packs": sorted(set(packs)),
        "proposed_by": actor.person_id,
        "proposed_at": stamp(env.clock.now()),
        "state": "proposed",
    }
    return env.uow.run(
        lambda tx: _shown(put_fact(tx, env, "policy_activation", activation_id, scope=SCOPE, columns=columns))
    )


def confirm_activation(env: Env, actor: Actor, activation_id: str) -> dict[str, Any]:
    """A second person makes a proposed activation the one that judges; the one before is superseded."""
    require(actor, "operator", "steward")

    def work(tx: Tx) -> dict[str, Any]:
        row = tx.get("policy_activation", activation_id)
        if row is None:
            raise NotFound("policy activation")
        if row["state"] != "proposed":
            raise Conflict(f"this activation is {row['state']}, not proposed")
        if row["proposed_by"] == actor.person_id:
            raise NotAllowed("a second person confirms: not the proposer", rules=("GW-21",))
        policy = _policy(env, row["packs"])
        if policy.version != row["policy_version"]:
            raise Conflict("the rules changed since this was proposed: look at them and propose again")
        missing = () if env.demo else unsigned(tx, policy)
        if missing:
            raise NotAllowed(
                f"nobody answers by name for {len(missing)} unread rules: {', '.join(missing)}; "
                "see them with tongguan policy rules --unread, sign with tongguan policy sign-off",
                rules=("GW-40",),
            )
        for old in tx.find("policy_activation", state="active"):
            put_fact(tx, env, "policy_activation", old["id"], columns={"state": "superseded"})
        columns = {"state": "active", "confirmed_by": actor.person_id, "confirmed_at": stamp(env.clock.now())}
        return _shown(put_fact(tx, env, "policy_activation", activation_id, columns=columns))

    return env.uow.run(work)


def sign_off(env: Env, actor: Actor, rule_id: str, *, reason: str, packs: Sequence[str] = ()) -> str:
    """Answer by name for an unread rule in exactly its present wording; its id. A changed wording needs a new name."""
    require(actor, "steward")
    rule = _policy(env, packs).rules.get(rule_id)
    if rule is None:
        raise NotFound(f"rule {rule_id[:40]}")
    if rule.text_read:
        raise Conflict(f"the text that {rule_id} cites was read; nobody needs to answer for it")
    if not reason.strip():
        raise BadInput("say what the sign-off rests on: who read what, and when")
    columns = {
        "rule": rule_id,
        "digest": rule.digest,
        "person_id": actor.person_id,
        "reason": reason,
        "signed_at": stamp(env.clock.now()),
        "state": "given",
    }
    sign_id = env.new_id()
    env.uow.run(lambda tx: put_fact(tx, env, "policy_sign_off", sign_id, scope=SCOPE, columns=columns))
    return sign_id


def _sign_off(row: Row) -> SignOff:
    signed_on = legal_day(parse(row["signed_at"]))
    return SignOff(rule=row["rule"], person=row["person_id"], signed_on=signed_on, digest=row["digest"])


def _policy(env: Env, packs: Sequence[str]) -> Policy:
    try:
        return env.policies(frozenset(packs))
    except PolicyError as error:
        raise BadInput(str(error)) from None


def _shown(row: Row) -> dict[str, Any]:
    keys = ("id", "policy_version", "packs", "proposed_by", "proposed_at", "confirmed_by", "confirmed_at", "state")
    return {key: row[key] for key in keys}
