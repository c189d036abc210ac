"""What every release begins as, whatever it is for: a row in state ``requested`` with nothing decided."""

from __future__ import annotations

from typing import Any

from gateway.env import Actor, Env
from gateway.ports import Row
from gateway.times import stamp

COPY_DAYS = 14
"""A sealed copy is kept for so many days at most."""
EMPTY = (
    *("outcome", "decision", "epochs", "core_view_id", "copy_id", "grant_id", "trouble", "key_id"),
    *("opened_entry", "closed_entry", "successor_id", "item_id", "view_id"),
)


def new_release(env: Env, actor: Actor, *, release_id: str, dataset: Row, action: str, **known: Any) -> dict[str, Any]:
    """The row to insert; ``dataset`` is any row with ``custodian_id`` and ``dataset_id``."""
    now = stamp(env.clock.now())
    return {
        **dict.fromkeys(EMPTY),
        **known,
        "id": release_id,
        "custodian_id": dataset["custodian_id"],
        "dataset_id": dataset["dataset_id"],
        "requester_id": actor.person_id,
        "action": action,
        "place_of_access": actor.place_of_access,
        "state": "requested",
        "attempt": 0,
        "requested_at": now,
        "updated_at": now,
    }
