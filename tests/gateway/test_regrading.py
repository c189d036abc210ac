"""A label is looked at again when something changed: it never falls, and what was reported holds until confirmed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import labels, regrading
from gateway.errors import BadInput, NotAllowed, NotFound
from gateway.regrading import Reported
from policies.protection import GRADES
from tests.world import World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def report(world: World, what: str, who: str = "steward", **more: object) -> dict[str, object]:
    reported = Reported(what=what, note="seen in the log", **more)  # type: ignore[arg-type]
    return regrading.report_change(world.env, world.people[who], world.views["variants"], reported)


def test_an_incident_holds_every_release_until_a_second_person_confirmed(world: World) -> None:
    item = world.granted()
    assert world.release(item)["state"] == "available"
    before = world.row("view", world.views["variants"])["label"]
    after = report(world, "incident")["label"]
    assert isinstance(after, dict)
    assert GRADES.index(after["grade"]) >= GRADES.index(before["grade"])
    held = world.release(item)
    assert "GW-05" in {reason["rule"] for reason in held["decision"]["reasons"]}
    with pytest.raises(NotAllowed):
        labels.confirm_label(world.env, world.people["steward"], world.views["variants"])
    labels.confirm_label(world.env, world.people["other.steward"], world.views["variants"])
    assert world.release(item)["state"] == "available"


def test_fused_for_one_audience_genotypes_are_level_two_at_best(world: World) -> None:
    label = report(world, "fusion", with_views=(world.views["raw"],))["label"]
    assert isinstance(label, dict)
    assert label["identifiability"] in {"L1", "L2"}
    assert "seen in the log" in label["reason"]


def test_growth_over_a_line_asks_whether_it_is_important_data(world: World) -> None:
    label = report(world, "growth", people_now=10_000_000)["label"]
    assert isinstance(label, dict)
    assert label["candidate"] is True


def test_strangers_other_triggers_and_silence_are_refused(world: World) -> None:
    with pytest.raises(NotAllowed):
        report(world, "incident", "researcher")
    with pytest.raises(BadInput, match="not a trigger"):
        report(world, "weather")
    with pytest.raises(BadInput, match="note"):
        regrading.report_change(
            world.env, world.people["steward"], world.views["variants"], Reported(what="incident", note=" ")
        )
    with pytest.raises(NotFound):
        report(world, "fusion", with_views=("another",))
    assert world.row("view", world.views["variants"])["state"] == "confirmed"
