"""An item between submission and closing: stopping is easy and at once, opening again is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway import accounts, applications, filings, grants, handover, institutions, item_life, packages
from gateway.errors import BadInput, Conflict, NotAllowed, NotFound
from gateway.verifier.verify import verify_log
from tests.world import World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def act(world: World, who: str, item: str, name: str, note: str = "because") -> str:
    return str(item_life.act(world.env, world.people[who], item, name, note=note)["state"])


def rules(row: dict[str, Any]) -> set[str]:
    return {reason["rule"] for reason in row["decision"]["reasons"]}


def test_a_suspended_item_stops_the_next_release_and_the_running_fetch(world: World) -> None:
    item = world.granted()
    released = world.release(item)
    assert released["state"] == "available"
    assert handover.list_files(world.env, world.people["researcher"], released["id"])
    assert act(world, "steward", item, "suspend", "a question about the recipient") == "suspended"
    with pytest.raises(NotAllowed):
        handover.list_files(world.env, world.people["researcher"], released["id"])
    refused = world.release(item)
    assert (refused["state"], refused["outcome"]) == ("refused", "hold")
    assert "GW-41" in rules(refused)
    assert verify_log(world.settings.home / "ledger", key=None).state == "proven"


def test_one_person_stops_and_two_of_different_units_open_again(world: World) -> None:
    item = world.granted()
    act(world, "custodian", item, "suspend")
    assert act(world, "steward", item, "resume") == "suspended", "one yes is not two"
    with pytest.raises(NotAllowed, match=r"second|same|two"):
        act(world, "steward", item, "resume")
    assert act(world, "other.steward", item, "resume") == "active"
    assert world.release(item)["state"] == "available"


def test_what_the_law_no_longer_lets_be_granted_is_not_opened_again(world: World) -> None:
    item = world.granted()
    act(world, "steward", item, "suspend")
    filings.withdraw_filing(world.env, world.people["filer"], world.ids["filing:dua:researcher"])
    with pytest.raises(NotAllowed) as refused:
        act(world, "steward", item, "resume")
    assert "GW-28" in refused.value.rules
    assert world.entries("act.refuse"), "a refused attempt is recorded"


def test_the_applicant_judges_nothing_and_strangers_see_nothing(world: World) -> None:
    item = world.apply()
    for name in ("ask", "hold", "refuse", "begin-review"):
        with pytest.raises(NotAllowed) as refused:
            act(world, "researcher", item, name)
        assert "GW-20" in refused.value.rules
    with pytest.raises(NotFound):
        act(world, "firm", item, "refuse")
    with pytest.raises(BadInput, match="must be one of"):
        act(world, "steward", item, "grant")
    with pytest.raises(BadInput, match="told why"):
        act(world, "steward", item, "refuse", note=" ")


def test_asked_the_applicant_hands_in_again_and_refused_it_is_closed(world: World) -> None:
    item = world.apply()
    assert act(world, "steward", item, "ask", "which cohort?") == "draft"
    assert world.row("item", item)["note"] == "which cohort?"
    with pytest.raises(Conflict):
        applications.approve(world.env, world.people["steward"], item)
    assert act(world, "researcher", item, "submit", "") == "submitted"
    assert act(world, "steward", item, "refuse", "not this purpose") == "closed"
    with pytest.raises(Conflict):
        act(world, "researcher", item, "submit", "")


def test_a_grant_waits_for_what_the_law_asks_and_names_all_of_it(world: World) -> None:
    item = world.apply()
    for steward in ("steward", "other.steward"):
        applications.approve(world.env, world.people[steward], item)
    package = packages.freeze_package(world.env, world.people["steward"], item)
    world.file("researcher", package, but=("prior-report", "dua"))
    terms = grants.GrantTerms(
        valid_from=world.clock.now(),
        valid_to=world.clock.now().replace(year=world.clock.now().year + 1),
        releases=1,
        encryption_key_id=world.ids["key:researcher"],
        signing_key_id=world.ids["signing:researcher"],
    )
    with pytest.raises(NotAllowed) as refused:
        grants.grant(world.env, world.people["steward"], item, terms)
    assert set(refused.value.rules) == {"HGR-10", "PI-05"}
    assert not world.env.uow.read(lambda tx: tx.find("access_grant"))


def test_a_recipient_that_changes_hands_in_mid_project_is_held_until_two_people_confirmed_it(world: World) -> None:
    """FAQ-3.9: a partner that becomes a 外方单位 suspends every release to it."""
    item = world.granted()
    assert world.release(item)["state"] == "available"
    first, second = world.people["operator"], world.people["second.operator"]
    university = world.people["researcher"].institution_id
    institutions.report_change_of_control(world.env, first, university)
    assert "FAQ-3.9" in rules(world.release(item))
    bought = {"owners": [{"share": 1.0, "place": "overseas"}], "restricted": "no"}
    institutions.restate_control(world.env, first, university, bought)
    assert world.release(item)["outcome"] != "permit", "while nobody confirmed it"
    with pytest.raises(NotAllowed):
        accounts.confirm(world.env, first, "institution", university)
    accounts.confirm(world.env, second, "institution", university)
    assert world.row("access_grant", world.ids[f"grant:{item}"])["granted_as"] == "P4"
    assert world.release(item)["state"] == "available", "foreign before and after: the filings were made for such a one"


def test_a_recipient_of_another_class_than_the_grant_was_given_to_is_held(world: World) -> None:
    """FAQ-3.9 without anybody's report: a Chinese-controlled Hong Kong institution (P3) that is sold."""
    first, second = world.people["operator"], world.people["second.operator"]
    university = world.people["researcher"].institution_id
    chinese = {"owners": [{"share": 1.0, "place": "mainland"}], "restricted": "no", "proof_signed_off": True}
    sold = {"owners": [{"share": 1.0, "place": "overseas"}], "restricted": "no"}
    for control in (chinese, sold):
        institutions.restate_control(world.env, first, university, control)
        accounts.confirm(world.env, second, "institution", university)
        if control is chinese:
            item = world.granted()
            assert world.row("access_grant", world.ids[f"grant:{item}"])["granted_as"] == "P3"
            assert world.release(item)["state"] == "available"
    assert "FAQ-3.9" in rules(world.release(item))


def test_only_operators_restate_control(world: World) -> None:
    steward, university = world.people["steward"], world.people["researcher"].institution_id
    with pytest.raises(NotAllowed):
        institutions.report_change_of_control(world.env, steward, university)
    with pytest.raises(NotAllowed):
        institutions.restate_control(world.env, steward, university, {"owners": []})
    for wrong in ({}, {"owners": [{"share": "half", "place": "mainland"}]}):
        with pytest.raises(BadInput, match="control"):
            institutions.restate_control(world.env, world.people["operator"], university, wrong)
