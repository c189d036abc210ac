"""The package of an item: what would leave, made, measured and frozen, so that exactly this is filed."""

from __future__ import annotations

from typing import Any

from gateway.accounts import require
from gateway.canonical import digest
from gateway.env import Actor, Env
from gateway.errors import Conflict, NotFound
from gateway.item_life import found_item, next_release
from gateway.ports import Row, Tx
from gateway.record import put_fact
from gateway.times import stamp
from gateway.transform import prepare_core_view

SHOWN = ("id", "item_id", "parts", "digest", "people", "frozen_at")


def freeze_package(env: Env, actor: Actor, item_id: str) -> Row:
    """Transform, measure and freeze what would leave, so that exactly this can be filed."""
    require(actor, "steward", "custodian")
    item, application = env.uow.read(lambda tx: found_item(tx, item_id))
    if actor.institution_id != item["custodian_id"]:
        raise NotFound("application item")
    if item["state"] != "approved-to-file":
        raise Conflict(f"the item is {item['state']}; the package is prepared after two people approved it to file")
    parts = []
    for view_id in item["views"]:
        core_id = prepare_core_view(env, next_release(item, application, view_id))
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
        return {key: package[key] for key in SHOWN}

    return env.uow.run(work)


def _part(tx: Tx, core_id: str) -> dict[str, Any]:
    core = tx.get("core_view", core_id)
    if core is None:
        raise Conflict("the core view is gone; prepare the package again")
    members = len(tx.find("core_member", core_view_id=core_id))
    files = [{"name": part["name"], "digest": part["digest"], "bytes": part["size"]} for part in core["parts"]]
    return {"core": core_id, "view": core["view_id"], "people": members, "files": files}
