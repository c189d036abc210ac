"""Consents as the gateway keeps them: one row per participant, one fact per dataset that covers them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.consent_rows import row_hash, set_digest
from gateway.env import Env
from gateway.errors import NotFound
from gateway.ports import Row, Tx
from gateway.record import put_fact


def import_rows(
    tx: Tx, env: Env, *, custodian_id: str, dataset_id: str, rows: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    """Write the consent of each (participant id, terms) and the fact that covers them."""
    stored = [_row(env, custodian_id, dataset_id, participant, terms, None) for participant, terms in rows]
    tx.insert("consent", *stored)
    _put_set(tx, env, custodian_id, dataset_id, kind="fact")


def set_row(tx: Tx, env: Env, dataset: Row, participant_id: str, *, withdrawn_on: str, recorded_at: str) -> None:
    """Record a withdrawal; it takes effect at the earlier of what is stated and what is recorded."""
    row = tx.get("consent", participant_id)
    if row is None or row["dataset_id"] != dataset["id"]:
        raise NotFound("participant")
    terms = dict(row["terms"])
    terms["withdrawn_on"] = min(filter(None, (terms.get("withdrawn_on"), withdrawn_on)))
    fresh = _row(env, row["custodian_id"], dataset["id"], participant_id, terms, recorded_at)
    tx.update("consent", participant_id, **{key: fresh[key] for key in fresh if key != "id"})
    _put_set(tx, env, row["custodian_id"], dataset["id"], kind="restrict")


def _row(
    env: Env, custodian_id: str, dataset_id: str, participant: str, terms: Mapping[str, Any], recorded_at: str | None
) -> dict[str, Any]:
    salt = env.random.token(16)
    return {
        "id": participant,
        "custodian_id": custodian_id,
        "dataset_id": dataset_id,
        "terms": dict(terms),
        "withdrawn_recorded_at": recorded_at,
        "salt": salt,
        "row_hash": row_hash(participant, terms, recorded_at, salt),
    }


def _put_set(tx: Tx, env: Env, custodian_id: str, dataset_id: str, *, kind: str) -> None:
    rows = tx.find("consent", dataset_id=dataset_id)
    columns = {
        "dataset_id": dataset_id,
        "digest": set_digest(bytes(row["row_hash"]) for row in rows),
        "rows": len(rows),
    }
    put_fact(
        tx,
        env,
        "consent_set",
        dataset_id,
        custodian_id=custodian_id,
        scope=dataset_id,
        columns=columns,
        kind=kind,
    )
