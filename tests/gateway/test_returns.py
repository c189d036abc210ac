"""An owner gets back its own data and nobody else does; what leaves on a medium is carried by the house."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway import accounts, filings, handover, release, returns
from gateway.accounts import NewPerson
from gateway.crypt4gh import generate_keypair, open_sealed, write_public_key
from gateway.env import Actor
from gateway.errors import BadInput, NotAllowed, NotFound
from gateway.record import put_fact
from gateway.verifier.verify import verify_log
from tests.world import ENGINES, PASSWORD, Random, World, make_world

CONTRACT = {"effective_from": "2026-01-01", "effective_to": "2029-01-01", "order": "sequencing order 17"}
MEDIUM = {"accepted_on": "2026-02-01", "address": "1 Harbour Road", "medium": "disk 7", "custody": ["courier A"]}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = make_world(tmp_path)
    _key(world, "custodian")
    return world


def _key(world: World, who: str) -> None:
    private, public = generate_keypair(Random())
    world.private[who], person, key_id = private, world.people[who].person_id, world.env.new_id()
    columns = {"person_id": person, "kind": "encryption", "public_key": write_public_key(public).decode(),
               "proved_at": "2026-01-01", "state": "active"}  # fmt: skip
    world.env.uow.run(lambda tx: put_fact(tx, world.env, "recipient_key", key_id, scope=person, columns=columns))
    world.ids[f"key:{who}"] = key_id


def _paper(world: World, kind: str, terms: dict[str, Any], recipient: str | None = None) -> str:
    new = filings.NewFiling(
        kind=kind, number=f"{kind}-1", dataset_id=world.ids["dataset"], terms=terms,
        recipient_id=recipient or world.ids["hospital"],
    )  # fmt: skip
    return filings.record_filing(world.env, world.people["filer"], new)


def ask(world: World, who: str = "custodian", actor: Actor | None = None) -> dict[str, Any]:
    row = returns.request_return(
        world.env, actor or world.people[who], dataset_id=world.ids["dataset"], key_id=world.ids[f"key:{who}"]
    )
    return dict(release.advance(world.env, row["id"]))


def rules(row: dict[str, Any]) -> set[str]:
    return {reason["rule"] for reason in row["decision"]["reasons"]}


def test_without_order_and_contract_nothing_goes_back(world: World) -> None:
    held = ask(world)
    assert (held["state"], held["outcome"], rules(held)) == ("refused", "hold", {"GW-31"})
    assert not list((world.settings.home / "views").rglob("*.c4gh"))


def test_nobody_but_the_owners_custodian_asks(world: World) -> None:
    _paper(world, "entrustment", CONTRACT)
    with pytest.raises(NotAllowed):
        returns.request_return(
            world.env, world.people["researcher"], dataset_id=world.ids["dataset"], key_id=world.ids["key:researcher"]
        )
    firm = Actor(**{**_fields(world.people["firm"]), "roles": frozenset({"custodian"})})
    with pytest.raises(NotFound):
        returns.request_return(world.env, firm, dataset_id=world.ids["dataset"], key_id=world.ids["key:firm"])
    with pytest.raises(BadInput, match="registered yourself"):
        returns.request_return(
            world.env, world.people["custodian"], dataset_id=world.ids["dataset"], key_id=world.ids["key:researcher"]
        )


def _fields(actor: Actor) -> dict[str, Any]:
    return {name: getattr(actor, name) for name in actor.__dataclass_fields__}


def test_the_owner_gets_the_very_bytes_back_sealed_recorded_and_closed(world: World) -> None:
    _paper(world, "entrustment", CONTRACT)
    row = ask(world)
    assert (row["state"], row["action"]) == ("available", "ReturnToOwner")
    entry = world.row("copy", row["copy_id"])["files"][0]
    opened = handover.open_file(world.env, world.people["custodian"], row["id"], entry["name"])
    with world.env.copies.open(entry["stored"]) as sealed:
        plain = open_sealed(io.BytesIO(sealed.read()), world.private["custodian"]).read()
    source = Path(world.row("dataset", world.ids["dataset"])["root"]) / "cohort.vcf"
    assert plain == source.read_bytes()
    handover.charge(world.env, opened, start=0, end=opened.size)
    handover.settle(world.env, opened, sent=(0, opened.size))
    assert world.row("release", row["id"])["state"] == "closed"
    assert len(world.entries("release.open")) == len(world.entries("release.close")) == 1
    assert b'"provision_type":"return"' in world.entries("release.open")[0]["body"]
    world.env.ledger.sync()
    assert verify_log(world.settings.home / "ledger", key=None).state == "proven"


def test_a_return_counts_no_people_and_takes_no_quota(world: World) -> None:
    _paper(world, "entrustment", CONTRACT)
    ask(world)
    assert not world.env.uow.read(lambda tx: [*tx.find("counted"), *tx.find("quota_use")])


def test_a_source_that_changed_does_not_go_back(world: World) -> None:
    _paper(world, "entrustment", CONTRACT)
    source = Path(world.row("dataset", world.ids["dataset"])["root"]) / "cohort.vcf"
    source.write_bytes(source.read_bytes().replace(b"0/1", b"1/1", 1))
    row = ask(world)
    assert (row["state"], rules(row)) == ("refused", {"GW-03"})
    assert "source_changed" in row["trouble"]


def test_from_outside_the_mainland_the_rules_of_transit_are_asked(world: World) -> None:
    _paper(world, "entrustment", CONTRACT)
    away = Actor(**{**_fields(world.people["custodian"]), "place_of_access": "hong_kong"})
    row = ask(world, actor=away)
    assert (row["action"], row["outcome"]) == ("Transit", "deny")
    assert rules(row) >= {"GW-33", "GW-34", "GW-36"}


def test_material_from_abroad_goes_back_once_a_person_decided(world: World) -> None:
    _paper(world, "transit-decision", {"accepted_on": "2026-01-02", "outcome": "may-not-return", "decided_by": "desk",
                                       "reason": "not clear"})  # fmt: skip
    manifest = world.row("dataset", world.ids["dataset"])["manifest"]
    abroad = {**manifest, "origin_of_material": "abroad", "domestic_data_added": "no"}
    world.env.uow.run(lambda tx: put_fact(tx, world.env, "dataset", world.ids["dataset"], columns={"manifest": abroad}))
    away = Actor(**{**_fields(world.people["custodian"]), "place_of_access": "hong_kong"})
    held = ask(world, actor=away)
    assert (held["outcome"], rules(held)) == ("hold", {"GW-36"}), "a decision against it is none for it"
    _paper(world, "transit-decision", {"accepted_on": "2026-01-03", "outcome": "may-return", "decided_by": "desk",
                                       "reason": "nothing domestic in it"})  # fmt: skip
    assert ask(world, actor=away)["state"] == "available"


def test_a_key_that_ends_or_an_owner_that_changes_ends_the_fetch(world: World) -> None:
    _paper(world, "entrustment", CONTRACT)
    row = ask(world)
    custodian = world.people["custodian"]
    assert handover.list_files(world.env, custodian, row["id"])
    ended = {"state": "revoked"}
    world.env.uow.run(lambda tx: put_fact(tx, world.env, "recipient_key", world.ids["key:custodian"], columns=ended))
    with pytest.raises(NotAllowed) as refused:
        handover.list_files(world.env, custodian, row["id"])
    assert refused.value.rules == ("GW-30",)


def test_a_dataset_row_changed_by_sql_is_not_returned(world: World) -> None:
    _paper(world, "entrustment", CONTRACT)
    with ENGINES[-1].begin() as connection:
        connection.execute(text("UPDATE dataset SET owner_id = :u"), {"u": world.ids["university"]})
    _person(world, "thief")
    _key(world, "thief")
    row = ask(world, "thief")
    assert row["outcome"] == "deny"
    assert "GW-02" in rules(row)
    assert world.ids["dataset"] in row["trouble"]


def _person(world: World, login: str) -> None:
    first, second = world.people["operator"], world.people["second.operator"]
    new = NewPerson(login=login, name=login, institution_id=world.ids["university"], unit="x",
                    foreign_individual="no", password=PASSWORD, identity_document=f"TEST-{login}")  # fmt: skip
    person = accounts.propose_person(world.env, first, new)
    accounts.confirm(world.env, second, "person", person)
    role = accounts.propose_role(world.env, first, person_id=person, role="custodian", unit="x")
    accounts.confirm(world.env, second, "role", role)
    world.people[login] = accounts.actor_of_person(world.env, person, place_of_access="hong_kong")


def on_medium(world: World, item: str) -> dict[str, Any]:
    row = release.request_release(
        world.env, world.people["researcher"], item_id=item, view_id=world.views["variants"], on_medium=True
    )
    return dict(release.advance(world.env, row["id"]))


def test_a_medium_waits_for_its_address_and_custody(world: World) -> None:
    assert rules(on_medium(world, world.granted())) == {"GW-37"}


def test_what_leaves_on_a_medium_is_carried_by_the_house_and_not_fetched(world: World) -> None:
    item = world.granted()
    _paper(world, "media", MEDIUM, recipient=world.people["researcher"].institution_id)
    row = on_medium(world, item)
    assert row["state"] == "available"
    assert b'"channel":"medium"' in world.entries("release.open")[0]["body"]
    with pytest.raises(NotFound):
        handover.list_files(world.env, world.people["researcher"], row["id"])
    with pytest.raises(NotFound):
        handover.list_files(world.env, world.people["steward"], row["id"])
    assert handover.list_files(world.env, world.people["custodian"], row["id"])
    plain = release.request_release(
        world.env, world.people["researcher"], item_id=item, view_id=world.views["variants"]
    )
    with pytest.raises(NotFound):
        handover.list_files(world.env, world.people["custodian"], plain["id"])
