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
    linkage = dict(tx.pick("participant", ("id", "linkage"), dataset_id=dataset_id))
    stored = [
        _hashed(env, linkage[person], custodian_id=custodian_id, dataset_id=dataset_id, id=person, terms=dict(terms))
        for person, terms in rows
    ]
    tx.insert("consent", *stored)
    _put_set(tx, env, custodian_id, dataset_id, kind="fact")


def set_row(tx: Tx, env: Env, dataset: Row, participant_id: str, *, withdrawn_on: str, recorded_at: str) -> None:
    """Record a withdrawal; it takes effect at the earlier of what is stated and what is recorded."""
    row = tx.get("consent", participant_id)
    if row is None or row["dataset_id"] != dataset["id"]:
        raise NotFound("participant")
    terms = dict(row["terms"])
    terms["withdrawn_on"] = min(filter(None, (terms.get("withdrawn_on"), withdrawn_on)))
    person = tx.get("participant", participant_id)
    if person is None:
        raise NotFound("participant")
    kept = {key: row[key] for key in ("id", "custodian_id", "dataset_id")}
    fresh = _hashed(env, person["linkage"], **kept, terms=terms, withdrawn_recorded_at=recorded_at)
    tx.update("consent", participant_id, **{key: fresh[key] for key in fresh if key != "id"})
    _put_set(tx, env, row["custodian_id"], dataset["id"], kind="restrict")


def _hashed(env: Env, linkage: str, **row: Any) -> Row:
    """The row with a fresh salt and its hash."""
    salt = env.random.token(16)
    row.setdefault("withdrawn_recorded_at", None)
    hashed = row_hash(row["id"], row["terms"], row["withdrawn_recorded_at"], salt, linkage)
    return {**row, "salt": salt, "row_hash": hashed}


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
