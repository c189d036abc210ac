"""A substitute acts in the lent role alone, for its days, and counts with the giver as one hand."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import accounts, applications, delegations, item_life
from gateway.errors import NotAllowed, NotFound
from gateway.record import put_fact
from gateway.times import legal_day
from tests.world import World, make_world


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(Path(tmp_path_factory.mktemp("substitutes")))


@pytest.fixture
def world(house: World) -> World:
    house.ids["item"] = house.apply()
    return house


def today(world: World) -> date:
    return legal_day(world.clock.now())


def lend(world: World, giver: str = "steward", to: str = "custodian", days: int = 7, **other: Any) -> str:
    first = other.pop("first_day", today(world))
    terms = {"role": "steward", "first_day": first, "last_day": first + timedelta(days=days), **other}
    given = delegations.delegate(
        world.env, world.people[giver], world.ids["item"], to=world.people[to].person_id, **terms
    )
    return str(given["id"])


def approve(world: World, who: str, under: str | None = None) -> str:
    return str(applications.approve(world.env, world.people[who], world.ids["item"], under=under)["state"])


def refused(world: World, who: str, under: str | None) -> set[str]:
    with pytest.raises(NotAllowed) as raised:
        approve(world, who, under)
    return set(raised.value.rules)


def test_a_substitute_and_the_giver_are_one_hand(world: World) -> None:
    lent = lend(world)
    assert approve(world, "custodian", lent) == "submitted", "one yes is not two"
    assert "GW-21" in refused(world, "steward", None)
    assert approve(world, "other.steward") == "approved-to-file"
    given = world.env.uow.read(lambda tx: tx.find("approval", item_id=world.ids["item"]))
    assert [row["giver_id"] for row in given if row["giver_id"]] == [world.people["steward"].person_id]


def test_without_the_delegation_the_custodian_approves_nothing(world: World) -> None:
    assert refused(world, "custodian", None) >= {"GW-23"}


def test_a_delegation_of_other_days_or_taken_back_lends_nothing(world: World) -> None:
    tomorrow = lend(world, first_day=today(world) + timedelta(days=1))
    assert refused(world, "custodian", tomorrow) >= {"GW-27"}
    lent = lend(world)
    with pytest.raises(NotFound):
        delegations.revoke(world.env, world.people["custodian"], lent)
    delegations.revoke(world.env, world.people["steward"], lent)
    assert refused(world, "custodian", lent) >= {"GW-27"}


def test_a_delegation_holds_for_its_item_and_its_substitute_alone(world: World) -> None:
    lent = lend(world)
    assert refused(world, "filer", lent) >= {"GW-27"}
    world.ids["item"] = world.apply()
    with pytest.raises(NotFound, match="delegation"):
        approve(world, "custodian", lent)


def test_nobody_lends_to_the_applicant_to_another_house_or_what_they_do_not_have(world: World) -> None:
    for giver, to, rule in (
        ("steward", "researcher", "GW-20"),
        ("steward", "firm", "GW-29"),
        ("custodian", "filer", "GW-23"),
        ("steward", "steward", "GW-27"),
    ):
        with pytest.raises(NotAllowed) as raised:
            lend(world, giver, to)
        assert rule in raised.value.rules, (giver, to)
    with pytest.raises(NotAllowed) as raised:
        lend(world, role="operator")
    assert "GW-27" in raised.value.rules
    assert world.entries("act.refuse"), "a refused attempt is recorded"


def test_a_giver_who_lost_the_role_lends_it_no_longer(world: World) -> None:
    lent = lend(world, "same.unit", "custodian")
    role = world.env.uow.read(lambda tx: tx.find("role", person_id=world.people["same.unit"].person_id))[0]
    accounts.end_role(world.env, world.people["operator"], role["id"])
    try:
        assert refused(world, "custodian", lent) >= {"GW-27"}
    finally:
        back = {"state": "active"}
        world.env.uow.run(lambda tx: put_fact(tx, world.env, "role", role["id"], columns=back))


def test_what_a_rule_cannot_read_a_person_reads_and_answers_for(world: World) -> None:
    dataset = world.row("dataset", world.ids["dataset"])
    _permit(world, dataset, ["DS", "NCU", "RS=only with the steering group"])
    try:
        item = world.ids["item"]
        assert refused(world, "steward", None) == {"SHR-02"}
        for who, note, error in (("researcher", "mine", "GW-20"), ("custodian", "no role", "GW-23")):
            with pytest.raises(NotAllowed) as raised:
                item_life.act(world.env, world.people[who], item, "read-data-use", note=note)
            assert error in raised.value.rules
        item_life.act(world.env, world.people["steward"], item, "read-data-use", note="the group agreed on 3 May")
        shown = applications.show(world.env, world.people["steward"], _application(world, item))["items"][0]
        assert (shown["data_use"]["answer"], shown["data_use"]["read_by_a_person"]) == ("ask", True)
        assert any(finding["term"] == "RS" for finding in shown["data_use"]["findings"])
        assert approve(world, "steward") == "submitted"
        _permit(world, dataset, ["DS", "NCU", "RS=only on Sundays"])
        assert refused(world, "other.steward", None) == {"SHR-02"}, "another restriction was never read"
        _permit(world, dataset, ["DS", "NCU", "RS=only on Sundays", "US=nobody"])
        with pytest.raises(NotAllowed):
            approve(world, "other.steward")
        item_life.act(world.env, world.people["steward"], item, "read-data-use", note="still fine")
        assert refused(world, "other.steward", None) == {"PI-09"}, "a reading never answers a no"
    finally:
        back = {"manifest": dataset["manifest"]}
        world.env.uow.run(lambda tx: put_fact(tx, world.env, "dataset", dataset["id"], columns=back))


def _permit(world: World, dataset: dict[str, Any], terms: list[str]) -> None:
    columns = {"manifest": {**dataset["manifest"], "data_use": terms}}
    world.env.uow.run(lambda tx: put_fact(tx, world.env, "dataset", dataset["id"], columns=columns))


def _application(world: World, item: str) -> str:
    return str(world.row("item", item)["application_id"])
