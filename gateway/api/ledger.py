"""Receipts, arrivals and the log itself: hashes for everybody signed in, entries for auditors."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter, Response

from gateway.api.auth import CurrentActor, CurrentEnv
from gateway.api.bodies import ArrivalBody, WithdrawalBody
from gateway.errors import BadInput, NotAllowed, NotFound
from gateway.receipts import outcome_entry, outcome_receipt, participant_proof, record_arrival

router = APIRouter(tags=["ledger"])
TEXT = "text/plain; charset=utf-8"


@router.get("/releases/{release_id}/receipt")
def receipt(release_id: str, env: CurrentEnv, actor: CurrentActor) -> Response:
    """A ``.tlog-proof`` of the release's opening or refusing entry, for its recipient and its custodian."""
    return Response(outcome_receipt(env, actor, release_id), media_type=TEXT)


@router.get("/releases/{release_id}/entry")
def entry(release_id: str, env: CurrentEnv, actor: CurrentActor) -> dict[str, Any]:
    """The entry's bytes and what opens the fields that this reader may read."""
    return outcome_entry(env, actor, release_id)


@router.post("/releases/{release_id}/arrival", status_code=201)
def arrival(release_id: str, body: ArrivalBody, env: CurrentEnv, actor: CurrentActor) -> dict[str, str]:
    """The recipient signs for the files that arrived; it is recorded."""
    try:
        signature = base64.b64decode(body.signature, validate=True)
    except ValueError:
        raise BadInput("signature: not base64") from None
    files = [one.model_dump() for one in body.files]
    return {"entry": record_arrival(env, actor, release_id, files=files, signature=signature)}


@router.post("/releases/{release_id}/participant-proof")
def proof(release_id: str, body: WithdrawalBody, env: CurrentEnv, actor: CurrentActor) -> Response:
    """The proof for one participant that they were, or were not, in the release; the custodian hands it on."""
    return Response(
        participant_proof(env, actor, release_id, source_id=body.participant), media_type="application/json"
    )


@router.get("/ledger/{path:path}")
def log_file(path: str, env: CurrentEnv, actor: CurrentActor) -> Response:
    """One file of the published log (C2SP tlog-tiles); entry bundles are for auditors."""
    if "tile/entries/" in path and not actor.has("auditor"):
        raise NotAllowed("entries are for auditors; hashes are for everybody", rules=("GW-20",))
    try:
        data = env.ledger.file(path)
    except ValueError:
        raise NotFound("ledger file") from None
    if data is None:
        raise NotFound("ledger file")
    text = path in {"checkpoint", "log.vkey"}
    return Response(data, media_type=TEXT if text else "application/octet-stream")
