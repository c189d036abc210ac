"""A house whose ledger lies in a real S3 server: releases, the audit, the turn of the year, and a store that is gone."""

from __future__ import annotations

import json
import shutil
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store
from typer.testing import CliRunner

from gateway.audit import audit_chain
from gateway.cli.app import app as commands
from gateway.env import Env
from gateway.errors import LedgerUnavailable
from gateway.house_logs import begun_logs
from gateway.settings import Settings
from gateway.verifier.succession import verify_line
from tests.gateway import test_line
from tests.plugins.s3 import KEY, REGION, SECRET, S3Server
from tests.world import World, reopened

STORE = """
bucket = "{bucket}"
prefix = "house"
endpoint = "{endpoint}"
region = "{region}"
access_key_id = "{key}"
secret_access_key = "{secret}"
"""


class Moved:
    """A house that keeps its log in the store, moved there as the guide says."""

    def __init__(self, world: World, server: S3Server, folder: Path) -> None:
        self.server, self.bucket, self.path = server, server.bucket(), folder / "store.toml"
        self.say()
        self.client = S3Store(
            self.bucket, prefix="house", endpoint=server.endpoint, region=REGION, access_key_id=KEY,
            secret_access_key=SECRET, client_options={"allow_http": True}, retry_config={"max_retries": 0},
        )  # fmt: skip
        home = world.settings.home
        for path in sorted((home / "ledger").rglob("*")):
            if path.is_file() and ".tmp" not in path.parts:
                obstore.put(self.client, path.relative_to(home).as_posix(), path.read_bytes())
        shutil.rmtree(home / "ledger")
        settings = Settings(home=home, database_url=world.settings.database_url, ledger_store=self.path)
        world.settings = settings
        self.world = reopened(world)

    def say(self, **other: str) -> None:
        words = {"bucket": self.bucket, "endpoint": self.server.endpoint, "region": REGION, "key": KEY}
        self.path.write_text(STORE.format(**(words | {"secret": SECRET} | other)), "utf-8")
        self.path.chmod(0o600)

    def names(self) -> list[str]:
        return sorted(one["path"] for part in obstore.list(self.client) for one in part)

    def verdict(self) -> Any:
        logs = self.world.env.uow.read(lambda tx: begun_logs(self.world.settings, tx))
        return verify_line([files.folder() for _, files in logs], key=None)


@pytest.fixture
def moved(world: World, s3_server: S3Server, tmp_path: Path) -> Moved:
    return Moved(world, s3_server, tmp_path)


def command(moved: Moved, monkeypatch: pytest.MonkeyPatch, *words: str, code: int) -> dict[str, Any]:
    monkeypatch.setenv("TONGGUAN_HOME", str(moved.world.settings.home))
    monkeypatch.setenv("TONGGUAN_LEDGER_STORE", str(moved.path))
    done = CliRunner().invoke(commands, [*words, "--json"])
    assert done.exit_code == code, done.output
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_a_release_is_recorded_in_the_store_and_what_is_changed_there_is_named(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = moved.world.release(moved.world.ids["item"])
    assert released["state"] == "available"
    assert not (moved.world.settings.home / "ledger").exists(), "nothing of the log is written here"
    said = command(moved, monkeypatch, "ledger", "audit", "--db", code=0)
    assert (said["state"], said["pending"]) == ("proven", 0)
    assert command(moved, monkeypatch, "ledger", "status", code=0)["folder"] == f"s3://{moved.bucket}/house/ledger"
    bundle = max((name for name in moved.names() if "/entries/" in name), key=lambda name: int(name.split("/")[-1]))
    good = bytes(obstore.get(moved.client, bundle).bytes())
    assert b"release.open" in good
    obstore.put(moved.client, bundle, good.replace(b"release.open", b"release.opem"))
    said = command(moved, monkeypatch, "ledger", "audit", code=1)
    assert said["place"] == bundle.removeprefix("ledger/")
    obstore.delete(moved.client, bundle)
    assert command(moved, monkeypatch, "ledger", "audit", code=1)["place"] == bundle.removeprefix("ledger/")


def test_a_store_that_is_gone_holds_every_release_and_the_same_request_leaves_once_when_it_is_back(
    moved: Moved,
) -> None:
    moved.say(endpoint="http://127.0.0.1:9")
    world = reopened(moved.world)
    with pytest.raises(LedgerUnavailable) as refused:
        world.release(world.ids["item"])
    assert SECRET not in str(refused.value)
    assert "127.0.0.1" not in str(refused.value)
    moved.say(secret="wrong")
    with pytest.raises(LedgerUnavailable, match=r"PermissionDenied, 403, SignatureDoesNotMatch"):
        reopened(moved.world).env.ledger.sync()
    moved.say()
    world = reopened(moved.world)
    opened = len(world.entries("release.open"))
    assert world.release(world.ids["item"])["state"] == "available"
    assert len(world.entries("release.open")) == opened + 1
    assert moved.verdict().state == "proven"


def test_the_year_turns_in_the_store_and_the_old_log_is_retired_from_it(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = moved.world
    test_line.to_next_year(world)
    world.env.ledger.sync()
    assert {name.split("/")[0] for name in moved.names()} == {"ledger", "ledger-2"}
    assert moved.verdict().state == "proven"
    world.clock.moved += timedelta(days=4 * 366)
    world.env.ledger.sync()
    first = test_line.line(world)[0]
    monkeypatch.setattr("gateway.machine.SystemClock.now", lambda _self: world.clock.now())
    monkeypatch.setenv("TONGGUAN_LEDGER_RETENTION_YEARS", "3")
    assert command(moved, monkeypatch, "ledger", "retire", first.name, code=0)["restated"] > 0
    assert {name.split("/")[0] for name in moved.names()} == {"ledger-2", "ledger-3"}
    assert command(moved, monkeypatch, "ledger", "audit", "--db", code=0)["state"] == "proven"


class Always:
    """A lease that everybody holds: what is left to keep two machines apart."""

    def take(self) -> bool:
        return True

    def give_back(self) -> None:
        pass


def on_a_machine_of_its_own(world: World, lock: Path) -> Env:
    env = reopened(world).env
    line: Any = env.ledger
    log, files = line._log(line._read()[-1])
    log._lease, log._sequencer.fence, files._lock = Always(), lambda: True, lock
    return env


def test_two_machines_that_both_believe_they_write_leave_one_log(moved: Moved, tmp_path: Path) -> None:
    envs = [on_a_machine_of_its_own(moved.world, tmp_path / f"machine-{n}") for n in range(2)]
    before, told, barrier = moved.world.env.ledger.sync(), list[str](), threading.Barrier(2)

    def work(env: Env, name: str) -> None:
        for number in range(3):
            entry = test_line.act(env, f"{name}-{number}")
            barrier.wait()
            for _ in range(50):
                with suppress(LedgerUnavailable):
                    env.ledger.sync()
                    told.append(entry)
                    break

    threads = [threading.Thread(target=work, args=(env, f"m{n}")) for n, env in enumerate(envs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 6
    last = reopened(moved.world).env
    assert last.ledger.sync() == before + 6
    rows = sorted(moved.world.entries(), key=lambda row: row["position"])
    assert [row["position"] for row in rows] == list(range(before + 6))
    assert {row["entry_id"] for row in rows} >= set(told)
    verdict = moved.verdict()
    assert (verdict.state, verdict.size) == ("proven", before + 6)
    assert audited_line(last) == ()


def audited_line(env: Env) -> tuple[str, ...]:
    line: Any = env.ledger
    return env.uow.read(lambda tx: audit_chain(tx, line.facts())).wrong
