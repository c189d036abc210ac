"""Carry one release from request to hand-over, or refuse it and say why.

The order is the safety argument: decide, transform, assess, seal, record, make available. Each step is one function
below; each reads the state from the database and leaves by a compare-and-swap on (state, attempt), so a killed process
goes on where it stopped and two workers cannot both pass. Nothing outside staging exists before ``record``, and nothing
is available before the ledger has published the event.

    requested -> decided -> prepared -> sealed -> recorded -> available -> closed
    requested | prepared | sealed -> refused (hold or deny, recorded with every reason)
    decided | prepared | sealed -> requested again, when anything the decision relied on has changed

Clock, storage and network arrive through ``Env``; nothing here imports them. The transform itself is
``gateway.transform`` and ``gateway.sealed_copies``, the gathering of facts ``gateway.evidence``, the bytes on the wire
``gateway.handover``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.beside import look_beside
from gateway.env import Actor, Env, FactsOfLog
from gateway.errors import BadInput, Conflict, LedgerUnavailable, NotFound, Unavailable
from gateway.evidence import Evidence, decide_release, gather
from gateway.outbound import opening_event, refusal_event
from gateway.ports import Row, Tx
from gateway.record import FactsPending, append_event, check_clock, check_facts
from gateway.release_row import new_release
from gateway.reservations import count_reservations, drop_reservations, reserve
from gateway.returns import copy_originals, gather_return, is_return
from gateway.sealed_copies import make_copy, shred_copy
from gateway.times import stamp
from gateway.transform import prepare_core_view
from policies.decide import Decision
from policies.vocabulary import Action

ATTEMPTS = 6
"""How often facts may change under a release before it is left for a person to ask again."""

ENDED = frozenset({"refused", "closed", "failed"})


def request_release(
    env: Env, actor: Actor, *, item_id: str, view_id: str, release_id: str | None = None, on_medium: bool = False
) -> Row:
    """Ask for one view under one application item, over the network or on a physical medium.

    The id is the idempotency key: asking twice changes nothing.
    """
    chosen = release_id or env.new_id()
    action = str(Action.EXPORT_MEDIA if on_medium else Action.RECEIVE_RELEASE)

    def work(tx: Tx) -> Row:
        known = tx.get("release", chosen)
        if known is not None:
            asked = (known["requester_id"], known["item_id"], known["view_id"], known["action"])
            if asked != (actor.person_id, item_id, view_id, action):
                raise Conflict("that release id is taken by another request")
            return known
        return create_release(tx, env, release_id=chosen, item_id=item_id, view_id=view_id, actor=actor, action=action)

    return env.uow.run(work)


def create_release(
    tx: Tx,
    env: Env,
    *,
    release_id: str,
    item_id: str,
    view_id: str,
    actor: Actor,
    action: str = str(Action.RECEIVE_RELEASE),
) -> Row:
    """Insert the row in state ``requested``; what may not be seen does not exist for the asker."""
    item, view = tx.get("item", item_id), tx.get("view", view_id)
    application = None if item is None else tx.get("application", item["application_id"])
    if item is None or application is None or application["applicant_id"] != actor.person_id:
        raise NotFound("application item")
    if view is None or view["dataset_id"] != item["dataset_id"]:
        raise NotFound("view")
    row = new_release(env, actor, release_id=release_id, dataset=item, action=action, item_id=item_id, view_id=view_id)
    tx.insert("release", row)
    return row


def advance(env: Env, release_id: str) -> Row:
    """Carry a release as far as it goes without anybody's help; the row as it then stands.

    Raises ``Unavailable`` when the ledger, a disk or the database is out of reach: the state stays and the next call
    goes on from there.
    """
    while True:
        row = _read(env, release_id)
        step = STEPS.get(row["state"])
        if step is None:
            return row
        env.reached(f"before-{row['state']}")
        try:
            step(env, row)
        except BadInput as error:
            _hold_for_source(env, row, error)
        env.reached(f"after-{row['state']}")


def _decide(env: Env, row: Row) -> None:
    """requested -> decided | refused. A permit reserves people and quota and remembers every epoch it relied on."""
    if row["attempt"] >= ATTEMPTS:
        _move(env, row, "failed", trouble="what the decision relies on kept changing; ask again")
        return

    def permitted(tx: Tx, evidence: Evidence, decision: Decision) -> None:
        del decision
        reserve(tx, env, row["id"], evidence)
        epochs = tx.epochs(evidence.scopes)
        _change(tx, env, row, state="decided", epochs=epochs, grant_id=evidence.grant_id)

    _judge(env, row, permitted, measured=False)


def _prepare(env: Env, row: Row) -> None:
    """decided -> prepared. The core view is a function of the permitted set, so an equal one is used again; what goes
    back to its owner is not transformed."""
    core_id = None if is_return(row) else prepare_core_view(env, row)
    if core_id is not None:
        look_beside(env, row, core_id)
    _move(env, row, "prepared", core_view_id=core_id)


def _seal(env: Env, row: Row) -> None:
    """prepared -> sealed. New pseudonym order, new data key, sealed once to the key bound in the grant."""
    try:
        copy_id = copy_originals(env, row) if is_return(row) else make_copy(env, row)
    except Conflict:
        # Somebody withdrew since it was prepared, and the core view died with that: what was decided on it is void.
        env.uow.run(lambda tx: _start_again(tx, env, row) if _still(tx, row) else None)
        return
    _move(env, row, "sealed", copy_id=copy_id)


def _record(env: Env, row: Row) -> None:
    """sealed -> recorded | requested | refused: all is read and decided again in the transaction that writes."""
    env.reached("between-seal-and-record")

    def permitted(tx: Tx, evidence: Evidence, decision: Decision) -> None:
        tx.update("copy", row["copy_id"], state="recorded")
        count_reservations(tx, env, row["id"], evidence)
        entry = append_event(tx, env, opening_event(tx, env, evidence, row, decision))
        _change(tx, env, row, state="recorded", outcome="permit", opened_entry=entry)

    _judge(env, row, permitted, measured=True)


def _publish(env: Env, row: Row) -> None:
    """recorded -> available, only when the published log contains the event (invariant 1), cosigned where wanted."""
    size = env.ledger.confirm()

    def work(tx: Tx) -> None:
        entry = tx.find("outbox", entry_id=row["opened_entry"])[0]
        if entry["position"] is None or entry["position"] >= size:
            raise LedgerUnavailable("the ledger has not confirmed the release's event; nothing leaves, try again")
        copy = tx.get("copy", row["copy_id"])
        if copy is not None and copy["state"] == "recorded":
            tx.update("copy", copy["id"], state="available")
            _change(tx, env, row, state="available")

    env.uow.run(work)


STEPS: dict[str, Callable[[Env, Row], None]] = {
    "requested": _decide,
    "decided": _prepare,
    "prepared": _seal,
    "sealed": _record,
    "recorded": _publish,
}


def _hold_for_source(env: Env, row: Row, error: BadInput) -> None:
    """A source that cannot be read or has changed is unknown, and unknown holds (GW-03), recorded as any refusal."""

    def impossible(_tx: Tx, _evidence: Evidence, _decision: Decision) -> None:
        raise Conflict("an unreadable source was permitted")

    _judge(env, row, impossible, measured=False, trouble=f"{error.code}: {error}")


def _judge(
    env: Env,
    row: Row,
    permitted: Callable[[Tx, Evidence, Decision], None],
    *,
    measured: bool,
    trouble: str | None = None,
) -> None:
    """Gather, hold against the ledger, decide; then ``permitted`` or the recorded refusal, in one transaction."""
    for _ in range(ATTEMPTS):
        env.ledger.sync()
        log = env.ledger.facts()

        def work(tx: Tx, log: FactsOfLog = log) -> Row | None:
            if not _still(tx, row):
                return None
            check_clock(tx, env)
            # Anything the decision relied on has changed: what was made on it is void, so nothing is judged on it.
            if measured and tx.epochs(row["epochs"]) != row["epochs"]:
                _start_again(tx, env, row)
                return _dropped_copy(tx, row)
            evidence = gather_return(tx, env, row) if is_return(row) else gather(tx, env, row, measured=measured)
            tampered = check_facts(tx, log, evidence.scopes)
            decision = decide_release(env, evidence, tampered=tampered, source_readable=trouble is None)
            said = trouble or (", ".join(tampered) or None)
            tx.update("release", row["id"], decision=decision.to_json(), trouble=said)
            if decision.effect == "permit":
                permitted(tx, evidence, decision)
            else:
                _refuse(tx, env, row, evidence, decision)
            return _dropped_copy(tx, row)

        try:
            dropped = env.uow.run(work)
        except FactsPending:
            continue
        if dropped is not None:
            shred_copy(env, dropped)
        return
    raise Unavailable("facts are being written faster than the ledger publishes them; try again")


def _refuse(tx: Tx, env: Env, row: Row, evidence: Evidence, decision: Decision) -> None:
    drop_reservations(tx, row["id"])
    _drop_copy(tx, row)
    entry = append_event(tx, env, refusal_event(env, evidence, row, decision))
    _change(tx, env, row, state="refused", outcome=str(decision.effect), closed_entry=entry, copy_id=None)


def _start_again(tx: Tx, env: Env, row: Row) -> None:
    drop_reservations(tx, row["id"])
    _drop_copy(tx, row)
    _change(tx, env, row, state="requested", attempt=row["attempt"] + 1, epochs=None, core_view_id=None, copy_id=None)


def _drop_copy(tx: Tx, row: Row) -> None:
    if row["copy_id"] is not None:
        tx.update("copy", row["copy_id"], state="killed", killed_because="not released")


def _dropped_copy(tx: Tx, row: Row) -> Row | None:
    copy = None if row["copy_id"] is None else tx.get("copy", row["copy_id"])
    return copy if copy is not None and copy["state"] == "killed" else None


def _still(tx: Tx, row: Row) -> bool:
    now = tx.get("release", row["id"])
    return now is not None and (now["state"], now["attempt"]) == (row["state"], row["attempt"])


def _change(tx: Tx, env: Env, row: Row, **changes: Any) -> None:
    tx.update("release", row["id"], updated_at=stamp(env.clock.now()), **changes)


def _move(env: Env, row: Row, state: str, **changes: Any) -> None:
    def work(tx: Tx) -> None:
        if _still(tx, row):
            _change(tx, env, row, state=state, **changes)

    env.uow.run(work)


def _read(env: Env, release_id: str) -> Row:
    row = env.uow.read(lambda tx: tx.get("release", release_id))
    if row is None:
        raise NotFound("release")
    return row
