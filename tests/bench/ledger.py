"""How fast the ledger writes, proves and reads back: ``python -m tests.bench.ledger [--events N] [--json]``.

Durability is on: every file is fsynced and renamed, every folder fsynced. In "sequence" the outbox is in memory, so the
database's share is not in it. "writers" commit through the real outbox on SQLite (WAL, synchronous=FULL), threads of
one process, closed loop, while one more thread sequences and signs; they count what is committed and signed. Their peer
is the same with a commit and a sync of its own for every event. "receipt" is the time from before the commit to the
receipt in hand. "home" is a whole home with a database of as many entries, one in five a fact: sequenced through the
database, then the command ``tongguan ledger status`` from its start to its end, which reads what a server reads before
its first answer. Medians of three runs; the outputs are compared where there is something to compare them with.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from gateway.bootstrap import make_home, open_env
from gateway.env import Env
from gateway.ledger import DiskLogFiles, FactIndex, Sequencer, make_receipt, verifier_key
from gateway.ledger.embedded import EmbeddedLedger
from gateway.ports import PendingEntry, Tx
from gateway.settings import Settings
from gateway.store.outbox import SqlLease, SqlOutbox
from gateway.store.tables import metadata
from gateway.store.transactions import SqlUnitOfWork, open_engine
from gateway.verifier import merkle, verify_log
from gateway.verifier.note import parse_checkpoint

RUNS = 3
ENTRY = 1024


class Key:
    name = "bench.example/2026"
    _key = Ed25519PrivateKey.generate()
    public_key = _key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Outbox:
    """Entries in memory, positioned ``batch`` at a time."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self.bodies, self.positioned, self.size = bodies, 0, 0

    def waiting(self) -> bool:
        return len(self.bodies) > self.size

    def assign_positions(self, limit: int) -> int:
        given = min(limit, len(self.bodies) - self.positioned)
        self.positioned += given
        return given

    def positioned_from(self, position: int, limit: int) -> Sequence[PendingEntry]:
        end = min(self.positioned, position + limit)
        return [PendingEntry(entry_id="", body=self.bodies[n], position=n) for n in range(position, end)]

    def published_size(self) -> int:
        return self.size

    def publish(self, *, size: int, root: bytes, expected_size: int) -> bool:
        self.size = size if self.size == expected_size else self.size
        return self.size == size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--part", choices=("tree", "home", "writers"), action="append", help="only that; may be repeated"
    )
    parser.add_argument("--keep", type=Path, help="where a home of that size is kept from one run to the next")
    options = parser.parse_args()
    parts = {
        "tree": lambda: tree(options.events),
        "home": lambda: home(options.events, options.keep),
        "writers": writers,
    }
    show([row for name in options.part or parts for row in parts[name]()], as_json=options.json)


def tree(events: int) -> list[dict[str, Any]]:
    """The log alone, over an outbox in memory."""
    bodies = [f'{{"kind":"open","seq":{n:09}}}'.encode().ljust(ENTRY, b"0") for n in range(events)]
    root = merkle.root([merkle.leaf_hash(body) for body in bodies])
    rows = []
    for batch in (1, 64, 256, 4096):
        part = bodies if batch >= 256 else bodies[: batch * 500]
        rows.append(measure(f"sequence, batch {batch}", len(part), lambda p=part, b=batch: sequence(p, b)))
    with tempfile.TemporaryDirectory() as folder:
        key = Key()
        files = grow(Path(folder), bodies, 4096, key)
        vkey = str(verifier_key(key))
        rows.append(measure("full audit", len(bodies), lambda: audit(Path(folder), vkey, root)))
        rows.append(measure("fact index from nothing", len(bodies), lambda: FactIndex(files).refresh() == len(bodies)))
        middle = len(bodies) // 2
        rows.append(measure("receipts", 200, lambda: all(make_receipt(files, middle + n) for n in range(200))))

    return rows


def writers() -> list[dict[str, Any]]:
    """Commits through the outbox while one thread signs, and the wait for a receipt."""
    rows = []
    for count in (1, 8, 64):
        rows.append(measure(f"writers, {count}", 0, partial(through_outbox, writers=count)))
        alone = measure("", 0, partial(through_outbox, writers=count, together=False))
        rows[-1]["peer"] = {"name": "a commit for each event", "version": "", **alone["ours"]}
        rows[-1]["ratio_events"] = rows[-1]["ours"]["events_s"] / alone["ours"]["events_s"]
    return [*rows, measure("receipt, 8 writers", 0, partial(through_outbox, writers=8, receipts=True))]


def home(events: int, kept: Path | None) -> list[dict[str, Any]]:
    """A home with that many entries: how long sequencing them takes, and how long a start over them.

    With ``kept`` the home stays there, and where it is there already only the start and the audit are measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=(kept or Path(folder)) / "home", journal=None)
        rows = [] if settings.home.exists() else [filled(settings, events)]
        size = made_size(settings)
        rows.append(measure("home, restart", size, partial(status, settings, size)))
        ledger = settings.home / "ledger"
        vkey = (ledger / "log.vkey").read_text("ascii")
        return [*rows, measure("home, audit", size, lambda: verify_log(ledger, key=vkey).state == "proven", runs=1)]


def filled(settings: Settings, events: int) -> dict[str, Any]:
    """Make the home and sequence its entries; only the sequencing is in the figure."""
    make_home(settings, demo=False)
    env, engine = open_env(settings)
    fill(env, engine, events)
    before = made_size(settings)
    row = measure("home, sequence", events, lambda: env.ledger.sync() == before + events, runs=1)
    engine.dispose()
    return row


def fill(env: Env, engine: Engine, events: int) -> None:
    """The outbox with so many rows more, in no figure; past the mapper, which would take as long as what is measured."""
    names = [column.name for column in metadata.tables["outbox"].columns if column.name != "seq"]
    insert = f"INSERT INTO outbox ({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)})"  # noqa: S608
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-400000"):
            raw.execute(f"PRAGMA {pragma}")
        raw.executemany(insert, (home_row(env, number) for number in range(events)))
        raw.commit()
    engine.dispose()  # what measures comes with the gateway's own settings


def made_size(settings: Settings) -> int:
    return parse_checkpoint((settings.home / "ledger" / "checkpoint").read_bytes()).size


def status(settings: Settings, size: int) -> bool:
    """The command's own process, imports and all."""
    command = [str(Path(sys.executable).with_name("tongguan")), "ledger", "status", "--json"]
    # As it is installed: with its bytecode, which the first of three runs writes where there is none.
    environment = os.environ | {"TONGGUAN_HOME": str(settings.home)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return bool(json.loads(done.stdout)["size"] == size)


def home_row(env: Env, number: int) -> dict[str, Any]:
    row = row_of(env.new_id())
    said: dict[str, Any] = {"id": row["entry_id"], "at": "2026-01-01T00:00:00+00:00", "public": {}}
    if number % 5 == 0:
        about = {"table": "person", "row": env.new_id(), "version": 1, "scopes": [f"{number % 1000:032x}"]}
        said |= {"public": {"fact": about}, "personal": {"root": base64.b64encode(bytes(32)).decode()}}
    body = json.dumps(said, separators=(",", ":")).encode().ljust(ENTRY)
    return row | {"body": body, "leaf_hash": merkle.leaf_hash(body)}


SECONDS = 3.0


def through_outbox(*, writers: int, receipts: bool = False, together: bool = True) -> Figures:
    """Writers that commit for a few seconds while one sequencer signs; all that was committed is signed in the end."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/bench.sqlite")
        metadata.create_all(engine)
        uow, files = SqlUnitOfWork(engine), DiskLogFiles(Path(folder) / "ledger")
        if not together:
            uow._together = None
        lease = SqlLease(uow, Key.name, holder="bench", clock=Clock(), seconds=3.0)
        outbox = SqlOutbox(uow, Key.name)
        ledger = EmbeddedLedger(
            Sequencer(outbox=outbox, files=files, signer=Key(), clock=Clock(), origin=Key.name), files, lease
        )
        ledger.sync()
        until, done, waits = time.perf_counter() + SECONDS, [0] * writers, list[float]()

        def write(number: int) -> None:
            while time.perf_counter() < until:
                began = time.perf_counter()
                entry_id = f"{number}-{done[number]}"
                uow.run(partial(commit, entry_id=entry_id))
                done[number] += 1
                if receipts:
                    ledger.sync()
                    ledger.receipt(uow.read(partial(position, entry_id=entry_id)))
                    waits.append(time.perf_counter() - began)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.25)
            ledger.sync()
        size = ledger.sync()
        spent = time.perf_counter() - began
        engine.dispose()
        p99 = sorted(waits)[int(len(waits) * 0.99)] if waits else None
        return Figures(events=sum(done), wall=spent, p99=p99, equal=size == sum(done))


def commit(tx: Tx, *, entry_id: str) -> None:
    tx.insert("outbox", row_of(entry_id))


def position(tx: Tx, *, entry_id: str) -> int:
    return int(tx.find("outbox", entry_id=entry_id)[0]["position"])


def row_of(entry_id: str) -> dict[str, Any]:
    body = f'{{"id":"{entry_id}"}}'.encode().ljust(ENTRY)
    row = {"entry_id": entry_id, "kind": "open", "type": "bench", "custodian_id": "c", "about": None, "body": body}
    return row | {"leaf_hash": merkle.leaf_hash(body), "position": None, "at": None, "origin": None}


def sequence(bodies: Sequence[bytes], batch: int) -> bool:
    """A durable log in a fresh folder; True where its root is the root of the entries."""
    with tempfile.TemporaryDirectory() as folder:
        files = grow(Path(folder), bodies, batch, Key())
        signed = files.read("checkpoint")
        assert signed is not None
        return parse_checkpoint(signed).root == merkle.root([merkle.leaf_hash(body) for body in bodies])


def grow(folder: Path, bodies: Sequence[bytes], batch: int, key: Key) -> DiskLogFiles:
    files = DiskLogFiles(folder)
    sequencer = Sequencer(outbox=Outbox(bodies), files=files, signer=key, clock=Clock(), origin=key.name, batch=batch)
    while sequencer.run_once():
        pass
    return files


def audit(folder: Path, vkey: str, root: bytes) -> bool:
    verdict = verify_log(folder, key=vkey)
    return verdict.state == "proven" and verdict.root_b64 == base64.b64encode(root).decode()


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a run counted itself."""

    events: int
    wall: float
    p99: float | None
    equal: bool


def measure(task: str, events: int, run: Callable[[], bool | Figures], *, runs: int = RUNS) -> dict[str, Any]:
    walls, cpus, counts, tails, equal = [], [], [], [], True
    for _ in range(runs):
        wall, cpu = time.perf_counter(), cpu_seconds()
        found = run()
        walls.append(found.wall if isinstance(found, Figures) else time.perf_counter() - wall)
        cpus.append(cpu_seconds() - cpu)
        counts.append(found.events if isinstance(found, Figures) else events)
        tails += [found.p99] if isinstance(found, Figures) and found.p99 is not None else []
        equal = (found.equal if isinstance(found, Figures) else found) and equal
    wall, events = statistics.median(walls), int(statistics.median(counts))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ours = {"cpu_s": statistics.median(cpus), "wall_s": wall, "events_s": events / wall, "peak_mb": peak}
    ours |= {"p99_s": max(tails)} if tails else {}
    return {"task": task, "events": events, "ours": ours, "peer": None, "runs": runs, "equal_output": equal}


def cpu_seconds() -> float:
    """Of this process and of its ended children."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "versions": {}}
    if as_json:
        sys.stdout.write(json.dumps({"bench": "ledger", "machine": machine, "rows": rows}) + "\n")
        return
    for row in rows:
        ours = row["ours"]
        sys.stdout.write(
            f"{row['task']:28} {row['events']:>8} {ours['events_s']:>12,.0f}/s  cpu {ours['cpu_s']:.2f} s  "
            f"wall {ours['wall_s']:.2f} s  "
            + (f"p99 {ours['p99_s']:.2f} s  " if "p99_s" in ours else "")
            + (f"ratio {row['ratio_events']:.2f}  " if row["peer"] else "")
            + f"equal {row['equal_output']}\n"
        )


if __name__ == "__main__":
    main()
