"""Filings with the authorities, recorded by the owner's report filer: checked data; free text opens no door.

Numbers are opaque strings (BKP-05). What each kind must say is ``policies/tables/filings.toml``; whether a filing is in
effect, for this recipient and this package, is asked at every decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.accounts import require
from gateway.env import Actor, Env
from gateway.errors import BadInput, NotFound
from gateway.ports import Row, Tx
from gateway.record import put_fact
from policies.filings import problems


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFiling:
    """One filing. ``terms`` holds its dated and counted particulars as the Facts schema names them."""

    kind: str
    number: str
    dataset_id: str
    item_id: str | None = None
    recipient_id: str | None = None
    terms: dict[str, Any] = field(default_factory=dict)


def record_filing(env: Env, actor: Actor, new: NewFiling) -> str:
    """Record a filing of one's own institution's dataset; its id."""
    require(actor, "report-filer")
    found = problems(new.kind, new.number, new.terms, recipient=new.recipient_id)
    if found:
        raise BadInput("; ".join(f"{new.kind[:40]}: {each.term} {each.says} ({each.source})" for each in found))
    filing_id = env.new_id()

    def work(tx: Tx) -> None:
        dataset = tx.get("dataset", new.dataset_id)
        if dataset is None or dataset["custodian_id"] != actor.institution_id:
            raise NotFound("dataset")
        columns = {
            "dataset_id": new.dataset_id,
            "item_id": new.item_id,
            "kind": new.kind,
            "number": new.number,
            "recipient_id": new.recipient_id,
            "recorded_by": actor.person_id,
            "terms": new.terms,
            "state": "recorded",
        }
        put_fact(
            tx, env, "filing", filing_id, custodian_id=dataset["custodian_id"], scope=new.dataset_id, columns=columns
        )

    env.uow.run(work)
    return filing_id


def withdraw_filing(env: Env, actor: Actor, filing_id: str) -> None:
    """Mark a filing as no longer standing; releases that rely on it stop at their next look."""
    require(actor, "report-filer")

    def work(tx: Tx) -> None:
        row: Row | None = tx.get("filing", filing_id)
        if row is None or row["custodian_id"] != actor.institution_id:
            raise NotFound("filing")
        put_fact(tx, env, "filing", filing_id, columns={"state": "withdrawn"}, kind="restrict")

    env.uow.run(work)


def reassign_backups(env: Env, actor: Actor, *, holder_id: str, to_id: str) -> list[str]:
    """Hand every backup of one holder to another report filer of the house (委托调整, all at once); the filings' ids.

    A report is filed only on backups of one's own account (BKP-03), so a filer who leaves would block the house.
    """
    require(actor, "custodian")

    def work(tx: Tx) -> list[str]:
        if not _files_for(tx, actor.institution_id, to_id):
            raise BadInput("the new holder must be an active report filer of this house")
        held = [row for row in _backups(tx, actor.institution_id) if holder_of(row) == holder_id]
        for row in held:
            put_fact(tx, env, "filing", row["id"], columns={"terms": {**row["terms"], "holder": to_id}})
        if not held:
            raise NotFound("backup of that holder")
        return [row["id"] for row in held]

    return env.uow.run(work)


def holder_of(backup: Row) -> str:
    """The person under whose account a backup stands: who recorded it, until it was handed on."""
    return str((backup["terms"] or {}).get("holder") or backup["recorded_by"])


def _backups(tx: Tx, institution_id: str) -> list[Row]:
    return list(tx.find("filing", custodian_id=institution_id, kind="backup", state="recorded"))


def _files_for(tx: Tx, institution_id: str, person_id: str) -> bool:
    person = tx.get("person", person_id)
    here = person is not None and person["state"] == "active" and person["institution_id"] == institution_id
    return here and bool(tx.find("role", person_id=person_id, role="report-filer", state="active"))
