"""FASTQ core view against compression alone: what renaming and binning cost on top of inflate and deflate.

The peer is the same reading and the same libdeflate level through the same code with the records untouched, so that the
ratio is the price of de-identifying and of nothing else.

Run: python -m tests.bench.fastq [--json] [--reads N] [--runs N]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
from pathlib import Path

from deid.bgzf import EOF_BLOCK, cut_blocks, deflate_blocks
from tests.bench.reads import threads_row, with_byte_code
from tests.bench.vcf import measure

OURS = """
import json, sys
from deid.fastq import FastqOptions, core_view, plan_from_steps
task = json.load(open(sys.argv[1]))
with open(task["source"], "rb") as source, open(task["ours"], "wb") as sink:
    core_view(plan_from_steps([{"quality": {"as": "keep"}}]), source, sink, key=bytes(range(16)),
              options=FastqOptions(level=task["level"], threads=task["threads"]))
"""
ALONE = """
import json, sys
from deid.fastq import core
from deid.reads.blocks import write_texts
from deid.variants.stream import Workers, Written
task = json.load(open(sys.argv[1]))
with open(task["plain"], "rb") as source, open(task["peer"], "wb") as sink:
    workers = Workers(task["threads"])
    chunks = core.chunks_of(core.pieces_of(source, workers))
    texts = (part for head, text, start, end in chunks for part in (head, memoryview(text)[start:end]))
    write_texts(texts, Written(sink), workers, task["level"])
    workers.close()
"""


def write_source(folder: Path, reads: int) -> tuple[Path, int]:
    """A seeded bgzip FASTQ with Illumina names; its path and the size of its text."""
    rng = random.Random(3)
    genome = "".join(rng.choices("ACGT", k=2_000_000))
    lines, size = [], 0
    for number in range(reads):
        at = rng.randrange(len(genome) - 150)
        quality = "".join(rng.choices("F:,#", (90, 6, 3, 1), k=150))
        name = f"@A00551:88:H3CNJDSXY:1:{rng.randrange(1101, 2678)}:{number}:{rng.randrange(36000)} 1:N:0:ACGTACGT"
        lines.append(f"{name}\n{genome[at : at + 150]}\n+\n{quality}\n".encode())
        size += len(lines[-1])
    source = folder / "source.fq.gz"
    with source.open("wb") as sink:
        for group in cut_blocks(lines):
            sink.write(deflate_blocks(group, 6))
        sink.write(EOF_BLOCK)
    return source, size


def row(task: dict[str, object], folder: Path, runs: int) -> dict[str, object]:
    """One paired comparison at one level. Compression alone gets the text that our output holds: fairness in bytes."""
    file = folder / "task.json"
    file.write_text(json.dumps({**task, "plain": str(task["source"])}))
    measure([sys.executable, "-c", OURS, str(file)], 1)  # byte code and files in memory; not counted
    ours = [measure([sys.executable, "-c", OURS, str(file)], int(str(task["size"])))]
    file.write_text(json.dumps({**task, "plain": str(task["ours"])}))
    peer = [measure([sys.executable, "-c", ALONE, str(file)], int(str(task["size"])))]
    for _ in range(runs - 1):
        file.write_text(json.dumps({**task, "plain": str(task["source"])}))
        ours.append(measure([sys.executable, "-c", OURS, str(file)], int(str(task["size"]))))
        file.write_text(json.dumps({**task, "plain": str(task["ours"])}))
        peer.append(measure([sys.executable, "-c", ALONE, str(file)], int(str(task["size"]))))
    equal = Path(str(task["ours"])).read_bytes() == Path(str(task["peer"])).read_bytes()
    middle = [{key: round(statistics.median(run[key] for run in some), 3) for key in some[0]} for some in (ours, peer)]
    return {
        "task": f"FASTQ, libdeflate {task['level']}, threads {task['threads']}",
        "ours": middle[0],
        "peer": {"name": "inflate and deflate alone", "version": "same code", **middle[1]},
        "ratio_cpu": round(statistics.median(a["cpu_s"] / b["cpu_s"] for a, b in zip(ours, peer, strict=True)), 3),
        "ratio_wall": round(statistics.median(a["wall_s"] / b["wall_s"] for a, b in zip(ours, peer, strict=True)), 3),
        "runs": runs,
        "equal_output": equal,
    }


def run(reads: int, runs: int) -> dict[str, object]:
    """All rows, in the shape INTERFACES asks for."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with_byte_code(folder)
        source, size = write_source(folder, reads)
        task: dict[str, object] = {
            "source": str(source),
            "size": size,
            "ours": str(folder / "a"),
            "peer": str(folder / "b"),
        }
        rows = [row({**task, "level": level, "threads": 1}, folder, runs) for level in (1, 6)]
        rows.append(row({**task, "level": 6, "threads": 2}, folder, runs))
        rows.append(threads_row(OURS, {**task, "what": "FASTQ", "level": 6}, folder, runs))
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "versions": {}}
    return {"bench": "fastq", "machine": machine, "rows": rows}


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="bench fastq")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--reads", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    result = run(options.reads, options.runs)
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return 0
    for one in result["rows"]:
        sys.stdout.write(
            f"{one['task']}: cpu {one['ratio_cpu']}, wall {one['ratio_wall']}, equal {one['equal_output']}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
