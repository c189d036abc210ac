"""People, roles, sessions and tokens.

Adding an institution, a person or a role is a two-person act: one operator proposes, another confirms, and neither is
the person concerned. Until then the row opens nothing. Every step is a fact in the ledger.
Who a token belongs to and what roles they hold is read from the database on each request: a revoked role is
gone at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from gateway.env import Actor, Env
from gateway.errors import BadInput, Conflict, NotAllowed, NotFound, NotSignedIn
from gateway.identity.passwords import hash_password, password_matches
from gateway.identity.tokens import new_token, token_digest
from gateway.linkage import linkage_key
from gateway.ports import Row, Tx
from gateway.record import put_fact
from gateway.times import parse, stamp

ROLES = frozenset({"researcher", "steward", "report-filer", "custodian", "auditor", "operator"})
HOUSE = "gateway"
"""Custodian id of what belongs to the gateway itself (people, roles, institutions)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """What an operator enters. ``identity_document`` is hashed under a gateway key and never stored."""

    login: str
    name: str
    institution_id: str
    unit: str
    foreign_individual: str = "unknown"
    identity_document: str | None = None
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A fresh bearer token and when it dies."""

    person_id: str
    token: str
    expires_at: str


def require(actor: Actor, *roles: str) -> None:
    """Raise unless the actor holds one of the roles."""
    if not actor.has(*roles):
        raise NotAllowed(f"this needs the role {' or '.join(roles)}", rules=("GW-20",))


def found(env: Env, *, institution: Mapping[str, Any], founders: Sequence[NewPerson]) -> tuple[str, list[str]]:
    """The first institution and its first two operators, made at ``init`` and recorded; refused once anybody exists.

    Everything after this needs two people; these two are vouched for by whoever holds the machine.
    """
    if len(founders) < 2:
        raise BadInput("a house needs two operators, because every addition takes two people")
    institution_id = env.new_id()
    people = [(env.new_id(), _stored_password(new.password), new) for new in founders]

    def work(tx: Tx) -> None:
        if tx.find("person"):
            raise Conflict("this home already has people")
        _put(tx, env, "institution", institution_id, state="active", **_by(None), **institution)
        for person_id, stored, new in people:
            placed = replace(new, institution_id=institution_id)
            _insert_person(tx, env, person_id, placed, stored=stored, columns={"state": "active", **_by(None)})
            role = {"person_id": person_id, "role": "operator", "unit": new.unit, "state": "active", **_by(None)}
            put_fact(tx, env, "role", env.new_id(), custodian_id=HOUSE, scope=person_id, columns=role)

    env.uow.run(work)
    return institution_id, [person_id for person_id, _, _ in people]


def propose_institution(env: Env, actor: Actor, **columns: Any) -> str:
    """Enter an institution (name, place, city, kind, control); it counts once a second operator has confirmed it."""
    require(actor, "operator")
    institution_id = env.new_id()
    by = _by(actor.person_id)
    env.uow.run(lambda tx: _put(tx, env, "institution", institution_id, state="proposed", **by, **columns))
    return institution_id


def propose_person(env: Env, actor: Actor, new: NewPerson) -> str:
    """Enter a person with a local account; they can sign in once a second operator has confirmed them."""
    require(actor, "operator")
    person_id = env.new_id()
    stored = _stored_password(new.password)
    columns = {"state": "proposed", **_by(actor.person_id)}
    env.uow.run(lambda tx: _insert_person(tx, env, person_id, new, stored=stored, columns=columns))
    return person_id


def propose_role(env: Env, actor: Actor, *, person_id: str, role: str, unit: str, custodian_id: str = HOUSE) -> str:
    """Ask that a person gets a role in a unit."""
    require(actor, "operator")
    if role not in ROLES:
        raise BadInput(f"role must be one of {', '.join(sorted(ROLES))}")
    role_id = env.new_id()
    row = {"person_id": person_id, "role": role, "unit": unit, "state": "proposed", **_by(actor.person_id)}

    def work(tx: Tx) -> None:
        if tx.get("person", person_id) is None:
            raise NotFound("person")
        put_fact(tx, env, "role", role_id, custodian_id=custodian_id, scope=person_id, columns=row)

    env.uow.run(work)
    return role_id


def confirm(env: Env, actor: Actor, table: str, row_id: str) -> None:
    """Confirm a proposed institution, person or role. The proposer and the person concerned may not (GW-21)."""
    require(actor, "operator")
    if table not in {"institution", "person", "role"}:
        raise BadInput("only an institution, a person or a role is confirmed here")

    def work(tx: Tx) -> None:
        row = tx.get(table, row_id)
        if row is None:
            raise NotFound(table)
        if row["state"] != "proposed":
            raise Conflict(f"this {table} is {row['state']}, not proposed")
        if actor.person_id in {row["proposed_by"], row.get("person_id"), row_id}:
            raise NotAllowed("a second person confirms: not the proposer, not the person concerned", rules=("GW-21",))
        put_fact(tx, env, table, row_id, columns={"state": "active", "confirmed_by": actor.person_id})

    env.uow.run(work)


def end_role(env: Env, actor: Actor, role_id: str) -> None:
    """Take a role away; one operator is enough to restrict."""
    require(actor, "operator")

    def work(tx: Tx) -> None:
        if tx.get("role", role_id) is None:
            raise NotFound("role")
        put_fact(tx, env, "role", role_id, columns={"state": "ended"}, kind="restrict")

    env.uow.run(work)


def sign_in(env: Env, *, login: str, password: str, place_of_access: str) -> SignedIn:
    """A session and a short-lived token, or NotSignedIn in the same words and time whatever was wrong."""

    def find(tx: Tx) -> Row | None:
        rows = tx.find("account", login=login)
        return rows[0] if rows else None

    account = env.uow.read(find)
    if not password_matches(password, account["password_hash"] if account else None) or account is None:
        raise NotSignedIn("the login or the password is wrong, or the account is not active yet")
    session_id = env.new_id()

    def work(tx: Tx) -> SignedIn:
        person = tx.get("person", account["id"])
        if person is None or person["state"] != "active":
            raise NotSignedIn("the login or the password is wrong, or the account is not active yet")
        now = env.clock.now()
        ends = now + timedelta(hours=int(env.settings.get("session_hours", 12)))
        tx.insert(
            "session",
            {
                "id": session_id,
                "person_id": account["id"],
                "created_at": stamp(now),
                "expires_at": stamp(ends),
                "ended_at": None,
                "place_of_access": place_of_access,
            },
        )
        return _issue(tx, env, account["id"], session_id)

    return env.uow.run(work)


def renew_token(env: Env, actor: Actor) -> SignedIn:
    """A new token for a session that still lives."""
    if actor.session_id is None:
        raise NotSignedIn("there is no session to renew")
    session_id = actor.session_id
    return env.uow.run(lambda tx: _issue(tx, env, actor.person_id, session_id))


def sign_out(env: Env, actor: Actor) -> None:
    """End the session; its tokens die with it, on every worker within a second."""

    def work(tx: Tx) -> None:
        if actor.session_id is not None:
            tx.update("session", actor.session_id, ended_at=stamp(env.clock.now()))
            tx.delete("token", session_id=actor.session_id)
            tx.bump(f"session:{actor.session_id}")

    env.uow.run(work)


def actor_of_token(env: Env, clear: str) -> Actor:
    """Who a bearer token speaks for, now. Raises NotSignedIn."""
    digest = token_digest(clear)
    return env.uow.read(lambda tx: _actor(tx, env, digest))


def actor_of_person(env: Env, person_id: str, *, place_of_access: str) -> Actor:
    """A person acting on the machine itself (commands of an operator with the home folder)."""
    return env.uow.read(lambda tx: _as_actor(tx, person_id, place_of_access, None))


def _actor(tx: Tx, env: Env, digest: str) -> Actor:
    now = env.clock.now()
    token = tx.get("token", digest)
    session = None if token is None else tx.get("session", token["session_id"])
    if token is None or session is None or session["ended_at"] is not None:
        raise NotSignedIn("the token is not known or its session has ended; sign in again")
    if min(parse(token["expires_at"]), parse(session["expires_at"])) <= now:
        raise NotSignedIn("the token has expired; sign in again")
    return _as_actor(tx, token["person_id"], session["place_of_access"], token["session_id"])


def _as_actor(tx: Tx, person_id: str, place: str, session_id: str | None) -> Actor:
    person = tx.get("person", person_id)
    if person is None or person["state"] != "active":
        raise NotSignedIn("the account is not active")
    roles = frozenset(row["role"] for row in tx.find("role", person_id=person_id, state="active"))
    return Actor(
        person_id=person_id,
        institution_id=person["institution_id"],
        unit=person["unit"],
        roles=roles,
        place_of_access=place,
        session_id=session_id,
    )


def _issue(tx: Tx, env: Env, person_id: str, session_id: str) -> SignedIn:
    clear, digest = new_token(env.random.token(32))
    now = env.clock.now()
    expires = stamp(now + timedelta(minutes=int(env.settings.get("token_minutes", 60))))
    row = {"id": digest, "person_id": person_id, "session_id": session_id, "scopes": [], "issued_at": stamp(now)}
    tx.insert("token", {**row, "expires_at": expires})
    return SignedIn(person_id=person_id, token=clear, expires_at=expires)


def _stored_password(password: str) -> str:
    try:
        return hash_password(password)
    except ValueError as error:
        raise BadInput(str(error)) from None


def _insert_person(
    tx: Tx, env: Env, person_id: str, new: NewPerson, *, stored: str, columns: Mapping[str, Any]
) -> None:
    if tx.find("account", login=new.login):
        raise Conflict("that login is taken")
    if tx.get("institution", new.institution_id) is None:
        raise NotFound("institution")
    now = stamp(env.clock.now())
    tx.insert(
        "account", {"id": person_id, "login": new.login, "name": new.name, "password_hash": stored, "created_at": now}
    )
    document = new.identity_document
    natural = None if document is None else linkage_key(env.keys, HOUSE, document)
    _put(
        tx,
        env,
        "person",
        person_id,
        institution_id=new.institution_id,
        unit=new.unit,
        foreign_individual=new.foreign_individual,
        natural_person=natural,
        **columns,
    )


def _put(tx: Tx, env: Env, table: str, row_id: str, **columns: Any) -> Row:
    return put_fact(tx, env, table, row_id, custodian_id=HOUSE, scope=row_id, columns=columns)


def _by(proposer: str | None) -> dict[str, str | None]:
    return {"proposed_by": proposer, "confirmed_by": None}
