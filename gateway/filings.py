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
