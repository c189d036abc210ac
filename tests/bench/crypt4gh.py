"""Crypt4GH against the ``crypt4gh`` package: paired runs in one process, outputs opened by the other side.

    python tests/bench/crypt4gh.py [--megabytes 256] [--runs 3]

Prints one JSON object in the shape of the project's benchmark files. Sources and sinks are files in memory where the
system has such a folder, so that the disk is not what is measured. Each side opens what the other sealed.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

# This file carries the package's name: run as a script, its own folder would be searched first.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

from crypt4gh import lib, sodium  # noqa: E402

from gateway.crypt4gh import open_sealed, seal  # noqa: E402

Task = Callable[[], None]


class SystemRandom:
    def token(self, size: int) -> bytes:
        return os.urandom(size)


def measured(task: Task, megabytes: float) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    task()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": cpu, "wall_s": wall, "mb_s": megabytes / wall, "peak_mb": peak}


def middle(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(row[key] for row in rows), 4) for key in rows[0]}


def paired(name: str, ours: Task, peer: Task, same: Callable[[], bool], options: argparse.Namespace) -> dict[str, Any]:
    first, second = [], []
    for turn in range(options.runs):
        for which in ((0, 1), (1, 0))[turn % 2]:
            (second if which else first).append(measured(peer if which else ours, options.megabytes))
    mine, theirs = middle(first), middle(second)
    return {
        "task": name,
        "ours": mine,
        "peer": {"name": "crypt4gh", "version": version("crypt4gh"), **theirs},
        "ratio_cpu": round(theirs["cpu_s"] / mine["cpu_s"], 3),
        "ratio_wall": round(theirs["wall_s"] / mine["wall_s"], 3),
        "runs": options.runs,
        "equal_output": same(),
    }


def digest(path: Path) -> bytes:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "blake2b").digest()


class Bench:
    """One folder with a plain file, and the four works on it."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self.private = os.urandom(32)
        self.public = bytes(sodium.derive_pk(self.private))
        with (folder / "plain").open("wb") as sink:
            for _ in range(megabytes):
                sink.write(os.urandom(1 << 20))

    def seal_ours(self) -> None:
        with (self.folder / "plain").open("rb", 0) as source, (self.folder / "ours").open("wb", 0) as sink:
            seal(source, sink, readers=[self.public], session_key=os.urandom(32), random=SystemRandom())

    def seal_peer(self) -> None:
        with (self.folder / "plain").open("rb", 0) as source, (self.folder / "peer").open("wb", 0) as sink:
            lib.encrypt([(0, os.urandom(32), self.public)], source, sink)

    def open_ours(self) -> None:
        buffer = memoryview(bytearray(1 << 20))
        with (self.folder / "peer").open("rb", 0) as source, (self.folder / "ours.plain").open("wb", 0) as sink:
            reader = open_sealed(source, self.private)
            assert isinstance(reader, io.BufferedReader)
            while got := reader.readinto(buffer):
                sink.write(buffer[:got])

    def open_peer(self) -> None:
        with (self.folder / "ours").open("rb", 0) as source, (self.folder / "peer.plain").open("wb", 0) as sink:
            lib.decrypt([(0, self.private, None)], source, sink)

    def same(self) -> bool:
        plain = digest(self.folder / "plain")
        return plain == digest(self.folder / "ours.plain") == digest(self.folder / "peer.plain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        bench = Bench(Path(folder), options.megabytes)
        bench.seal_ours(), bench.seal_peer(), bench.open_ours(), bench.open_peer()
        rows = [
            paired("seal", bench.seal_ours, bench.seal_peer, bench.same, options),
            paired("open", bench.open_ours, bench.open_peer, bench.same, options),
        ]
    machine = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("cryptography", "crypt4gh")},
    }
    sys.stdout.write(json.dumps({"bench": "crypt4gh", "machine": machine, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
