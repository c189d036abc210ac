"""How fast the ledger writes, proves and reads back: ``python tests/bench/ledger.py [--events N] [--json]``.

Durability is on: every file is fsynced and renamed, every folder fsynced. The outbox is in memory, so the database's
share is not in these figures. One process, closed loop, medians of three runs; the outputs are compared where there
is something to compare them with.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.ledger import DiskLogFiles, FactIndex, Sequencer, make_receipt, verifier_key
from gateway.ports import PendingEntry
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
    options = parser.parse_args()
    bodies = [f'{{"kind":"open","seq":{n:09}}}'.encode().ljust(ENTRY, b"0") for n in range(options.events)]
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
    show(rows, as_json=options.json)


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


def measure(task: str, events: int, run: Callable[[], bool]) -> dict[str, Any]:
    walls, cpus, equal = [], [], True
    for _ in range(RUNS):
        wall, cpu = time.perf_counter(), time.process_time()
        equal = run() and equal
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    wall = statistics.median(walls)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ours = {"cpu_s": statistics.median(cpus), "wall_s": wall, "events_s": events / wall, "peak_mb": peak}
    return {"task": task, "events": events, "ours": ours, "peer": None, "runs": RUNS, "equal_output": equal}


def show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "versions": {}}
    if as_json:
        sys.stdout.write(json.dumps({"bench": "ledger", "machine": machine, "rows": rows}) + "\n")
        return
    for row in rows:
        ours = row["ours"]
        sys.stdout.write(
            f"{row['task']:28} {row['events']:>8} {ours['events_s']:>12,.0f}/s  cpu {ours['cpu_s']:.2f} s  "
            f"wall {ours['wall_s']:.2f} s  equal {row['equal_output']}\n"
        )


if __name__ == "__main__":
    main()
