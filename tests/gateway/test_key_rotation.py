"""The log's key changes while the house works, and everybody who kept something goes on."""

from __future__ import annotations

import threading

import pytest

from gateway.bootstrap import open_env
from gateway.env import Actor, Env
from gateway.errors import LedgerUnavailable
from gateway.key_rotation import rotate_log_key
from gateway.keys.port import KeyName
from gateway.record import record_refused_act
from gateway.verifier import verify_log
from gateway.verifier.note import parse_note
from tests.world import World

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
