"""What a release leaves in the hands of those it concerns: receipt, entry, signed arrival, a participant's proof.

The recipient and the custodian get the ``.tlog-proof`` of each outcome, permitted or refused, the entry's bytes and
what opens the fields that are theirs to read. The recipient signs for what arrived with the signing key bound in the
grant, and that is an entry too. The custodian can give one participant the proof that they were, or were not, in it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.canonical import canonical, digest
from gateway.datasets import find_participant
from gateway.env import Actor, Env
from gateway.errors import BadInput, Conflict, LedgerUnavailable, NotAllowed, NotFound
from gateway.ports import Row, Tx
from gateway.record import append_event, draft
from gateway.verifier.membership import format_membership, prove_membership

ARRIVAL = b"tongguan arrival\n"
HELD_BACK: Mapping[str, frozenset[str]] = {
    "recipient": frozenset({"permitted_salt", "people_cumulative", "consent_scope"}),
    "custodian": frozenset(),
    "auditor": frozenset({"permitted_salt"}),
}
"""Fields whose salts an audience does not get."""


def outcome_receipt(env: Env, actor: Actor, release_id: str) -> bytes:
    """The ``.tlog-proof`` of the release's opening or refusing entry. Raises NotFound while there is none."""
    return env.ledger.receipt(_outcome(env, actor, release_id)["position"])


def outcome_entry(env: Env, actor: Actor, release_id: str) -> dict[str, Any]:
    """The entry, byte for byte, its position, and the salts and values of the fields this audience may open."""
    row = _outcome(env, actor, release_id)

    def work(tx: Tx) -> dict[str, Any]:
        held_back = HELD_BACK[_audience(tx, actor, release_id)]
        kept = [one for one in tx.find("disclosure", entry_id=row["entry_id"]) if one["field"] not in held_back]
        opened = {one["field"]: {"salt": _text(bytes(one["salt"])), "value": one["value"]} for one in kept}
        return {"position": row["position"], "entry": _text(bytes(row["body"])), "opened": opened}

    return env.uow.read(work)


def arrival_statement(release_id: str, files: Sequence[Mapping[str, Any]]) -> bytes:
    """What the recipient signs: the release and the (name, size, BLAKE2b-256) of each sealed file as it arrived."""
    listed = [{key: one[key] for key in ("name", "digest", "size")} for one in files]
    body = {"files": sorted(listed, key=lambda one: str(one["name"])), "release": release_id}
    return ARRIVAL + canonical(body)


def record_arrival(
    env: Env, actor: Actor, release_id: str, *, files: Sequence[Mapping[str, Any]], signature: bytes
) -> str:
    """Check the signature against the grant's signing key and the files against the copy, and record it; entry id."""
    statement = arrival_statement(release_id, files)

    def work(tx: Tx) -> str:
        release = _own(tx, actor, release_id)
        key, sent = _bound_key(tx, release), _sent_files(tx, release)
        if sorted((one["name"], one["size"], one["digest"]) for one in files) != sent:
            raise Conflict("the files that are signed for are not the files of this release; fetch them again")
        _verify(key["public_key"], signature, statement)
        event = draft(
            env,
            kind="fact",
            type="release.arrived",
            custodian_id=release["custodian_id"],
            public={
                "release": release_id,
                "opened": release["opened_entry"],
                "files": [one for _, _, one in sent],
                "statement": digest({"statement": _text(statement)}),
            },
            personal={"recipient": release["requester_id"], "key": key["id"], "signature": _text(signature)},
        )
        return append_event(tx, env, event)

    entry_id = env.uow.run(work)
    env.ledger.sync()
    return entry_id


def participant_proof(env: Env, actor: Actor, release_id: str, *, source_id: str) -> bytes:
    """The file that proves to one participant whether they were in the release; for the custodian to hand on."""
    if not actor.has("custodian", "steward"):
        raise NotAllowed("this needs the role custodian or steward", rules=("GW-20",))

    def work(tx: Tx) -> bytes:
        release = tx.get("release", release_id)
        dataset = None if release is None else tx.get("dataset", release["dataset_id"])
        if release is None or dataset is None or dataset["custodian_id"] != actor.institution_id:
            raise NotFound("release")
        salts = tx.find("disclosure", entry_id=release["opened_entry"] or "", field="permitted_salt")
        if not salts:
            raise NotFound("proof: nothing left in this release, or its salt was erased")
        person = find_participant(tx, env, dataset, source_id)
        members = [row["participant_id"] for row in tx.find("core_member", core_view_id=release["core_view_id"])]
        proof = prove_membership(members, bytes.fromhex(salts[0]["value"]), person)
        return format_membership(proof)

    return env.uow.read(work)


def _outcome(env: Env, actor: Actor, release_id: str) -> Row:
    """The outbox row of the outcome's entry, its position given."""

    def entry_id(tx: Tx) -> str:
        _audience(tx, actor, release_id)
        release = tx.get("release", release_id) or {}
        return str(release["opened_entry"] or release["closed_entry"] or "")

    def row(tx: Tx) -> Row:
        found = tx.find("outbox", entry_id=wanted)
        if not found:
            raise NotFound("receipt")
        return found[0]

    wanted = env.uow.read(entry_id)
    env.uow.read(row)
    env.ledger.sync()
    fresh = env.uow.read(row)
    if fresh["position"] is None:
        raise LedgerUnavailable("the ledger has not confirmed this entry; try again")
    return fresh


def _audience(tx: Tx, actor: Actor, release_id: str) -> str:
    release = tx.get("release", release_id)
    if release is None:
        raise NotFound("release")
    if release["requester_id"] == actor.person_id:
        return "recipient"
    dataset = tx.get("dataset", release["dataset_id"])
    if dataset is not None and dataset["custodian_id"] == actor.institution_id:
        if actor.has("custodian", "steward"):
            return "custodian"
        if actor.has("auditor"):
            return "auditor"
    raise NotFound("release")


def _own(tx: Tx, actor: Actor, release_id: str) -> Row:
    release = tx.get("release", release_id)
    if release is None or release["requester_id"] != actor.person_id:
        raise NotFound("release")
    if release["opened_entry"] is None:
        raise Conflict("nothing of this release has left, so nothing can have arrived")
    return release


def _bound_key(tx: Tx, release: Row) -> Row:
    grant = tx.get("access_grant", release["grant_id"] or "")
    key = None if grant is None else tx.get("recipient_key", grant["signing_key_id"] or "")
    if key is None or key["kind"] != "signing":
        raise NotFound("signing key bound in the grant")
    return key


def _sent_files(tx: Tx, release: Row) -> list[tuple[str, int, str]]:
    copy = tx.get("copy", release["copy_id"] or "")
    if copy is None:
        raise NotFound("copy")
    return sorted((one["name"], one["size"], one["etag"]) for one in copy["files"])


def _verify(public_key: str, signature: bytes, statement: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True)).verify(signature, statement)
    except (ValueError, InvalidSignature):
        raise BadInput("the signature is not by the signing key bound in the grant over these files") from None


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
