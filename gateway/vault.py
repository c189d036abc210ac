"""What ties participants to the custodian's own numbers, encrypted under the custodian's context, one blob a dataset.

{"people": {participant id: {"source": hospital number, "secret": hex, "samples": {object id: [sample names]}}},
 "identifiers": [every direct identifier the leak check looks for]}
"""

from __future__ import annotations

import json
from typing import Any

from gateway.env import Env
from gateway.errors import NotFound
from gateway.ports import Row, Tx


def context(custodian_id: str, dataset_id: str) -> str:
    """What the blob is bound to."""
    return f"{custodian_id}/participant-vault/{dataset_id}"


def close_vault(env: Env, custodian_id: str, dataset_id: str, body: dict[str, Any]) -> Row:
    """The row to store."""
    blob = env.keys.wrap(context(custodian_id, dataset_id), json.dumps(body).encode())
    return {"id": dataset_id, "custodian_id": custodian_id, "blob": blob}


def open_vault(tx: Tx, env: Env, dataset_id: str) -> dict[str, Any]:
    """The plain content; only for the transform and the custodian's own acts."""
    row = tx.get("participant_vault", dataset_id)
    if row is None:
        raise NotFound("dataset")
    body: dict[str, Any] = json.loads(env.keys.unwrap(context(row["custodian_id"], dataset_id), bytes(row["blob"])))
    return body
