"""The published schema takes every entry a house writes, and nothing that says more in the open."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.event_schema import schema
from gateway.key_rotation import rotate_log_key
from gateway.revocation import withdraw_participant
from tests.world import World


def test_every_entry_of_a_house_at_work_fits_the_schema(world: World) -> None:
    world.release(world.ids["item"])
    world.release(world.granted(releases=0))
    withdraw_participant(world.env, world.people["custodian"], dataset_id=world.ids["dataset"], source_id="HOSP0003")
    rotate_log_key(world.env)
    told = json.loads(CliRunner().invoke(app, ["schema", "event"]).stdout)
    assert told == schema()
    Draft202012Validator.check_schema(told)
    validator = Draft202012Validator(told)
    entries = [json.loads(row["body"]) for row in world.entries()]
    for entry in entries:
        validator.validate(entry)
    assert {"release.open", "release.refuse", "key.rotate", "person"} <= {entry["type"] for entry in entries}


@pytest.mark.parametrize(
    "change",
    [{"extra": 1}, {"kind": "other"}, {"id": "HOSP0003"}, {"v": 2}, {"at": "2026-11-21"}, {"pad": "x"},
     {"public": {"name": "somebody"}}, {"personal": {"root": "", "fields": {}}}],
)  # fmt: skip
def test_what_says_more_or_other_does_not_fit(world: World, change: dict[str, Any]) -> None:
    validator = Draft202012Validator(schema())
    entry = json.loads(world.entries()[0]["body"])
    validator.validate(entry)
    with pytest.raises(ValidationError):
        validator.validate({**entry, **change})
