"""Withdrawal of a participant and revocation of a grant: effective everywhere within a second and one chunk.

Both are one transaction: the restrictive fact, the killing of every artefact that holds the person or hangs on
the grant,
the closing entries, the notices, and the epoch that every worker polls. Shredding the bytes follows the commit and is
repeated at every start until it is done. What was already sent stays decryptable, and we say so. Nothing is spliced:
a withdrawn person is left out of a new release, the successor.
"""

from __future__ import annotations

from typing import Any

from gateway.accounts import require
from gateway.consents import set_row
from gateway.datasets import find_participant
from gateway.env import Actor, Env
from gateway.errors import NotFound
from gateway.handover import close_release
from gateway.ports import Row, Tx
from gateway.record import put_fact
from gateway.release import create_release
from gateway.sealed_copies import shred_copy
from gateway.times import legal_day, stamp
from policies.vocabulary import Action


def withdraw_participant(env: Env, actor: Actor, *, dataset_id: str, source_id: str) -> dict[str, Any]:
    """Take one participant out by the custodian's own number for them.

    Answers with the releases that were stopped, their successors, and the past releases that contain the person.
    """
    require(actor, "custodian", "steward")

    def work(tx: Tx) -> tuple[dict[str, Any], list[str], list[Row]]:
        dataset = tx.get("dataset", dataset_id)
        if dataset is None or dataset["custodian_id"] != actor.institution_id:
            raise NotFound("dataset")
        person = find_participant(tx, env, dataset, source_id)
        now = env.clock.now()
        set_row(tx, env, dataset, person, withdrawn_on=legal_day(now).isoformat(), recorded_at=stamp(now))
        cores = [row["core_view_id"] for row in tx.find("core_member", participant_id=person)]
        past = [row["id"] for row in tx.find("release", core_view_id=cores) if row["opened_entry"] is not None]
        stopped: list[dict[str, str]] = []
        copies: list[Row] = []
        for release in tx.find("release", core_view_id=cores):
            stopped += _supersede(tx, env, release, copies)
        for core_id in cores:
            tx.update("core_view", core_id, state="shredded")
        return {"participant": person, "stopped": stopped, "contained_in": past}, cores, copies

    answer, cores, copies = env.uow.run(work)
    _shred(env, cores, copies)
    return answer


def revoke_grant(env: Env, actor: Actor, grant_id: str) -> list[str]:
    """End a grant; every copy under it dies. One steward or custodian of the owner is enough to restrict."""
    require(actor, "steward", "custodian")

    def work(tx: Tx) -> tuple[list[str], list[Row]]:
        row = tx.get("access_grant", grant_id)
        if row is None or row["custodian_id"] != actor.institution_id:
            raise NotFound("grant")
        put_fact(tx, env, "access_grant", grant_id, columns={"state": "revoked"}, kind="restrict")
        put_fact(tx, env, "item", row["item_id"], columns={"state": "revoked"})
        stopped: list[str] = []
        copies: list[Row] = []
        for release in tx.find("release", grant_id=grant_id):
            copies += _kill(tx, release, because="revoked")
            if release["state"] in {"recorded", "available"}:
                close_release(tx, env, release, state="revoked")
                stopped.append(release["id"])
        _tell(tx, env, row["person_id"], "grant-revoked", {"grant": grant_id})
        return stopped, copies

    stopped, copies = env.uow.run(work)
    _shred(env, [], copies)
    return stopped


def shred_leftovers(env: Env) -> None:
    """At start: remove every byte whose row says it is dead, and every file that has no row."""

    def work(tx: Tx) -> tuple[set[str], set[str]]:
        cores = {row["id"] for row in tx.find("core_view", state="assessed")}
        live = tx.find("copy", state=("sealed", "recorded", "available"))
        return cores, {entry["stored"] for row in live for entry in row["files"]}

    cores, copies = env.uow.read(work)
    env.staging.clean(cores)
    env.copies.clean(copies)


def _supersede(tx: Tx, env: Env, release: Row, copies: list[Row]) -> list[dict[str, str]]:
    killed = _kill(tx, release, because="a participant in it has withdrawn")
    copies += killed
    if release["state"] not in {"recorded", "available"} and not (release["state"] == "closed" and killed):
        return []
    successor = env.new_id()
    requester = tx.get("person", release["requester_id"])
    if requester is None:
        raise NotFound("person")
    asker = Actor(
        person_id=release["requester_id"],
        institution_id=requester["institution_id"],
        unit=requester["unit"],
        roles=frozenset(),
        place_of_access=release["place_of_access"],
    )
    create_release(
        tx,
        env,
        release_id=successor,
        item_id=release["item_id"],
        view_id=release["view_id"],
        actor=asker,
        action=release["action"] or str(Action.RECEIVE_RELEASE),
    )
    if release["state"] == "closed":
        tx.update("release", release["id"], successor_id=successor)
    else:
        close_release(tx, env, release, state="superseded", successor_id=successor)
    _tell(tx, env, release["requester_id"], "superseded", {"release": release["id"], "successor": successor})
    return [{"release": release["id"], "successor": successor}]


def _kill(tx: Tx, release: Row, *, because: str) -> list[Row]:
    copy = None if release["copy_id"] is None else tx.get("copy", release["copy_id"])
    if copy is None or copy["state"] == "killed":
        return []
    tx.update("copy", copy["id"], state="killed", killed_because=because)
    return [copy]


def _tell(tx: Tx, env: Env, person_id: str, kind: str, body: dict[str, str]) -> None:
    tx.insert(
        "notice",
        {"id": env.new_id(), "person_id": person_id, "kind": kind, "body": body, "at": stamp(env.clock.now())},
    )


def _shred(env: Env, cores: list[str], copies: list[Row]) -> None:
    for core_id in cores:
        env.staging.shred(core_id)
    for copy in copies:
        shred_copy(env, copy)
