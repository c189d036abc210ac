"""The log's key changes while the house works, and everybody who kept something goes on."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.bootstrap import open_env
from gateway.cli.app import app
from gateway.env import Actor, Env
from gateway.errors import BadInput, LedgerUnavailable
from gateway.key_rotation import rotate_line_key, rotate_log_key
from gateway.keys.errors import KeysError
from gateway.keys.port import KeyName
from gateway.record import record_refused_act
from gateway.verifier import verify_log
from gateway.verifier.further import parse_sm2_key, verify_sm2_line
from gateway.verifier.note import parse_note
from gateway.verifier.policy import cosigned_at, parse_witness_key
from gateway.verifier.side import SIDE, read_side
from tests.world import World, audited, reopened

ACTOR = Actor(person_id="0" * 32, institution_id="", unit="", roles=frozenset(), place_of_access="mainland")


def act(env: Env, name: str) -> None:
    env.uow.run(lambda tx: record_refused_act(tx, env, ACTOR, act=name, about="x", rules=()))


def proven(world: World, key: str) -> int:
    verdict = verify_log(world.settings.home / "ledger", key=key)
    assert verdict.state == "proven", verdict.detail
    assert verdict.size is not None
    return verdict.size


def test_the_change_is_announced_under_the_old_key_and_the_log_goes_on_under_the_new_one(world: World) -> None:
    env = world.env
    before = env.ledger.keys().current
    size = env.ledger.sync()
    made = rotate_log_key(env)
    assert (made.number, made.size, made.old) == (1, size + 1, before)
    announced = world.entries()[-1]
    assert announced["type"] == "key.rotate"
    assert proven(world, str(before)) == size + 1
    act(env, "after")
    env.ledger.sync()
    signed = (world.settings.home / "ledger" / "checkpoint").read_bytes()
    assert [one.key_id for one in parse_note(signed).signatures] == [made.new.key_id]
    for key in (made.old, made.new):
        assert proven(world, str(key)) == size + 2
    assert env.ledger.file("rotation/1") is not None


def with_lines(world: World) -> World:
    """The same house with both further lines and the side root."""
    world.settings = world.settings.model_copy(update={"further_lines": "ml-dsa,sm2", "sm3_root": True})
    return reopened(world)


def checkpoint(world: World) -> bytes:
    return (world.settings.home / "ledger" / "checkpoint").read_bytes()


def is_good(kind: str, key: str, signed: bytes) -> bool:
    """Whether the head carries a good line of that key."""
    try:
        if kind == "sm2":
            verify_sm2_line(signed, parse_sm2_key(key))
            return True
        return cosigned_at(parse_note(signed), parse_witness_key(key)) is not None
    except ValueError:
        return False


@pytest.mark.parametrize("kind", ["ml-dsa", "sm2"])
def test_the_key_of_a_further_line_is_announced_under_the_old_one_and_a_running_server_signs_with_the_new(
    world: World, kind: str
) -> None:
    world = with_lines(world)
    act(world.env, "before")
    world.env.ledger.sync()
    other = reopened(world)
    old, new = rotate_line_key(other.env, kind)
    announced = world.entries()[-1]
    assert (announced["type"], json.loads(announced["body"])["public"]["new"]) == ("key.line", new)
    signed = checkpoint(world)
    assert is_good(kind, old, signed), "the head that covers the announcement is the old key's last"
    assert not is_good(kind, new, signed)
    act(world.env, "after")
    world.env.ledger.sync()
    signed = checkpoint(world)
    assert is_good(kind, new, signed)
    assert not is_good(kind, old, signed)
    assert len(parse_note(signed).signatures) == 3
    _, side = read_side((world.settings.home / "ledger" / SIDE).read_bytes())
    assert (str(side) == new) is (kind == "sm2")
    assert audited(world.env, world.settings.home).wrong == ()
    proven(world, str(world.env.ledger.keys().current))


def test_a_key_that_was_not_announced_signs_no_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="no sm2 line was ever signed here"):
        rotate_line_key(world.env, "sm2")
    world = with_lines(world)
    act(world.env, "before")
    world.env.ledger.sync()
    before = sorted(path.name for path in (world.settings.home / "keys").iterdir())

    def away(_self: Any) -> int:
        raise LedgerUnavailable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(type(world.env.ledger), "confirm", away)
        with pytest.raises(LedgerUnavailable):
            rotate_line_key(world.env, "sm2")
    assert sorted(path.name for path in (world.settings.home / "keys").iterdir()) == before
    old, new = rotate_line_key(world.env, "sm2")
    act(world.env, "after")
    world.env.ledger.sync()
    assert is_good("sm2", new, checkpoint(world))
    assert not is_good("sm2", old, checkpoint(world))
    with pytest.raises(KeysError, match="no kek key"):
        world.env.keys.adopt(KeyName.KEK, bytes(32))
    with pytest.raises(KeysError, match="of 31 bytes"):
        world.env.keys.adopt(KeyName.LEDGER_SM2, bytes(31))


def test_the_command_replaces_a_lines_key_and_prints_what_to_hand_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONGGUAN_HOME", str(world.settings.home))
    monkeypatch.setenv("TONGGUAN_FURTHER_LINES", "sm2")
    run = CliRunner()
    before = run.invoke(app, ["ledger", "further-keys"]).stdout.strip()
    done = json.loads(run.invoke(app, ["ledger", "rotate", "--line", "sm2", "--json"]).stdout)
    assert done["old"] == before
    assert run.invoke(app, ["ledger", "further-keys"]).stdout.strip() == done["new"] != before
    assert run.invoke(app, ["ledger", "rotate", "--line", "rsa"]).exit_code == 2
    assert run.invoke(app, ["ledger", "audit", "--db"]).exit_code == 0


def test_a_process_that_began_before_the_change_signs_with_the_new_key_too(world: World) -> None:
    other, engine = open_env(world.settings)
    act(other, "before")
    other.ledger.sync()
    made = rotate_log_key(world.env)
    act(other, "after")
    assert other.ledger.sync() == made.size + 1
    assert other.ledger.keys().current == made.new
    engine.dispose()
    proven(world, str(made.old))


def test_a_crash_between_the_new_key_and_the_change_leaves_the_old_key_signing(world: World) -> None:
    before = world.env.ledger.keys().current
    world.env.keys.rotate(KeyName.LEDGER_SIGNING)
    again, engine = open_env(world.settings)
    act(again, "after the crash")
    again.ledger.sync()
    assert again.ledger.keys().current == before
    made = rotate_log_key(again)
    assert len(again.keys.versions(KeyName.LEDGER_SIGNING)) == 2, "the key that was made is used, not another"
    engine.dispose()
    proven(world, str(made.new))


def test_a_key_that_is_gone_stops_the_log_and_no_other_key_signs(world: World) -> None:
    rotate_log_key(world.env)
    (world.settings.home / "keys" / "ledger-signing.v2").unlink()
    again, engine = open_env(world.settings)
    act(again, "after")
    with pytest.raises(LedgerUnavailable, match="not the public half"):
        again.ledger.sync()
    engine.dispose()


def test_the_key_changes_three_times_under_load_and_nothing_is_lost(world: World) -> None:
    first = world.env.ledger.keys().current
    before = world.env.ledger.sync()
    stop, done = threading.Event(), [0, 0, 0]

    def load(number: int) -> None:
        while not stop.is_set():
            act(world.env, f"{number}-{done[number]}")
            done[number] += 1
            world.env.ledger.sync()

    threads = [threading.Thread(target=load, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            rotate_log_key(world.env)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    world.env.ledger.sync()
    assert proven(world, str(first)) == before + sum(done) + 3
