"""Hand over a sealed copy, chunk by chunk, and close the release with what went.

``open_file`` looks once with all rights; ``may_go_on`` is asked before each chunk. What is about to be sent is
charged in
the database before it is sent, so that after a crash the charge is never less than what the recipient has.
One closing entry per release: complete when every byte of every file went at least once, otherwise expired, revoked or
superseded with the bytes charged. An opened event always closes (invariant 16).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.delivery.ranges import covered, merge
from gateway.env import Actor, Env
from gateway.errors import Conflict, Gone, NotAllowed, NotFound, Unavailable
from gateway.ports import Row, Tx
from gateway.record import append_event, check_clock, draft
from gateway.returns import is_return, may_still_have
from gateway.times import parse, stamp
from policies.vocabulary import Action

CHUNK = 256 * 1024
CHARGE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFile:
    """One hand-over session of one file of one copy."""

    handover_id: str
    release_id: str
    copy_id: str
    name: str
    stored: str
    size: int
    etag: str


def list_files(env: Env, actor: Actor, release_id: str) -> list[dict[str, Any]]:
    """Names, sizes and ETags of an available copy's files."""

    def work(tx: Tx) -> list[dict[str, Any]]:
        copy = _copy_to_hand_over(tx, env, actor, release_id)
        return [{key: entry[key] for key in ("name", "size", "etag")} for entry in copy["files"]]

    return env.uow.read(work)


def open_file(env: Env, actor: Actor, release_id: str, name: str) -> OpenedFile:
    """Check everything once and open a session. Raises NotFound, Conflict, Gone (with successor) or NotAllowed."""

    def work(tx: Tx) -> OpenedFile:
        copy = _copy_to_hand_over(tx, env, actor, release_id)
        entry = next((entry for entry in copy["files"] if entry["name"] == name), None)
        if entry is None:
            raise NotFound("file")
        row = {
            "id": env.new_id(),
            "custodian_id": copy["custodian_id"],
            "release_id": release_id,
            "copy_id": copy["id"],
            "person_id": actor.person_id,
            "file": name,
            "charged": 0,
            "spans": [],
            "opened_at": stamp(env.clock.now()),
            "state": "open",
        }
        tx.insert("handover", row)
        return OpenedFile(
            handover_id=row["id"],
            release_id=release_id,
            copy_id=copy["id"],
            name=name,
            stored=entry["stored"],
            size=entry["size"],
            etag=entry["etag"],
        )

    return env.uow.run(work)


def may_go_on(env: Env, actor: Actor, opened: OpenedFile) -> bool:
    """Whether the copy, the grant, the session and the person still stand; asked when the epoch has moved."""

    def work(tx: Tx) -> bool:
        try:
            copy = _copy_to_hand_over(tx, env, actor, opened.release_id)
        except (NotFound, Conflict, Gone, NotAllowed, Unavailable):
            return False
        session = None if actor.session_id is None else tx.get("session", actor.session_id)
        alive = session is None or session["ended_at"] is None
        return copy["id"] == opened.copy_id and alive

    return env.uow.read(work)


def charge(env: Env, opened: OpenedFile, *, start: int, end: int) -> None:
    """Write down, before it is sent, that bytes [start, end) of the file go."""

    def work(tx: Tx) -> None:
        row = tx.get("handover", opened.handover_id)
        if row is None:
            raise NotFound("hand-over")
        spans = merge([*((a, b) for a, b in row["spans"]), (start, end)])
        tx.update("handover", row["id"], spans=[list(span) for span in spans], charged=row["charged"] + end - start)

    env.uow.run(work)


def settle(env: Env, opened: OpenedFile, *, sent: tuple[int, int]) -> None:
    """The session ended by itself: put what really went in the place of the charge, and close when all has gone."""

    def work(tx: Tx) -> None:
        spans = [list(sent)] if sent[1] > sent[0] else []
        tx.update("handover", opened.handover_id, spans=spans, charged=sent[1] - sent[0], state="ended")
        release = tx.get("release", opened.release_id)
        copy = None if release is None else tx.get("copy", opened.copy_id)
        if release is None or copy is None:
            return
        if release["state"] == "closed":
            _close_again(tx, env, release, opened.handover_id)
            return
        if release["state"] != "available":
            return
        if all(_covered(tx, copy["id"], entry["name"]) == entry["size"] for entry in copy["files"]):
            close_release(tx, env, release, state="complete")

    env.uow.run(work)


def close_release(tx: Tx, env: Env, release: Row, *, state: str, successor_id: str | None = None) -> None:
    """Write the closing entry: how it ended and how much went, counted from the charges."""
    sessions = tx.find("handover", release_id=release["id"])
    public = {
        "release": release["id"],
        "opened": release["opened_entry"],
        "ended": state,
        "bytes_charged": sum(row["charged"] for row in sessions),
        "sessions": len(sessions),
    }
    event = draft(
        env,
        kind="close",
        type="release.close",
        custodian_id=release["custodian_id"],
        public=public,
        personal={"recipient": release["requester_id"]},
    )
    entry = append_event(tx, env, event)
    closed: dict[str, Any] = {"state": "closed", "closed_entry": entry, "updated_at": stamp(env.clock.now())}
    if successor_id is not None:
        closed["successor_id"] = successor_id
    # A complete release keeps its outcome "permit"; its copy stays readable until it expires or is killed.
    tx.update("release", release["id"], trouble=None if state == "complete" else state, **closed)


def close_lost(env: Env) -> int:
    """At start: sessions that a dead process left open count with all they were charged; how many."""

    def work(tx: Tx) -> int:
        left = tx.find("handover", state="open")
        for row in left:
            tx.update("handover", row["id"], state="lost")
            release = tx.get("release", row["release_id"])
            if release is not None and release["state"] == "closed":
                _close_again(tx, env, release, row["id"])
        return len(left)

    return env.uow.run(work)


def _close_again(tx: Tx, env: Env, release: Row, handover_id: str) -> None:
    """A session after the release was closed has its own closing entry, so that no byte goes uncounted."""
    row = tx.get("handover", handover_id)
    public = {
        "release": release["id"],
        "opened": release["opened_entry"],
        "ended": "again",
        "bytes_charged": 0 if row is None else row["charged"],
        "sessions": 1,
    }
    event = draft(
        env,
        kind="close",
        type="release.close",
        custodian_id=release["custodian_id"],
        public=public,
        personal={"recipient": release["requester_id"]},
    )
    append_event(tx, env, event)


def close_expired(env: Env) -> int:
    """Close every available release whose copy has outlived its day; how many."""
    now = stamp(env.clock.now())

    def work(tx: Tx) -> int:
        late = [row for row in tx.find("copy", state="available") if row["expires_at"] <= now]
        for copy in late:
            tx.update("copy", copy["id"], state="killed", killed_because="expired")
            release = tx.get("release", copy["release_id"])
            if release is not None and release["state"] == "available":
                close_release(tx, env, release, state="expired")
        return len(late)

    return env.uow.run(work)


def _covered(tx: Tx, copy_id: str, name: str) -> int:
    rows = tx.find("handover", copy_id=copy_id, file=name)
    return covered((a, b) for row in rows for a, b in row["spans"])


def _copy_to_hand_over(tx: Tx, env: Env, actor: Actor, release_id: str) -> Row:
    check_clock(tx, env)  # days count here: of the copy, and of the grant
    release = tx.get("release", release_id)
    if release is None or not may_carry(actor, release):
        raise NotFound("release")
    copy = None if release["copy_id"] is None else tx.get("copy", release["copy_id"])
    if copy is None or release["opened_entry"] is None:
        raise Conflict(f"this release is {release['state']}; its files are not available")
    if copy["state"] == "killed":
        _explain_killed(copy, release)
    _require_right(tx, env, release)
    if actor.person_id == release["requester_id"] and actor.place_of_access != release["place_of_access"]:
        raise NotAllowed("the release was decided for another place of access", rules=("GW-13",))
    if copy["state"] != "available" or copy["expires_at"] <= stamp(env.clock.now()):
        raise Conflict(f"this release is {release['state']}; its files are not available")
    return copy


def may_carry(actor: Actor, release: Row) -> bool:
    """Who asked fetches over the network; what leaves on a medium is written to it by the house that holds the data."""
    if release["action"] == Action.EXPORT_MEDIA:
        return actor.institution_id == release["custodian_id"] and actor.has("custodian")
    return bool(release["requester_id"] == actor.person_id)


def _require_right(tx: Tx, env: Env, release: Row) -> None:
    """What the release was decided on still stands: the grant, or the ownership and the key of a return."""
    if is_return(release):
        if not may_still_have(tx, release):
            raise NotAllowed("the owner, the person or the key behind this return is another now", rules=("GW-30",))
        return
    grant = None if release["grant_id"] is None else tx.get("access_grant", release["grant_id"])
    if grant is None:
        raise Conflict(f"this release is {release['state']}; its files are not available")
    if grant["state"] != "active" or parse(grant["valid_to"]) <= env.clock.now():
        raise NotAllowed("the grant behind this release has been revoked or has expired", rules=("GW-10",))


def _explain_killed(copy: Row, release: Row) -> None:
    if copy["killed_because"] == "revoked":
        raise NotAllowed("the grant behind this release has been revoked", rules=("GW-10",))
    raise Gone(f"this copy is gone: {copy['killed_because']}", successor=release["successor_id"])
