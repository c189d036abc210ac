"""What a signed-in person may see in lists: their own, and what their institution holds. Nothing here changes a row.

Each list is an allow-list of columns, ordered by id, which is random: order and number of rows of others tell nothing.
"""

from __future__ import annotations

from typing import Any

from gateway.accounts import require
from gateway.env import Actor, Env
from gateway.ports import Row, Tx

STAFF = ("steward", "custodian", "report-filer")


def datasets(env: Env, actor: Actor) -> list[dict[str, Any]]:
    """The datasets of the actor's institution, drafts included."""
    require(actor, *STAFF)
    rows = env.uow.read(lambda tx: tx.find("dataset", custodian_id=actor.institution_id))
    return [_only(row, "id", "slug", "title", "state", "participants") for row in rows]


def applications(env: Env, actor: Actor) -> list[dict[str, Any]]:
    """One line per item: applications the actor made, and those that ask for data of the actor's institution."""

    def work(tx: Tx) -> list[dict[str, Any]]:
        made = {row["id"]: row for row in tx.find("application", applicant_id=actor.person_id)}
        items = tx.find("item", application_id=sorted(made))
        if actor.has(*STAFF):
            known = {item["id"] for item in items}
            items += [row for row in tx.find("item", custodian_id=actor.institution_id) if row["id"] not in known]
        lines = []
        for item in items:
            application = made.get(item["application_id"]) or tx.get("application", item["application_id"]) or {}
            line = _only(item, "id", "application_id", "dataset_id", "views", "state")
            lines.append({**line, **_only(application, "number", "institution_id", "submitted_at")})
        return lines

    return env.uow.read(work)


def grants(env: Env, actor: Actor) -> list[dict[str, Any]]:
    """Grants to the actor, and for staff those over their institution's data."""
    shown = ("id", "item_id", "dataset_id", "recipient_id", "quotas", "valid_from", "valid_to", "state")

    def work(tx: Tx) -> list[Row]:
        rows = {row["id"]: row for row in tx.find("access_grant", person_id=actor.person_id)}
        if actor.has(*STAFF):
            rows |= {row["id"]: row for row in tx.find("access_grant", custodian_id=actor.institution_id)}
        return [rows[key] for key in sorted(rows)]

    return [_only(row, *shown) for row in env.uow.read(work)]


def filings(env: Env, actor: Actor) -> list[dict[str, Any]]:
    """The filings over the actor's institution's data."""
    require(actor, *STAFF)
    rows = env.uow.read(lambda tx: tx.find("filing", custodian_id=actor.institution_id))
    return [_only(row, "id", "kind", "number", "dataset_id", "recipient_id", "terms", "state") for row in rows]


def institutions(env: Env, actor: Actor) -> list[dict[str, Any]]:
    """Institutions known to the house, for its operators and the staff who name them in filings."""
    require(actor, "operator", *STAFF)
    rows = env.uow.read(lambda tx: tx.find("institution"))
    return [_only(row, "id", "name", "place", "city", "kind", "state") for row in rows]


def people(env: Env, actor: Actor) -> list[dict[str, Any]]:
    """People with their roles, for operators; no names."""
    require(actor, "operator")

    def work(tx: Tx) -> list[dict[str, Any]]:
        logins = {row["id"]: row["login"] for row in tx.find("account")}
        roles: dict[str, list[dict[str, Any]]] = {}
        for row in tx.find("role"):
            roles.setdefault(row["person_id"], []).append(_only(row, "id", "role", "unit", "state"))
        return [
            {**_only(row, "id", "institution_id", "unit", "state"), "login": logins.get(row["id"]), "roles": held}
            for row in tx.find("person")
            for held in [roles.get(row["id"], [])]
        ]

    return env.uow.read(work)


def _only(row: Row | dict[str, Any], *columns: str) -> dict[str, Any]:
    return {column: row.get(column) for column in columns}
