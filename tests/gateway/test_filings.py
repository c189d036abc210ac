"""Filings in the house: recorded only when they say what the law asks, and handed on all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import accounts, filings
from gateway.accounts import NewPerson
from gateway.demo.people import papers
from gateway.errors import BadInput, NotAllowed, NotFound
from tests.world import PASSWORD, World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def second_filer(world: World, role: str = "report-filer") -> str:
    env, first, second = world.env, world.people["operator"], world.people["second.operator"]
    new = NewPerson(
        login="next", name="next", institution_id=world.ids["hospital"], unit="research", foreign_individual="no",
        password=PASSWORD,
    )  # fmt: skip
    person = accounts.propose_person(env, first, new)
    accounts.confirm(env, second, "person", person)
    accounts.confirm(
        env, second, "role", accounts.propose_role(env, first, person_id=person, role=role, unit="research")
    )
    world.people["next"] = accounts.actor_of_person(env, person, place_of_access="mainland")
    return person


def test_a_filing_that_lacks_what_the_law_asks_is_not_recorded_and_all_of_it_is_said(world: World) -> None:
    package = {"digest": "ab" * 32, "people": 40}
    for paper in papers(package, world.ids["university"]):
        for term in paper["terms"]:
            less = {**paper, "terms": {name: value for name, value in paper["terms"].items() if name != term}}
            new = filings.NewFiling(dataset_id=world.ids["dataset"], **less)
            with pytest.raises(BadInput, match=f"{term} is missing"):
                filings.record_filing(world.env, world.people["filer"], new)
    empty = filings.NewFiling(dataset_id=world.ids["dataset"], kind="dua", number="n/a")
    with pytest.raises(BadInput) as refused:
        filings.record_filing(world.env, world.people["filer"], empty)
    for said in ("number", "recipient", "effective_from", "effective_to", "clauses", "sealed_by", "PI-05"):
        assert said in str(refused.value)
    assert not world.env.uow.read(lambda tx: tx.find("filing"))


def test_all_backups_of_a_holder_are_handed_on_at_once_and_reports_stand_again(world: World) -> None:
    item = world.granted()
    old, new = world.people["filer"].person_id, second_filer(world)
    assert world.release(item)["state"] == "available"
    done = filings.reassign_backups(world.env, world.people["custodian"], holder_id=old, to_id=new)
    assert done == [world.ids["filing:backup:researcher"]]
    held = world.release(item)
    assert "BKP-03" in {reason["rule"] for reason in held["decision"]["reasons"]}, "the report is of who held it before"
    filings.reassign_backups(world.env, world.people["custodian"], holder_id=new, to_id=old)
    assert world.release(item)["state"] == "available"
    with pytest.raises(NotFound):
        filings.reassign_backups(world.env, world.people["custodian"], holder_id=new, to_id=old)


def test_backups_go_only_to_an_active_report_filer_of_the_house_by_its_administrator(world: World) -> None:
    world.granted()
    old = world.people["filer"].person_id
    for stranger in (world.people["researcher"].person_id, second_filer(world, "steward"), "nobody"):
        with pytest.raises(BadInput, match="report filer"):
            filings.reassign_backups(world.env, world.people["custodian"], holder_id=old, to_id=stranger)
    with pytest.raises(NotAllowed):
        filings.reassign_backups(world.env, world.people["filer"], holder_id=old, to_id=old)
