"""The whole path of one release, in MB/s of source data, and the share of each step.

    python -m tests.bench.release [--json] [--people N] [--sites N]

The source is made here: GT:DP:GQ for N people. Each step is timed where ``advance`` marks it; inside the transform and the
copy the share of DEFLATE, cipher and disk is measured apart, on the same bytes, so that what is left is what is ours.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import deflate
import numpy as np

from deid.variants import copy_view, core_view, plan_from_steps
from gateway.crypt4gh import generate_keypair, seal
from tests.world import Random, vcf_text

STEPS = [{"format": {"keep": ["GT", "DP", "GQ"]}}, {"info": {"keep": ["AC", "AN", "AF"]}}, {"filter": {"keep": True}}]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--sites", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    samples = [f"S{n:05d}" for n in range(given.people)]
    text = vcf_text(samples, np.random.default_rng(1), sites=given.sites)
    source = bgzip(text)
    runs = [measure(source, samples) for _ in range(given.runs)]
    median = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
    whole = sum(median[key] for key in ("transform", "copy", "seal", "disk"))
    foreign = sum(median[key] for key in ("inflate", "deflate", "seal", "disk"))
    row = {
        "task": f"{given.people} people, {given.sites} sites, GT:DP:GQ, {len(text) / 1e6:.1f} MB of text",
        "ours": {"cpu_s": round(whole, 3), "mb_s": round(len(text) / 1e6 / whole, 1), "peak_mb": peak()},
        "steps": {key: round(value, 3) for key, value in median.items()},
        "share_not_deflate_cipher_disk": round((whole - foreign) / whole, 3),
        "equal_output": None,
        "why": "no peer does this path",
        "runs": given.runs,
    }
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    print(
        json.dumps({"bench": "release", "machine": machine, "rows": [row]}) if given.json else json.dumps(row, indent=2)
    )


def measure(source: bytes, samples: list[str]) -> dict[str, float]:
    """CPU seconds of each step on the same bytes."""
    plan = plan_from_steps(STEPS, {})
    core, copied, sealed = io.BytesIO(), io.BytesIO(), io.BytesIO()
    codes = {name: f"{n:032x}" for n, name in enumerate(samples)}
    names = {code: f"P{n:020d}" for n, code in enumerate(codes.values())}
    took = {}
    took["transform"] = timed(lambda: core_view(plan, io.BytesIO(source), core, participants=codes))
    took["copy"] = timed(lambda: copy_view(io.BytesIO(core.getvalue()), copied, names=names))
    _, public = generate_keypair(Random())
    plain = io.BytesIO(copied.getvalue())
    took["seal"] = timed(lambda: seal(plain, sealed, readers=[public], session_key=os.urandom(32), random=Random()))
    took["disk"] = timed(lambda: to_disk(sealed.getvalue()))
    both = [unbgzip(source), unbgzip(core.getvalue())]
    took["inflate"] = timed(lambda: [unbgzip(source), unbgzip(core.getvalue())])
    took["deflate"] = timed(lambda: [bgzip(unbgzip(core.getvalue())), bgzip(both[1])]) - took["inflate"] / 2
    return took


def timed(work: Any) -> float:
    """CPU seconds, user and system."""
    before = time.process_time()
    work()
    return time.process_time() - before


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
    """Peak memory of this process, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
