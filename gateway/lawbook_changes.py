"""What a proposed activation of rules would do to the grants that live now, before anybody confirms it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from gateway.accounts import require
from gateway.env import Actor, Env
from gateway.errors import NotFound
from gateway.evidence import gather, release_facts
from gateway.item_life import found_item, next_release
from gateway.lawbook import in_force
from gateway.ports import Row, Tx
from gateway.record import check_facts
from policies.diff import outcomes


def live_changes(env: Env, actor: Actor, activation_id: str) -> list[dict[str, Any]]:
    """One row per view of each live grant whose answer, or whose reasons, would differ. Nothing is recorded."""
    require(actor, "operator", "steward")
    env.ledger.sync()
    log = env.ledger.facts()

    def work(tx: Tx) -> list[dict[str, Any]]:
        proposed = tx.get("policy_activation", activation_id)
        if proposed is None:
            raise NotFound("policy activation")
        documents = {}
        for grant, view_id in _granted(tx):
            item, application = found_item(tx, grant["item_id"])
            evidence = gather(tx, env, next_release(item, application, view_id), measured=False)
            facts = release_facts(evidence, tampered=check_facts(tx, log, evidence.scopes))
            documents[f"{grant['id']} {view_id}"] = {"facts": facts.to_json()}
        old, new = in_force(tx, env).policy, env.policies(frozenset(proposed["packs"]))
        found = outcomes(old, new, documents, env.clock.now())
        return [_named(asdict(outcome)) for outcome in found if outcome.turn != "same"]

    return env.uow.read(work)


def _granted(tx: Tx) -> Iterator[tuple[Row, str]]:
    for grant in tx.find("access_grant", state="active"):
        item = tx.get("item", grant["item_id"])
        yield from ((grant, view_id) for view_id in (item or {}).get("views", ()))


def _named(outcome: dict[str, Any]) -> dict[str, Any]:
    grant, view = outcome.pop("name").split(" ")
    return {"grant": grant, "view": view, **outcome}
