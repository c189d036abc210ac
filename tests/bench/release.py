"""The whole path of one release, from request to the recipient's disk, in MB/s of source data, and each step's share.

    ./run bench release [--json] [--people N] [--sites N]

A house is made on SQLite with a VCF of N people (GT:DP:GQ), everything is granted, the prepared core view is shredded, and
then one release goes the whole path in this process and its sandboxed children: decide, transform, assess and leak
check, copy, seal, record, publish, hand over. Seconds are CPU seconds of this process and all its children. What DEFLATE,
cipher and disk cost is measured apart on the very bytes of each step; the rest is ours.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deflate
import numpy as np

from gateway import filings, handover, release
from gateway.bootstrap import open_env
from gateway.crypt4gh import generate_keypair, open_sealed, seal
from tests.bench.vcf import write_source
from tests.world import CONSENT, MANIFEST, Random, World, make_world

STEPS = {
    "before-requested": "decide",
    "before-decided": "transform, assess, leak check",
    "before-prepared": "copy and seal",
    "before-sealed": "record",
    "before-recorded": "publish",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--sites", type=int, default=40000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = _source(Path(folder) / "source", given.people, given.sites)
        world = make_world(Path(folder), source=source)
        _reviewed(world)
        item = world.granted()
        runs = [_whole_path(world, item) for _ in range(given.runs)]
        size = _text_size(source)
    median = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
    print_result(given, median, size)


def print_result(given: argparse.Namespace, median: dict[str, float], size: int) -> None:
    """One row in the shape all benchmarks print."""
    steps = {key: round(median[key], 3) for key in (*STEPS.values(), "hand over")}
    foreign = {key: round(median[key], 3) for key in ("inflate", "deflate", "cipher", "disk")}
    whole = sum(steps.values())
    row = {
        "task": f"{given.people} people, {given.sites} sites, GT:DP:GQ, {size / 1e6:.1f} MB of text, request to disk",
        "ours": {"cpu_s": round(whole, 3), "mb_s": round(size / 1e6 / whole, 1), "peak_mb": peak()},
        "wall_s": round(median["wall"], 3),
        "mb_s_wall": round(size / 1e6 / median["wall"], 1),
        "steps_cpu_s": steps,
        "share": {key: round(value / whole, 3) for key, value in steps.items()},
        "not_ours_cpu_s": foreign,
        "share_not_deflate_cipher_disk": round((whole - sum(foreign.values())) / whole, 3),
        "equal_output": None,
        "why": "no peer does this path",
        "runs": given.runs,
    }
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    whole_answer = {"bench": "release", "machine": machine, "rows": [row]}
    print(json.dumps(whole_answer) if given.json else json.dumps(row, indent=2))


def _whole_path(world: World, item: str) -> dict[str, float]:
    core = world.env.uow.read(lambda tx: tx.find("core_view"))[0]
    world.env.uow.run(lambda tx: tx.update("core_view", core["id"], state="shredded"))
    world.env.staging.shred(core["id"])
    marks: list[tuple[str, float]] = []
    env, engine = open_env(
        world.settings,
        clock=world.clock,
        reached=lambda point: marks.append((point, cpu())) if point in STEPS else None,
    )
    began = time.monotonic()
    row = release.request_release(env, world.people["researcher"], item_id=item, view_id=world.views["variants"])
    done = release.advance(env, row["id"])
    assert done["state"] == "available", done["trouble"]
    marks.append(("available", cpu()))
    sealed = _fetched(world, env, done["id"])
    marks.append(("end", cpu()))
    took = {STEPS[point]: later - at for (point, at), (_, later) in itertools.pairwise(marks) if point in STEPS}
    took["hand over"] = marks[-1][1] - marks[-2][1]
    took["wall"] = time.monotonic() - began
    plain = open_sealed(io.BytesIO(sealed), world.private["researcher"]).read()
    engine.dispose()
    return took | _not_ours(world, plain, sealed)


def _reviewed(world: World) -> None:
    """More than 500 exomes or genomes need a security review (HGR-17)."""
    review = filings.NewFiling(
        kind="security-review",
        number="SR-1",
        dataset_id=world.ids["dataset"],
        recipient_id=world.people["researcher"].institution_id,
        terms={"accepted_on": "2026-01-05", "outcome": "passed"},
    )
    filings.record_filing(world.env, world.people["filer"], review)


def _fetched(world: World, env: Any, release_id: str) -> bytes:
    """Every byte through the use case that the API streams from, charged and settled as there."""
    entry = handover.list_files(env, world.people["researcher"], release_id)[0]
    opened = handover.open_file(env, world.people["researcher"], release_id, entry["name"])
    out = io.BytesIO()
    with env.copies.open(opened.stored) as stored:
        while chunk := stored.read(handover.CHUNK):
            if out.tell() % handover.CHARGE == 0:
                handover.charge(env, opened, start=out.tell(), end=min(out.tell() + handover.CHARGE, opened.size))
            out.write(chunk)
    handover.settle(env, opened, sent=(0, opened.size))
    with tempfile.NamedTemporaryFile() as file:
        file.write(out.getvalue())
    return out.getvalue()


def _not_ours(world: World, plain: bytes, sealed: bytes) -> dict[str, float]:
    """The same amounts of inflate, deflate, cipher and disk, by the packages alone.

    Inflated: source once; core by assess, leak check and copy. Deflated: core and copy. Staging encrypts the core once
    and opens it three times, the copy once each; the sealed copy is written once. On disk: core, copy, sealed copy, and
    the recipient's.
    """
    source = Path(world.env.uow.read(lambda tx: tx.get("dataset", world.ids["dataset"]))["root"]) / "cohort.vcf.gz"
    raw = source.read_bytes()
    text = unbgzip(plain)
    _, public = generate_keypair(Random())
    inflate = timed(lambda: unbgzip(raw)) + 3 * timed(lambda: unbgzip(plain))
    sealing = timed(
        lambda: seal(io.BytesIO(plain), io.BytesIO(), readers=[public], session_key=os.urandom(32), random=Random())
    )
    return {
        "inflate": inflate,
        "deflate": 2 * timed(lambda: bgzip(text)),
        "cipher": 7 * sealing,
        "disk": 4 * timed(lambda: to_disk(sealed)),
    }


def _source(folder: Path, people: int, sites: int) -> Path:
    """The cohort of the VCF benchmark, with sheet, consents and manifest."""
    folder.mkdir(parents=True)
    names = write_source(folder / "cohort.vcf.gz", samples=people, sites=sites, rich=True)
    rows = [f"{name},P-{name},cohort.vcf.gz" for name in names]
    (folder / "samples.csv").write_text("\n".join(["sample,participant,file", *rows, ""]))
    columns = ["participant", "birth_date", *CONSENT]
    lines = [",".join([f"P-{name}", "1970-03-04", *CONSENT.values()]) for name in names]
    (folder / "consent.csv").write_text("\n".join([",".join(columns), *lines, ""]))
    manifest = MANIFEST.replace("cohort.vcf", "cohort.vcf.gz").replace("participants: 40", f"participants: {people}")
    (folder / "manifest.yaml").write_text(manifest)
    return folder


def _text_size(source: Path) -> int:
    return len(unbgzip((source / "cohort.vcf.gz").read_bytes()))


def cpu() -> float:
    """CPU seconds so far of this process and its ended children."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def timed(work: Callable[[], Any]) -> float:
    """CPU seconds of one act."""
    before = cpu()
    work()
    return cpu() - before


def to_disk(data: bytes) -> None:
    """Write and sync."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "x").open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def bgzip(text: bytes, block: int = 65280) -> bytes:
    """BGZF blocks at level 6, by the package alone."""
    out = []
    for start in range(0, len(text), block):
        chunk = text[start : start + block]
        body = bytes(deflate.deflate_compress(chunk, 6))
        head = bytes.fromhex("1f8b08040000000000ff060042430200") + (len(body) + 25).to_bytes(2, "little")
        out.append(head + body + deflate.crc32(chunk).to_bytes(4, "little") + len(chunk).to_bytes(4, "little"))
    return b"".join(out) + bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def unbgzip(data: bytes) -> bytes:
    """Inflate every block, by the package alone."""
    out, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 16 : at + 18], "little") + 1
        plain = int.from_bytes(data[at + size - 4 : at + size], "little")
        if plain:
            out.append(bytes(deflate.deflate_decompress(data[at + 18 : at + size - 8], plain)))
        at += size
    return b"".join(out)


def peak() -> int:
    """Peak memory of the largest of this process and its children, MB."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024


if __name__ == "__main__":
    main()
