"""Join the ports: settings to ``Env``. The only module that knows connectors, and what stands behind each port.

A home is made once: folders 0700, keys 0600, database created and synced, the ledger with its own origin and first
checkpoint. Opening a home that is not one says so. A demo home carries its mark for good and cannot be promoted.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

from connectors.errors import ConnectorError
from connectors.objects import LocalObjects
from gateway.crypt4gh.streams import Source
from gateway.env import Env, Objects
from gateway.errors import BadInput, Unavailable
from gateway.hashing import size_of
from gateway.home import MARK, Home, database_url, make_private, read_home, write_private
from gateway.house_logs import Logs, open_journal, open_keys, open_origins
from gateway.ledger.line import LineOfLogs
from gateway.machine import TASKS, SystemClock, SystemRandomness
from gateway.sandbox.port import Limits, SandboxError
from gateway.sandbox.runner import ProcessSandbox
from gateway.settings import Settings
from gateway.staging import SealedStore, Staging
from gateway.store.transactions import SqlUnitOfWork, open_engine
from gateway.telemetry import span
from gateway.times import legal_day
from policies.decide import load_policy

BYTES_A_SECOND = 4 << 20
"""What a child is given a second for beyond its fixed share; every BAM path reads several times that in one."""
T = TypeVar("T")


def make_home(settings: Settings, *, demo: bool) -> Home:
    """Create folders, keys, database and ledger; a second run finds everything and changes nothing."""
    root = settings.home
    make_private(root)
    for name in ("keys", "staging", "copies", "ledger"):
        make_private(root / name)
    mark = root / MARK
    if mark.exists():
        home = read_home(settings)
        if home.demo != demo:
            raise BadInput("this home was made as a demo or as a real one, and stays what it is")
    else:
        year = legal_day(datetime.now(UTC)).year
        made = settings.origin or f"{'demo' if demo else 'tongguan'}-{secrets.token_hex(4)}.example/provisions-{year}"
        write_private(mark, json.dumps({"demo": demo, "origin": made, "format": 1}) + "\n")
        home = read_home(settings)
    keys = open_keys(settings, SystemRandomness())
    keys.create_all()
    keys.add_custodian("gateway")
    migrate(settings)
    env, engine = open_env(settings)
    env.ledger.sync()
    engine.dispose()
    return home


def migrate(settings: Settings) -> None:
    """Bring the database to the newest migration. A new SQLite file is created and synced at once."""
    url = database_url(settings)
    if url.startswith("sqlite:///"):
        _create_synced(Path(url.removeprefix("sqlite:///")))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "store" / "migrations"))
    config.attributes["engine"] = engine = open_engine(url)
    try:
        command.upgrade(config, "head")
    finally:
        engine.dispose()


def open_env(
    settings: Settings,
    *,
    clock: Any = None,
    reached: Callable[[str], None] | None = None,
    limits: Limits | None = None,
    halt: Callable[[], None] = lambda: None,
) -> tuple[Env, Engine]:
    """Everything a use case needs, over an existing home; the engine is the caller's to dispose of.

    ``halt`` ends the process after a failed sync of the ledger.
    """
    home = read_home(settings)
    random = SystemRandomness()
    keys = open_keys(settings, random)
    engine = open_engine(database_url(settings))
    uow = SqlUnitOfWork(engine, halt=halt)
    used_clock = clock or SystemClock()
    journal = open_journal(settings, home, keys, uow)
    origins = open_origins(home, keys, uow, used_clock, random)
    opened = Logs(
        settings=settings, keys=keys, uow=uow, clock=used_clock, home=home, journal=journal, origins=origins, halt=halt
    )
    env = Env(
        uow=uow,
        clock=used_clock,
        random=random,
        ledger=LineOfLogs(origins, opened.open, used_clock),
        keys=keys,
        sandbox=_Sandboxed(ProcessSandbox(tasks=TASKS), limits or Limits()),
        staging=Staging(home.root / "staging", keys, random),
        copies=SealedStore(home.root / "copies"),
        objects=_Opened,
        policies=load_policy,
        reached=reached or (lambda _point: None),
        demo=home.demo,
        settings=settings.model_dump(include={"session_hours", "token_minutes", "epoch_poll_seconds", "places"}),
    )
    return env, engine


class _Sandboxed:
    """``env.Sandbox`` over the process sandbox: a task's own refusal is bad input, anything else is our trouble."""

    def __init__(self, sandbox: ProcessSandbox, limits: Limits) -> None:
        self._sandbox, self._limits = sandbox, limits

    def __call__(
        self, task: str, spec: Mapping[str, Any], *, inputs: Mapping[str, BinaryIO], outputs: Mapping[str, BinaryIO]
    ) -> Any:
        """Run one task; see ``env.Sandbox``."""
        try:
            with span("sandbox", task=task):
                given = cast("Mapping[str, Source | int]", inputs)
                limits = longer(self._limits, sum(map(size_of, inputs.values())))
                return self._sandbox.run_bounded(task, spec, inputs=given, outputs=outputs, limits=limits)
        except SandboxError as error:
            if error.from_task:
                raise BadInput(str(error), code=error.code) from None
            if error.code in {"memory_exceeded", "time_exceeded", "task_crashed", "task_killed"}:
                raise BadInput(
                    f"the file could not be read within its limits ({error.code})", code=error.code
                ) from None
            raise Unavailable(f"the sandbox could not do its work ({error.code})") from None


def longer(limits: Limits, size: int) -> Limits:
    """The same for work on ``size`` bytes: a whole genome takes longer than a table and is no attack for that."""
    more = size // BYTES_A_SECOND
    return replace(limits, cpu_seconds=limits.cpu_seconds + more, wall_seconds=limits.wall_seconds + 2 * more)


class _Opened:
    """Local objects whose refusals are the gateway's."""

    def __init__(self, root: str) -> None:
        try:
            self._objects: Objects = LocalObjects(root)
        except ConnectorError as error:
            raise BadInput(str(error), code=error.code) from None

    def open(self, path: str) -> BinaryIO:
        """See ``connectors.objects``."""
        return self._told(lambda: self._objects.open(path))

    def list(self) -> list[str]:
        """See ``connectors.objects``."""
        return self._told(self._objects.list)

    def checksum(self, path: str) -> str:
        """See ``connectors.objects``."""
        return self._told(lambda: self._objects.checksum(path))

    def size(self, path: str) -> int:
        """See ``connectors.objects``."""
        return self._told(lambda: self._objects.size(path))

    def _told(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except ConnectorError as error:
            raise BadInput(str(error), code=error.code) from None


def _create_synced(path: Path) -> None:
    """SQLite swallows a failed sync of the folder when it makes its files lazily; so they are made and synced here."""
    if path.exists():
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.fsync(handle)
    os.close(handle)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
