"""One log for each year: the turn, a crash at each of its steps, and what everybody who kept something still proves."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway import log_retirement
from gateway.audit import DatabaseAudit, audit_chain
from gateway.bootstrap import open_env
from gateway.cli.app import app
from gateway.env import Actor, Env
from gateway.errors import BadInput, LedgerUnavailable, Rewritten
from gateway.home import read_home
from gateway.house_logs import begun_logs
from gateway.journal import Journal
from gateway.ledger.line import CLOSED, ENDED, OPEN, LineOfLogs, Origin
from gateway.log_retirement import Retired, retire
from gateway.origins import LogOrigins, line_of, next_name
from gateway.receipts import outcome_entry, outcome_receipt
from gateway.record import record_refused_act
from gateway.verifier.note import parse_vkey
from gateway.verifier.receipt import check_receipt
from gateway.verifier.rotation import read_log_keys
from gateway.verifier.succession import verify_line
from tests.world import World, reopened

ACTOR = Actor(person_id="0" * 32, institution_id="", unit="", roles=frozenset(), place_of_access="mainland")


def act(env: Env, name: str) -> str:
    return env.uow.run(lambda tx: record_refused_act(tx, env, ACTOR, act=name, about="x", rules=()))


def to_next_year(world: World) -> None:
    """An hour into the first of January, Shanghai time; still the old year in Greenwich."""
    now = world.clock.now()
    world.clock.moved += datetime(now.year, 12, 31, 17, tzinfo=UTC) - now


def line(world: World) -> list[Origin]:
    return world.env.uow.read(line_of)


def folders(world: World) -> list[Path]:
    return [files.folder() for _, files in world.env.uow.read(lambda tx: begun_logs(world.settings, tx))]


def audited(world: World) -> DatabaseAudit:
    ledger = world.env.ledger
    assert isinstance(ledger, LineOfLogs)
    ledger.sync()
    return world.env.uow.read(lambda tx: audit_chain(tx, ledger.facts()))


def said(world: World, kind: str) -> list[dict[str, Any]]:
    return [json.loads(row["body"]) for row in world.entries(kind)]


def test_the_year_turns_at_midnight_in_shanghai_and_not_before(world: World) -> None:
    to_next_year(world)
    world.clock.moved -= timedelta(minutes=61)
    world.env.ledger.sync()
    assert [one.state for one in line(world)] == [OPEN]
    world.clock.moved += timedelta(minutes=2)
    world.env.ledger.sync()
    first, second = line(world)
    assert (first.state, second.state, second.start) == (CLOSED, OPEN, first.size)
    assert second.name == next_name(first.name, first.year + 1)
    assert world.env.ledger.origin == second.name


def test_each_log_names_the_other_and_the_line_is_proven(any_world: World) -> None:
    world = any_world
    act(world.env, "before")
    to_next_year(world)
    act(world.env, "between")
    size = world.env.ledger.sync()
    first, second = line(world)
    assert size == first.size + second.size
    assert said(world, "log.end")[0]["public"]["next"] == second.name
    begun = said(world, "log.begin")[0]
    assert begun["public"] == {"former": first.name, "size": first.size, "root": first.root.hex(), "number": 2}
    assert [said(world, "log.end")[0]["origin"], begun["origin"]] == [first.name, second.name]
    keys = [(folder / "log.vkey").read_text("ascii") for folder in folders(world)]
    for key in (*keys, None):
        verdict = verify_line(folders(world), key=key)
        assert (verdict.state, verdict.size) == ("proven", second.size), verdict
    assert audited(world).wrong == ()


def test_facts_receipts_and_releases_go_on_over_the_turn(world: World) -> None:
    before = world.release(world.ids["item"])
    to_next_year(world)
    world.env.ledger.sync()
    old = folders(world)[0]
    files = {path: (old / path).read_bytes() for path in ("log.vkey",)}
    keys = read_log_keys(parse_vkey(files["log.vkey"].decode().strip()), files.get)
    receipt = outcome_receipt(world.env, world.people["researcher"], before["id"])
    entry = base64.b64decode(outcome_entry(world.env, world.people["researcher"], before["id"])["entry"])
    assert check_receipt(receipt, entry=entry, key=keys).type == "release.open"
    assert verify_line(folders(world), key=None, receipts=[receipt]).state == "proven"
    people = world.env.uow.read(lambda tx: tx.find("person"))
    facts = world.env.ledger.facts()
    assert all(facts.latest("person", row["id"]) is not None for row in people)
    assert audited(reopened(world)).wrong == ()


def test_what_a_row_of_the_old_log_loses_is_found_in_the_new_year(world: World) -> None:
    world.env.ledger.sync()
    to_next_year(world)
    world.env.ledger.sync()
    row = world.env.uow.read(lambda tx: tx.find("person"))[0]
    with world.env.uow.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql(f"UPDATE person SET unit = 'elsewhere' WHERE id = '{row['id']}'")  # noqa: S608
    assert audited(world).wrong == (f"person:{row['id']}",)


class Died(BaseException):
    """What a kill looks like from inside."""


def dying(method: str, *, after: bool) -> Callable[..., Any]:
    true = getattr(LogOrigins, method)

    def act(self: LogOrigins, *given: Any) -> Any:
        if after:
            true(self, *given)
        raise Died

    return act


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["end", "begin_next"])
def test_a_crash_at_each_step_of_the_turn_is_mended_by_the_next_start(
    any_world: World, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    world = any_world
    act(world.env, "before")
    world.env.ledger.sync()
    to_next_year(world)
    act(world.env, "late")
    with monkeypatch.context() as patched:
        patched.setattr(LogOrigins, step, dying(step, after=after))
        with pytest.raises(Died):
            world.env.ledger.sync()
    act(world.env, "in between")
    assert verify_line(folders(world), key=None).state == "proven"  # as it lies after the crash
    world = reopened(world)
    world.env.ledger.sync()
    first, second = line(world)
    assert (first.state, second.state) == (CLOSED, OPEN)
    assert len(said(world, "log.end")) == len(said(world, "log.begin")) == 1
    assert verify_line(folders(world), key=None).state == "proven"
    assert audited(world).wrong == ()


def test_a_crash_while_the_old_log_is_written_out_is_mended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.ledger.files import DiskLogFiles

    world.env.ledger.sync()
    to_next_year(world)
    true, left = DiskLogFiles.write, list(range(40))
    for count in range(12):
        left[:] = range(count)

        def write(self: DiskLogFiles, path: str, data: bytes) -> None:
            if not left:
                raise Died
            left.pop()
            true(self, path, data)

        with monkeypatch.context() as patched:
            patched.setattr(DiskLogFiles, "write", write)
            with suppress(Died):
                world.env.ledger.sync()
        world = reopened(world)
    world.env.ledger.sync()
    assert [one.state for one in line(world)] == [CLOSED, OPEN]
    assert verify_line(folders(world), key=None).state == "proven"
    assert audited(world).wrong == ()


def test_nothing_leaves_while_the_old_log_cannot_be_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.env.ledger.sync()
    to_next_year(world)

    def fails(_self: LogOrigins, *_given: Any) -> None:
        raise LedgerUnavailable("not now")

    monkeypatch.setattr(LogOrigins, "begin_next", fails)
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            world.env.ledger.confirm()
    assert [one.state for one in line(world)] == [ENDED, OPEN]


def test_two_processes_turn_the_year_once(any_world: World) -> None:
    world = any_world
    other, engine = open_env(world.settings, clock=world.clock)
    act(other, "theirs")
    other.ledger.sync()
    to_next_year(world)
    act(world.env, "ours")
    world.env.ledger.sync()
    last = act(other, "theirs again")
    assert other.ledger.sync() == sum(one.size for one in line(world))
    assert len(said(world, "log.begin")) == 1
    rows = {row["entry_id"]: row for row in world.entries()}
    assert all(row["position"] is not None for row in rows.values())
    assert rows[last]["origin"] == line(world)[1].name == json.loads(rows[last]["body"])["origin"]
    assert audited(world).wrong == ()
    engine.dispose()


def test_an_entry_without_an_origin_waits_for_the_first_log_and_for_no_later_one(world: World) -> None:
    act(world.env, "waits")
    unnamed = "UPDATE outbox SET origin = NULL WHERE position IS NULL"
    with world.env.uow.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql(unnamed)
    ledger = world.env.ledger
    assert isinstance(ledger, LineOfLogs)
    assert world.env.uow.read(lambda tx: audit_chain(tx, ledger.facts())).wrong == ()
    to_next_year(world)
    world.env.ledger.sync()
    entry = act(world.env, "waits for nothing")
    with world.env.uow.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql(unnamed)
    assert world.env.uow.read(lambda tx: audit_chain(tx, ledger.facts())).wrong == (f"outbox:{entry}",)


def test_a_former_log_is_served_under_its_number(world: World) -> None:
    world.env.ledger.sync()
    to_next_year(world)
    world.env.ledger.sync()
    old, new = folders(world)
    assert world.env.ledger.file("former/1/checkpoint") == (old / "checkpoint").read_bytes()
    assert world.env.ledger.file("checkpoint") == (new / "checkpoint").read_bytes()
    for path in ("former/2/checkpoint", "former/01/checkpoint", "former/1/lock", "former/1/former/1/checkpoint"):
        with pytest.raises(ValueError):
            world.env.ledger.file(path)


def test_years_that_passed_while_the_house_stood_still_make_one_turn(world: World) -> None:
    world.env.ledger.sync()
    world.clock.moved += timedelta(days=3 * 366)
    world.env.ledger.sync()
    first, second = line(world)
    assert second.year == first.year + 3


def retired(world: World, name: str, years: int = 3) -> Retired:
    def remove(one: Origin) -> None:
        shutil.rmtree(read_home(world.settings).log(one.number), ignore_errors=True)

    ledger = world.env.ledger
    assert isinstance(ledger, LineOfLogs)
    return retire(world.env, name, years=years, chain=ledger.facts, remove=remove)


def test_a_log_is_retired_whole_after_its_retention_and_the_house_goes_on(any_world: World) -> None:
    world = any_world
    world.release(world.ids["item"])
    to_next_year(world)
    world.env.ledger.sync()
    first = line(world)[0]
    world.clock.moved += timedelta(days=3 * 365 - 2)
    with pytest.raises(BadInput, match="kept for 3 years"):
        retired(world, first.name)
    assert folders(world)[0].is_dir()
    world.clock.moved += timedelta(days=5)
    done = retired(world, first.name)
    assert done.entries == first.size
    assert done.restated > 30
    assert not (world.settings.home / "ledger").exists()
    assert [one["public"]["former"] for one in said(world, "log.retire")] == [first.name]
    world = reopened(world)
    assert audited(world).wrong == ()
    assert verify_line(folders(world), key=None).state == "proven"
    assert all(row["origin"] != first.name for row in world.entries())
    assert world.env.ledger.sync() == line(world)[-1].start + line(world)[-1].size  # type: ignore[operator]
    assert retired(world, first.name).restated == 0, "done again it does nothing more"
    assert len(said(world, "log.retire")) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE person SET unit = 'elsewhere' WHERE id = '{}'", id="changed"),
        pytest.param("UPDATE person SET version = version + 1 WHERE id = '{}'", id="raised"),
        pytest.param("DELETE FROM person WHERE id = '{}'", id="gone", marks=pytest.mark.slow),
    ],
)
def test_a_changed_row_gets_no_new_leaf_and_stops_the_retirement(world: World, change: str) -> None:
    world.env.ledger.sync()
    to_next_year(world)
    world.env.ledger.sync()
    world.clock.moved += timedelta(days=5 * 366)
    world.env.ledger.sync()
    row = world.env.uow.read(lambda tx: tx.find("person"))[0]
    with world.env.uow.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql(change.format(row["id"]))
    with pytest.raises(Rewritten, match=f"person:{row['id']}"):
        retired(world, line(world)[0].name)
    assert folders(world)[0].is_dir()
    assert said(world, "log.retire") == []


def test_logs_are_retired_in_their_order_and_the_present_one_never(world: World) -> None:
    for _ in range(2):
        world.env.ledger.sync()
        to_next_year(world)
        world.clock.moved += timedelta(days=2)
    world.env.ledger.sync()
    world.clock.moved += timedelta(days=9 * 366)
    names = [one.name for one in line(world)]
    for name in names[1:]:
        with pytest.raises(BadInput):
            retired(world, name)
    with pytest.raises(BadInput):
        retired(world, "another.example/provisions-2026")


@pytest.mark.parametrize("step", ["_state_anew", "_record", "_forget", "remove"])
def test_a_retirement_cut_short_is_finished_by_the_next_try(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    world.env.ledger.sync()
    to_next_year(world)
    world.env.ledger.sync()
    first = line(world)[0]
    world.clock.moved += timedelta(days=5 * 366)

    def dies(*_given: Any, **_named: Any) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(*((shutil, "rmtree") if step == "remove" else (log_retirement, step)), dies)
        with pytest.raises(Died):
            retired(world, first.name)
    world = reopened(world)
    assert audited(world).wrong == ()
    retired(world, first.name)
    assert not (world.settings.home / "ledger").exists()
    assert audited(world).wrong == ()
    assert verify_line(folders(world), key=None).state == "proven"


def test_a_row_of_the_old_log_that_is_gone_is_found_in_the_new_year(world: World) -> None:
    world.env.ledger.sync()
    to_next_year(world)
    world.env.ledger.sync()
    row = world.env.uow.read(lambda tx: tx.find("filing"))[0]
    with world.env.uow.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql(f"DELETE FROM filing WHERE id = '{row['id']}'")  # noqa: S608
    assert audited(world).wrong == (f"filing:{row['id']}",)


def test_what_the_journal_has_of_a_retired_log_goes_with_it_and_the_rest_can_still_be_replayed(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    to_next_year(world)
    world.env.ledger.sync()
    act(world.env, "in the new year")
    (tmp_path / "elsewhere").mkdir()
    world.settings = world.settings.model_copy(update={"journal": tmp_path / "elsewhere"})
    world = reopened(world)
    world.env.ledger.sync()  # one stretch over the turn
    first = line(world)[0]
    monkeypatch.setenv("TONGGUAN_HOME", str(world.settings.home))
    monkeypatch.setenv("TONGGUAN_JOURNAL", str(tmp_path / "elsewhere"))
    monkeypatch.setattr("gateway.machine.SystemClock.now", lambda _self: world.clock.now())
    world.clock.moved += timedelta(days=11 * 366)
    journal = Journal(tmp_path / "elsewhere", keys=world.env.keys, uow=world.env.uow, origin=first.name)
    before = {entry["position"]: entry for entry in journal.read(0)}
    done = CliRunner().invoke(app, ["ledger", "retire", first.name])
    assert done.exit_code == 0, done.output
    after = {entry["position"]: entry for entry in journal.read(first.size)}
    kept = range(first.size, len(before))
    assert len(kept) > 1, "the stretch that the turn lies in is cut in two"
    assert {place: after[place] for place in kept} == {place: before[place] for place in kept}
    spans = sorted(path.name for path in (tmp_path / "elsewhere").iterdir() if path.is_file())
    assert int(spans[0].split(".")[0]) == first.size, spans
    journal.forget(first.size)
    assert spans == sorted(path.name for path in (tmp_path / "elsewhere").iterdir() if path.is_file())
    assert journal.end() == max(after) + 1


def test_the_command_retires_a_log_after_its_retention_and_says_what_it_did(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.env.ledger.sync()
    to_next_year(world)
    world.env.ledger.sync()
    first = line(world)[0]
    old = folders(world)[0]
    monkeypatch.setenv("TONGGUAN_HOME", str(world.settings.home))
    monkeypatch.setenv("TONGGUAN_LEDGER_RETENTION_YEARS", "3")
    monkeypatch.setattr("gateway.machine.SystemClock.now", lambda _self: world.clock.now())
    run = CliRunner()
    early = run.invoke(app, ["ledger", "retire", first.name])
    assert isinstance(early.exception, BadInput)
    assert "kept for 3 years" in str(early.exception)
    assert old.is_dir()
    world.clock.moved += timedelta(days=4 * 366)
    done = run.invoke(app, ["ledger", "retire", first.name, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["name"], said["entries"]) == (first.name, first.size)
    assert said["restated"] > 0
    assert not old.exists()
    assert run.invoke(app, ["ledger", "audit", "--db"]).exit_code == 0
