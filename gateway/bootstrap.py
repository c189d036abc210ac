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
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
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
from gateway.journal import Journal
from gateway.keys import FileKeys, KeyName
from gateway.keys.further import Line, ml_dsa_line, sm2_line
from gateway.keys.token import TokenKeys, open_token
from gateway.ledger.embedded import LEASE_SECONDS, EmbeddedLedger
from gateway.ledger.files import DiskLogFiles
from gateway.ledger.line import OPEN, RETIRED, LineOfLogs, Origin
from gateway.ledger.pages import SealedPages
from gateway.ledger.sequencer import Sequencer
from gateway.ledger.side import Memory, SideRoot
from gateway.machine import TASKS
from gateway.machine import SystemClock as SystemClock
from gateway.machine import SystemRandomness as SystemRandomness
from gateway.origins import LogOrigins, line_of
from gateway.ports import Clock, Randomness, Signer, Tx
from gateway.sandbox.port import Limits, SandboxError
from gateway.sandbox.runner import ProcessSandbox
from gateway.settings import Settings
from gateway.staging import SealedStore, Staging
from gateway.store.outbox import SqlLease, SqlOutbox
from gateway.store.transactions import SqlUnitOfWork, open_engine
from gateway.telemetry import span
from gateway.times import legal_day
from gateway.verifier.audit import CHECKPOINT
from gateway.verifier.further import Sm2Key
from gateway.verifier.note import VerifierKey
from gateway.verifier.policy import WitnessKey, parse_policy
from gateway.witness import Cosigning
from gateway.witness_http import HttpPost
from policies.decide import load_policy

MARK = "home.json"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A home folder and its mark."""

    root: Path
    demo: bool
    origin: str

    @property
    def ledger(self) -> Path:
        """The published log, the first of the line."""
        return self.log(1)

    def log(self, number: int) -> Path:
        """The folder of the ``number``-th log (``gateway.ledger.line``)."""
        return self.root / ("ledger" if number == 1 else f"ledger-{number}")

    def facts(self, number: int) -> Path:
        """What was read of that log, sealed."""
        return self.root / ("facts" if number == 1 else f"facts-{number}")


def make_home(settings: Settings, *, demo: bool) -> Home:
    """Create folders, keys, database and ledger; a second run finds everything and changes nothing."""
    root = settings.home
    _private(root)
    for name in ("keys", "staging", "copies", "ledger"):
        _private(root / name)
    mark = root / MARK
    if mark.exists():
        home = read_home(settings)
        if home.demo != demo:
            raise BadInput("this home was made as a demo or as a real one, and stays what it is")
    else:
        year = legal_day(datetime.now(UTC)).year
        made = settings.origin or f"{'demo' if demo else 'tongguan'}-{secrets.token_hex(4)}.example/provisions-{year}"
        _write_private(mark, json.dumps({"demo": demo, "origin": made, "format": 1}) + "\n")
        home = read_home(settings)
    keys = open_keys(settings, SystemRandomness())
    keys.create_all()
    keys.add_custodian("gateway")
    migrate(settings)
    env, engine = open_env(settings)
    env.ledger.sync()
    engine.dispose()
    return home


def read_home(settings: Settings) -> Home:
    """The home at ``settings.home``. Raises BadInput when there is none."""
    try:
        body = json.loads((settings.home / MARK).read_text("utf-8"))
        return Home(root=settings.home, demo=bool(body["demo"]), origin=str(body["origin"]))
    except FileNotFoundError:
        raise BadInput(f"{settings.home}: there is no home here; make one with: tongguan init") from None
    except (OSError, ValueError, KeyError):
        raise BadInput(f"{settings.home / MARK}: cannot be read") from None


def database_url(settings: Settings) -> str:
    """The configured database, or SQLite in the home."""
    return settings.database_url or f"sqlite:///{settings.home / 'tongguan.sqlite'}"


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
    opened = _Logs(
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Logs:
    """Opens one log of the line."""

    settings: Settings
    keys: FileKeys
    uow: SqlUnitOfWork
    clock: Clock
    home: Home
    journal: Journal | None
    origins: LogOrigins
    halt: Callable[[], None]

    def open(self, one: Origin) -> tuple[EmbeddedLedger, DiskLogFiles]:
        """Its ledger and its files."""
        start, random = one.start or 0, SystemRandomness()
        files = DiskLogFiles(self.home.log(one.number), halt=self.halt)
        lease = SqlLease(self.uow, one.name, holder=random.token(16).hex(), clock=self.clock, seconds=LEASE_SECONDS)
        cosigning = open_cosigning(self.settings, files, self.clock)
        sequencer = Sequencer(
            outbox=SqlOutbox(self.uow, one.name, start=start),
            files=files,
            signer=next(self.keys.ledger_signers(one.name)),
            clock=self.clock,
            origin=one.name,
            fence=lease.take,
            floor=lambda: max(self._journalled(one), cosigning.floor() if cosigning else 0),
            signers=partial(signer_of, self.keys, one.name),
            further=[line for _, line in further_lines(self.settings, self.keys, one.name, random)],
        )
        journal = self.journal
        keep = (lambda _size: None) if journal is None else (lambda size: journal.append(start + size))
        pages = SealedPages(self.home.facts(one.number), origin=one.name, seal=self.keys.wrap, unseal=self.keys.unwrap)
        side = self._side(one, files)
        log = EmbeddedLedger(sequencer, files, lease, cosigners=cosigning, journal=keep, pages=pages, side=side)
        return log, files

    def _side(self, one: Origin, files: DiskLogFiles) -> Callable[[int], None]:
        """What keeps the SM3 side root, where the settings want one."""
        if not self.settings.sm3_root:
            return lambda _size: None
        key, line = sm2_line(one.name, _seed(self.keys, KeyName.LEDGER_SM2), SystemRandomness().token)
        kept = DiskLogFiles(self.home.facts(one.number))
        memory = Memory(kept, one.name, seal=self.keys.wrap, unseal=self.keys.unwrap)
        return SideRoot(files, key, line, clock=self.clock, memory=memory).advance

    def _journalled(self, one: Origin) -> int:
        """How many entries of this log the journal has."""
        end = 0 if self.journal is None else self.journal.end()
        ceiling = self.origins.ceiling(one.name)
        return (end if ceiling is None else min(end, ceiling)) - (one.start or 0)


def open_origins(home: Home, keys: FileKeys, uow: SqlUnitOfWork, clock: Clock, random: Randomness) -> LogOrigins:
    """The line of logs of a home."""

    def next_key(name: str) -> bytes:
        return next(keys.ledger_signers(name)).public_key

    return LogOrigins(uow, first=home.origin, clock=clock, random=random, next_key=next_key)


def begun_logs(settings: Settings, tx: Tx) -> list[tuple[Origin, Path]]:
    """Every log of the home that has a tree and is not retired, the oldest first, each with its folder."""
    home = read_home(settings)
    first = Origin(number=1, name=home.origin, start=0, size=0, root=b"", year=0, state=OPEN)
    line = [one for one in line_of(tx) or [first] if one.state != RETIRED and one.start is not None]
    placed = [(one, home.log(one.number)) for one in line]
    return [(one, at) for one, at in placed if one.size or one.number == 1 or (at / CHECKPOINT).exists()]


def open_keys(settings: Settings, random: Randomness) -> FileKeys:
    """The keys of the home; the log's own in a token where the settings name one."""
    root = settings.home / "keys"
    if settings.pkcs11_module is None:
        return FileKeys(root, random)
    token = open_token(settings.pkcs11_module, settings.pkcs11_token, settings.pkcs11_pin_file)
    return TokenKeys(root, random, token)


def further_lines(
    settings: Settings, keys: FileKeys, origin: str, random: Randomness
) -> list[tuple[WitnessKey | Sm2Key, Line]]:
    """The lines that the settings want, each with its public key; a key is made when it is first wanted."""
    made: list[tuple[WitnessKey | Sm2Key, Line]] = []
    for kind in filter(None, settings.further_lines.split(",")):
        name = KeyName.LEDGER_ML_DSA if kind == "ml-dsa" else KeyName.LEDGER_SM2
        seed = _seed(keys, name)
        made.append(ml_dsa_line(origin, seed) if kind == "ml-dsa" else sm2_line(origin, seed, random.token))
    return made


def _seed(keys: FileKeys, name: KeyName) -> bytes:
    """A further key, made when it is first wanted."""
    if not keys.versions(name):
        keys.rotate(name)
    return keys.secret(name)


def signer_of(keys: FileKeys, origin: str, key: VerifierKey) -> Signer | None:
    """The signing key whose public half that is, or None."""
    return next((one for one in keys.ledger_signers(origin) if one.public_key == key.public_key), None)


def open_journal(settings: Settings, home: Home, keys: FileKeys, uow: SqlUnitOfWork) -> Journal | None:
    """The journal of the settings, or None."""
    return None if settings.journal is None else Journal(settings.journal, keys=keys, uow=uow, origin=home.origin)


def open_cosigning(settings: Settings, files: DiskLogFiles, clock: Clock) -> Cosigning | None:
    """The witnesses of the settings' policy, or None. Raises BadInput for a policy that cannot be read."""
    if not settings.witness_policy:
        return None
    try:
        policy = parse_policy(Path(settings.witness_policy).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{settings.witness_policy}: {error}", code="bad_setting") from None
    posts = {name: HttpPost(address) for name, address in policy.addresses.items()}
    return Cosigning(files, policy, posts, clock=clock)


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
                return self._sandbox.run_bounded(task, spec, inputs=given, outputs=outputs, limits=self._limits)
        except SandboxError as error:
            if error.from_task:
                raise BadInput(str(error), code=error.code) from None
            if error.code in {"memory_exceeded", "time_exceeded", "task_crashed", "task_killed"}:
                raise BadInput(
                    f"the file could not be read within its limits ({error.code})", code=error.code
                ) from None
            raise Unavailable(f"the sandbox could not do its work ({error.code})") from None


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


def _private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)


def _write_private(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


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
