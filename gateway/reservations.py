"""Counts of distinct people and quota, taken when a release is decided and kept when it is recorded.

A reservation counts against everybody else at once: two releases of 400 people cannot both pass a line of 500, and a
quota of one is never spent twice. A discarded release gives its reservations back.
Distinct people are linkage keys: a keyed hash of the strongest identifier, under a key of the custodian.
"""

from __future__ import annotations

from gateway.counters import COUNTED, RESERVED, known_people
from gateway.env import Env
from gateway.evidence import Evidence
from gateway.ports import Row, Tx


def reserve(tx: Tx, env: Env, release_id: str, evidence: Evidence) -> None:
    """Add the release's people to each counter they are new to, and one release to the grant's quota."""
    for counter, people in evidence.counters.items():
        known = known_people(tx, evidence.custodian_id, counter)
        fresh = sorted(people - known)
        tx.insert("counted", *(_row(env, evidence, counter, linkage, release_id, RESERVED) for linkage in fresh))
    if evidence.grant_id is not None and not tx.find("quota_use", release_id=release_id):
        use = {"id": env.new_id(), "grant_id": evidence.grant_id, "release_id": release_id, "state": RESERVED}
        tx.insert("quota_use", use)


def count_reservations(tx: Tx, env: Env, release_id: str, evidence: Evidence) -> None:
    """The release is recorded: its people count for good, also those another release had reserved first."""
    for counter, people in evidence.counters.items():
        rows = {row["linkage"]: row for row in tx.find("counted", custodian_id=evidence.custodian_id, counter=counter)}
        for linkage in people & rows.keys():
            if rows[linkage]["state"] == RESERVED:
                tx.update("counted", rows[linkage]["id"], state=COUNTED, release_id=release_id)
        fresh = sorted(people - rows.keys())
        tx.insert("counted", *(_row(env, evidence, counter, linkage, release_id, COUNTED) for linkage in fresh))
    for row in tx.find("quota_use", release_id=release_id, state=RESERVED):
        tx.update("quota_use", row["id"], state=COUNTED)


def drop_reservations(tx: Tx, release_id: str) -> None:
    """The release will not happen, or starts again."""
    for table in ("counted", "quota_use"):
        tx.delete(table, release_id=release_id, state=RESERVED)


def _row(env: Env, evidence: Evidence, counter: str, linkage: str, release_id: str, state: str) -> Row:
    return {
        "id": env.new_id(),
        "custodian_id": evidence.custodian_id,
        "counter": counter,
        "linkage": linkage,
        "release_id": release_id,
        "state": state,
    }
