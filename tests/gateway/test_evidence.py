"""Facts are what the rows say: one row changed at a time, and exactly the facts that speak of it change with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.evidence import gather
from gateway.item_life import found_item, next_release
from gateway.ports import Tx
from gateway.times import stamp
from tests.gateway.evidence_cases import CASES, NOBODY, Facts, flowing, row
from tests.world import World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = make_world(Path(tmp_path_factory.mktemp("evidence")))
    world.ids["granted"] = world.granted()
    return world


class _Undone(Exception):
    """Ends a transaction whose changes were only for looking."""


def facts(world: World, change: Callable[[Tx], None], place: str | None = "hong_kong", view: str = "variants") -> Facts:
    """The facts of the granted item's next release, after a change that is then taken back."""
    kept: Facts = {}

    def work(tx: Tx) -> None:
        change(tx)
        item, application = found_item(tx, world.ids["granted"])
        row = next_release(item, application, world.views[view], place)
        whole = gather(tx, world.env, row, measured=False).facts.to_json()
        kept.update({f"{section}.{field}": value for section, body in whole.items() for field, value in body.items()})
        raise _Undone

    with pytest.raises(_Undone):
        world.env.uow.run(work)
    return kept


def turned(world: World, change: Callable[[Tx], None], **how: Any) -> Facts:
    before, after = facts(world, lambda _tx: None), facts(world, change, **how)
    return {name: value for name, value in after.items() if value != before[name]}


@pytest.mark.parametrize(("change", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_row_turns_the_facts_that_speak_of_it_and_no_others(
    world: World, change: Callable[[World, Tx], None], expected: Mapping[str, Any]
) -> None:
    found = turned(world, lambda tx: change(world, tx))
    found = {name: value for name, value in found.items() if name != "consents.permitted_digest"}
    assert found == expected


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("mainland", {"person.place_of_access": "mainland", "grant.same_place": "no"}),
        ("macau", {"person.place_of_access": "macau", "grant.same_place": "no", **NOBODY}),
        (None, {"grant.same_place": "unknown"}),
    ],
)
def test_the_place_of_access_is_the_requests_own(world: World, place: str | None, expected: Facts) -> None:
    found = turned(world, lambda _tx: None, place=place)
    assert {name: value for name, value in found.items() if not name.startswith("consents.")} == expected


def test_somebody_else_than_the_applicant_is_not_the_applicant(world: World) -> None:
    def work(tx: Tx) -> bool:
        item, application = found_item(tx, world.ids["granted"])
        asked = next_release(item, application, world.views["variants"], "hong_kong")
        asked = {**asked, "requester_id": world.people["rival"].person_id}
        return gather(tx, world.env, asked, measured=False).facts.person.is_applicant

    assert world.env.uow.read(work) is False


def test_a_grant_ends_at_its_last_instant(world: World) -> None:
    now = world.clock.now()

    def until(moment: Any) -> Callable[[Tx], None]:
        return lambda tx: tx.update("access_grant", row(world, "access_grant"), valid_to=stamp(moment))

    assert turned(world, until(now - timedelta(seconds=1))) == {"grant.in_period": False}
    assert turned(world, until(now + timedelta(minutes=5))) == {}


def test_a_flow_of_bytes_counts_what_the_package_holds(world: World) -> None:
    found = turned(world, lambda tx: flowing(forecast_records=1, unit="bytes")(world, tx))
    package = world.env.uow.read(lambda tx: tx.find("package", item_id=world.ids["granted"]))[0]
    frozen = [file["bytes"] for part in package["parts"] for file in part["files"]]
    assert found["counts.forecast_volume"] == sum(frozen) > found["counts.filed_volume"] == 1
