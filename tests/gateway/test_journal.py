"""Yesterday's backup is restored: nothing leaves before it has learnt what happened today, and then no old right lives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from gateway.accounts import actor_of_token, sign_in
from gateway.bootstrap import open_env
from gateway.cli.app import app
from gateway.env import Actor, Env
from gateway.errors import BadInput, Gone, LedgerUnavailable, NotAllowed, NotSignedIn
from gateway.handover import list_files
from gateway.home import read_home
from gateway.house_logs import begun_logs, open_journal
from gateway.journal import Journal, Replayed, replay
from gateway.release import advance, request_release
from gateway.revocation import revoke_grant, withdraw_participant
from gateway.settings import Settings
from gateway.verifier import verify_log
from gateway.verifier.succession import verify_line
from tests.gateway import test_line
from tests.plugins.postgres import Server
from tests.world import ENGINES, PASSWORD, World, audited


@dataclass
class Restored:
    """A home as it was in the morning, opened in the evening, and the journal that went on meanwhile."""

    world: World
    settings: Settings
    env: Env
    kept: bytes
    """Today's last checkpoint, as a witness would have it."""

    def journal(self) -> Journal:
        found = open_journal(self.settings, read_home(self.settings), self.env.keys, self.env.uow)  # type: ignore[arg-type]
        assert found is not None
        return found

    def replay(self) -> Replayed:
        done = replay(self.env, self.journal())
        # As the command does: whoever goes on, goes on with a fresh view of the log.
        self.env = opened(self.world, self.settings)
        self.env.ledger.confirm()
        return done

    def ask(self, me: Actor) -> dict[str, object]:
        item, view = self.world.ids["item"], self.world.views["variants"]
        row = request_release(self.env, me, item_id=item, view_id=view)
        return dict(advance(self.env, row["id"]))


def opened(world: World, settings: Settings) -> Env:
    env, engine = open_env(settings, clock=world.clock)
    ENGINES.append(engine)
    return env


@pytest.fixture
def world(any_world: World) -> World:
    """Every test here runs on SQLite and on PostgreSQL."""
    return any_world


@pytest.fixture
def day(
    world: World, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[Callable[[Env], object]], Restored]]:
    """What happened today is the argument; it is forgotten by the restore."""
    dropped = ExitStack()

    def backed_up(settings: Settings) -> str:
        """A copy of the database as it is now; PostgreSQL copies one that nobody is connected to."""
        if not settings.database_url:
            return ""
        while ENGINES:
            ENGINES.pop().dispose()
        name = make_url(settings.database_url).database
        assert name is not None
        server: Server = request.getfixturevalue("pg_server")
        return dropped.enter_context(server.database(name))

    def live(today: Callable[[Env], object]) -> Restored:
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        settings = world.settings.model_copy(update={"journal": tmp_path / "elsewhere"})
        world.env = opened(world, settings)
        world.env.ledger.sync()
        backup = tmp_path / "backup"
        shutil.copytree(settings.home, backup)
        database = backed_up(settings)
        world.env = opened(world, settings)
        today(world.env)
        world.env.ledger.sync()
        kept = (settings.home / "ledger" / "checkpoint").read_bytes()
        restored = settings.model_copy(update={"home": backup, "database_url": database})
        return Restored(world=world, settings=restored, env=opened(world, restored), kept=kept)

    yield live
    while ENGINES:
        ENGINES.pop().dispose()
    dropped.close()


def withdrawal(world: World) -> Callable[[Env], object]:
    return lambda env: withdraw_participant(
        env, world.people["custodian"], dataset_id=world.ids["dataset"], source_id="HOSP0003"
    )


def test_inv09_todays_withdrawn_participant_is_not_released_from_yesterdays_backup(
    world: World, day: Callable[..., Restored]
) -> None:
    restored = day(withdrawal(world))
    me = world.people["researcher"]
    with pytest.raises(LedgerUnavailable, match=r"restored backup|ledger replay"):
        restored.ask(me)
    assert restored.replay().entries > 0
    released = restored.ask(me)
    assert released["state"] == "available"
    members = restored.env.uow.read(lambda tx: tx.find("core_member", core_view_id=released["core_view_id"]))
    assert len(members) == 39


def test_inv09_todays_revoked_grant_opens_nothing_from_yesterdays_backup(
    world: World, day: Callable[..., Restored]
) -> None:
    restored = day(lambda env: revoke_grant(env, world.people["steward"], world.ids["grant:" + world.ids["item"]]))
    restored.replay()
    refused = restored.ask(world.people["researcher"])
    assert refused["state"] == "refused"


def test_the_log_goes_on_where_it_was_seen_last_and_the_whole_house_adds_up(
    world: World, day: Callable[..., Restored]
) -> None:
    restored = day(withdrawal(world))
    before = (restored.settings.home / "ledger" / "checkpoint").read_bytes()
    restored.replay()
    restored.ask(world.people["researcher"])
    restored.env.ledger.sync()
    folder = restored.settings.home / "ledger"
    for kept in (before, restored.kept):
        verdict = verify_log(folder, key=None, since=kept)
        assert verdict.state == "proven", verdict
    assert audited(restored.env, restored.settings.home).wrong == ()


def test_tokens_copies_and_counts_of_before_do_not_live_on(world: World, day: Callable[..., Restored]) -> None:
    signed = sign_in(world.env, login="researcher", password=PASSWORD, place_of_access="hong_kong")
    old = world.release(world.ids["item"])
    restored = day(lambda env: (withdrawal(world)(env), world.release(world.ids["item"])))
    before = len(world.env.uow.read(lambda tx: tx.find("counted")))
    assert actor_of_token(restored.env, signed.token)
    restored.replay()
    with pytest.raises(NotSignedIn):
        actor_of_token(restored.env, signed.token)
    with pytest.raises((Gone, NotAllowed)):
        list_files(restored.env, world.people["researcher"], str(old["id"]))
    assert len(restored.env.uow.read(lambda tx: tx.find("counted"))) == before, "what was counted today stays counted"


def test_the_command_replays_and_says_what_it_did(
    world: World, day: Callable[..., Restored], monkeypatch: pytest.MonkeyPatch
) -> None:
    restored = day(withdrawal(world))
    monkeypatch.setenv("TONGGUAN_HOME", str(restored.settings.home))
    monkeypatch.setenv("TONGGUAN_DATABASE_URL", restored.settings.database_url)
    run = CliRunner()
    assert isinstance(run.invoke(app, ["ledger", "replay"]).exception, BadInput), "no journal is named"
    monkeypatch.setenv("TONGGUAN_JOURNAL", str(restored.settings.journal))
    held = run.invoke(app, ["ledger", "status"])
    assert isinstance(held.exception, LedgerUnavailable), "everything holds"
    done = run.invoke(app, ["ledger", "replay", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["entries"] > 0
    assert run.invoke(app, ["ledger", "status"]).exit_code == 0
    assert run.invoke(app, ["ledger", "audit", "--db"]).exit_code == 0


def test_a_second_replay_changes_nothing(world: World, day: Callable[..., Restored]) -> None:
    restored = day(withdrawal(world))
    assert restored.replay().entries > 0
    assert restored.replay() == Replayed(entries=0, rows=0, closed=0)


def test_a_journal_with_a_hole_or_a_changed_byte_is_not_replayed(world: World, day: Callable[..., Restored]) -> None:
    restored = day(withdrawal(world))
    last = sorted(path for path in (restored.settings.journal or Path()).iterdir() if path.is_file())[-1]
    whole = last.read_bytes()
    last.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(LedgerUnavailable, match="does not open"):
        restored.replay()
    last.unlink()
    later = last.with_name("000000099990.000000099999")
    later.write_bytes(whole)
    with pytest.raises(LedgerUnavailable, match="no entry"):
        restored.replay()


def test_the_journal_tells_its_keeper_nothing(world: World, day: Callable[..., Restored]) -> None:
    restored = day(withdrawal(world))
    for path in (restored.settings.journal or Path()).iterdir():
        if path.is_file():
            data = path.read_bytes()
            assert data.startswith(b"TGW1")
            assert b"release" not in data
            assert b"dataset" not in data


def test_a_journal_whose_folder_is_not_there_is_not_made_on_this_machine(world: World, tmp_path: Path) -> None:
    missing = tmp_path / "not-mounted"
    world.env = opened(world, world.settings.model_copy(update={"journal": missing}))
    with pytest.raises(LedgerUnavailable, match="mount it"):
        world.env.ledger.confirm()
    assert not missing.exists()


def test_nothing_is_handed_over_while_the_journal_cannot_be_written(world: World, tmp_path: Path) -> None:
    blocked = tmp_path / "elsewhere"
    blocked.write_text("a file where the folder should be")
    world.env = opened(world, world.settings.model_copy(update={"journal": blocked}))
    with pytest.raises(LedgerUnavailable):
        world.release(world.ids["item"])


def test_the_journal_opens_with_the_backup_key_and_with_no_other_key_of_the_house(
    world: World, day: Callable[..., Restored]
) -> None:
    restored = day(withdrawal(world))
    folder = restored.settings.home / "keys"
    for name in ("kek.v1", "source.v1"):
        assert (folder / name).exists()
    kept = (folder / "backup.v1").read_bytes()
    (folder / "backup.v1").unlink()
    restored.env = opened(world, restored.settings)
    with pytest.raises(LedgerUnavailable, match="does not open"):
        restored.replay()
    (folder / "backup.v1").write_bytes(kept)
    (folder / "backup.v1").chmod(0o600)
    restored.env = opened(world, restored.settings)
    assert restored.replay().entries > 0


@pytest.mark.parametrize(
    "later", [pytest.param(0, id="in the same year", marks=pytest.mark.slow), pytest.param(370, id="a year later")]
)
def test_a_backup_from_before_the_year_turned_learns_the_turn_and_the_withdrawal_after_it(
    world: World, day: Callable[..., Restored], later: int
) -> None:
    def today(env: Env) -> None:
        test_line.to_next_year(world)
        env.ledger.sync()
        withdrawal(world)(env)

    restored = day(today)
    world.clock.moved += timedelta(days=later)
    for _ in range(2):  # it tries to turn the year by itself, and what it took in meanwhile waits
        with pytest.raises(LedgerUnavailable, match=r"restored backup|ledger replay"):
            restored.env.ledger.confirm()
        test_line.act(restored.env, "meanwhile")
    assert restored.replay().entries > 0
    true = world.env.uow.read(lambda tx: begun_logs(world.settings, tx))
    logs = restored.env.uow.read(lambda tx: begun_logs(restored.settings, tx))
    assert [one.name for one, _ in logs[:2]] == [one.name for one, _ in true]
    assert len(logs) == (3 if later else 2)
    for one, files in true:
        since = (files.folder() / "checkpoint").read_bytes()
        verdict = verify_line([at.folder() for _, at in logs], key=None, since=since)
        assert verdict.state == "proven", (one.name, verdict)
    world.env, world.settings = restored.env, restored.settings
    assert test_line.audited(world).wrong == ()
    rows = restored.env.uow.read(lambda tx: tx.find("outbox"))
    assert sum(row["type"] == "log.end" for row in rows) == len(logs) - 1
    assert sum(b"meanwhile" in bytes(row["body"]) and row["position"] is not None for row in rows) == 2
    if later:
        return
    released = world.release(world.granted())
    assert released["state"] == "available"
    members = restored.env.uow.read(lambda tx: tx.find("core_member", core_view_id=released["core_view_id"]))
    assert len(members) == 39
