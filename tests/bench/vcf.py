"""VCF core view against bcftools: the same task, the same DEFLATE level, bodies compared byte for byte.

The task (performance notes, section 4): keep every second sample under new names, INFO AC/AF/AN recounted, our header,
genotypes in ten BED intervals masked, ALT alleles nobody kept carries cut away, records with an allele of fewer than five
copies dropped, bgzip. bcftools needs eight processes for it. ``floor_cpu`` is libdeflate alone on our output's text over
bcftools' CPU: below it no program can go that writes these bytes. CPU is user and system time of everything started, our Python start included; medians of paired runs.
bcftools must report libdeflate (Debian's does): ``-Oz6`` is then libdeflate 7 and ``-Oz5`` libdeflate 6.

Run: python -m tests.bench.vcf [--json] [--sites N] [--runs N]
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from tests.bench.made.cohort import FORMAT, write_source

LEVELS = ((1, 1), (6, 5), (7, 6))
"""Pairs of libdeflate's level and the htslib level that asks for it."""
PLUGINS = ("/usr/lib/x86_64-linux-gnu/bcftools", "/usr/libexec/bcftools", "/usr/lib/bcftools")
OURS = """
import json, sys, time
from deid.variants import core_view, plan_from_steps
task = json.load(open(sys.argv[1]))
steps = [{"filter": {"keep": True}}, {"info": {"keep": ["AC", "AN", "AF"]}}, {"format": {"keep": task["format"]}},
         {"mask": {"bed": "mask"}}, {"minimum-allele-count": {"count": 5, "action": "drop"}}]
plan = plan_from_steps(steps, {"mask": open(task["bed"], "rb").read()})
began = time.perf_counter()
with open(task["source"], "rb") as source, open(task["ours"], "wb") as sink:
    core_view(plan, source, sink, participants=task["participants"], level=task["level"], threads=task["threads"])
print(time.perf_counter() - began)
"""


def peer_command(task: dict[str, object], folder: Path, level: int) -> str:
    """The bcftools pipeline, uncompressed BCF between its processes."""
    return " | ".join(
        [
            f"bcftools view --no-version -Ou -a -S {folder / 'keep.txt'} {task['source']}",
            f"bcftools annotate --no-version -Ou -a {folder / 'mask.bed.gz'} -c CHROM,FROM,TO -m +MASK",
            "bcftools +setGT --no-version -Ou - -- -t q -n . -i 'MASK=1'",
            "bcftools +fill-tags --no-version -Ou - -- -t AC,AN,AF",
            "bcftools view --no-version -Ou -e 'N_ALT=0 || AC<5'",
            "bcftools annotate --no-version -Ou -x ID,QUAL,^INFO/AC,^INFO/AN,^INFO/AF",
            f"bcftools reheader -s {folder / 'rename.txt'} -",
            f"bcftools view --no-version -Oz{level} -o {task['peer']} -",
        ]
    )


def measure(command: list[str], size: int) -> dict[str, float]:
    """CPU and wall seconds of a command and all it starts, MB of source text per second, largest process in MB."""
    start = time.perf_counter()
    environment = {**os.environ, "BCFTOOLS_PLUGINS": plugins()}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    with process.stdout:
        said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"a benchmarked command failed with {process.returncode}: {command[0]}")
    cpu = usage.ru_utime + usage.ru_stime
    taken = {"cpu_s": cpu, "wall_s": wall, "mb_s": size / 1e6 / wall, "peak_mb": usage.ru_maxrss / 1024}
    return {**taken, "work_s": float(said)} if said else taken


def plugins() -> str:
    """Where bcftools keeps its plugins."""
    return next((folder for folder in PLUGINS if Path(folder).is_dir()), "")


def body_digest(path: Path) -> str:
    """SHA-256 of the records, header apart, with INFO's keys and the ALT alleles in one order.

    fill-tags appends INFO in its own order. ALT alleles stand as the caller ranked the whole cohort in bcftools' output
    and in byte order in ours, and ours loses the bases that only an absent allele needed.
    """
    digest = hashlib.sha256()
    with gzip.open(path, "rb") as lines:
        for line in lines:
            if not line.startswith(b"#"):
                fields = line.rstrip(b"\n").split(b"\t")
                _order_alleles(fields)
                fields[7] = b";".join(sorted(fields[7].split(b";")))
                digest.update(b"\t".join(fields))
    return digest.hexdigest()


def _order_alleles(fields: list[bytes]) -> None:
    alts = fields[4].split(b",")
    spelt = [fields[3], *(alt for alt in alts if alt.isalpha())]
    while len(spelt) > 1 and min(map(len, spelt)) > 1 and len({one[-1] for one in spelt}) == 1:
        spelt = [one[:-1] for one in spelt]
        alts = [alt[:-1] if alt.isalpha() else alt for alt in alts]
    fields[3] = spelt[0] if len(spelt) > 1 else fields[3][:1]
    order = sorted(range(len(alts)), key=alts.__getitem__)
    fields[4] = b",".join(alts[at] for at in order)
    if order == sorted(order):
        return
    number = {str(old + 1): str(new + 1) for new, old in enumerate(order)}
    keys = [entry.split(b"=") for entry in fields[7].split(b";")]
    values = {key: value.split(b",") for key, value in keys if key in (b"AC", b"AF")}
    fields[7] = b";".join(
        b"=".join([key, b",".join(values[key][at] for at in order) if key in values else value]) for key, value in keys
    )
    renumbered = {}
    for cell in set(fields[9:]):
        called, colon, rest = cell.decode().partition(":")
        moved = "".join(number.get(part, part) for part in re.split("([|/])", called))
        renumbered[cell] = f"{moved}{colon}{rest}".encode()
    fields[9:] = [renumbered[cell] for cell in fields[9:]]


def row(name: str, task: dict[str, object], folder: Path, levels: tuple[int, int], runs: int) -> dict[str, object]:
    """One paired comparison."""
    task["level"] = levels[0]
    size = int(str(task["size"]))
    (folder / "task.json").write_text(json.dumps(task))
    ours, peer = [], []
    for _ in range(runs):
        ours.append(measure([sys.executable, "-c", OURS, str(folder / "task.json")], size))
        peer.append(measure(["sh", "-c", peer_command(task, folder, levels[1])], size))
    equal = body_digest(Path(str(task["ours"]))) == body_digest(Path(str(task["peer"])))
    best = {key: statistics.median(run[key] for run in ours) for key in ours[0]}
    other = {key: statistics.median(run[key] for run in peer) for key in peer[0]}
    return {
        "task": f"{name}, libdeflate {levels[0]} (htslib {levels[1]}), threads {task['threads']}",
        "ours": {key: round(value, 3) for key, value in best.items()},
        "peer": {"name": "bcftools", "version": version(), **{key: round(value, 3) for key, value in other.items()}},
        "ratio_cpu": round(statistics.median(a["cpu_s"] / b["cpu_s"] for a, b in zip(ours, peer, strict=True)), 3),
        "ratio_wall": round(statistics.median(a["wall_s"] / b["wall_s"] for a, b in zip(ours, peer, strict=True)), 3),
        "runs": runs,
        "equal_output": equal,
    }


def version() -> str:
    """What bcftools says it is."""
    said = subprocess.run(["bcftools", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")
    return f"{said[0].split()[-1]} htslib {said[1].split()[-1]}"


def prepare(folder: Path, *, samples: int, sites: int, rich: bool) -> dict[str, object]:
    """Source, mask and name files of one task on made data."""
    source = folder / "source.vcf.gz"
    write_source(source, samples=samples, count=sites, rich=rich)
    return describe(folder, source, rich)


def prepare_real(folder: Path, cohort: Path) -> dict[str, object]:
    """The same on the real cohort: every autosome of the 1000 Genomes subset, one file after the other."""
    source = folder / "source.vcf.gz"
    files = [str(cohort / f"1KG_phase3_subset_chr{number}.vcf.gz") for number in range(1, 23)]
    command = ["bcftools", "concat", "--no-version", "-Oz", "-o", str(source), *files]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return describe(folder, source, rich=False)


def describe(folder: Path, source: Path, rich: bool) -> dict[str, object]:
    """Every second sample is kept; ten stretches of twenty sites are masked."""
    listed = subprocess.run(["bcftools", "query", "-l", str(source)], capture_output=True, text=True, check=True)
    kept = {name: f"code{index:05d}" for index, name in enumerate(listed.stdout.split()[::2])}
    query = ["bcftools", "query", "-f", "%CHROM\t%POS\n", str(source)]
    sites = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    places = [line.split("\t") for line in sites[:: max(1, len(sites) // 10)]]
    bed = folder / "mask.bed"
    bed.write_text("".join(f"{contig}\t{start}\t{int(start) + 740}\n" for contig, start in places))
    with (folder / "mask.bed.gz").open("wb") as packed:
        subprocess.run(["bgzip", "-c", str(bed)], stdout=packed, check=True)
    subprocess.run(["tabix", "-p", "bed", str(folder / "mask.bed.gz")], check=True)
    (folder / "keep.txt").write_text("\n".join(kept) + "\n")
    (folder / "rename.txt").write_text("\n".join(kept.values()) + "\n")
    with gzip.open(source, "rb") as text:
        size = sum(map(len, text))
    return {
        "source": str(source),
        "bed": str(bed),
        "ours": str(folder / "ours.vcf.gz"),
        "peer": str(folder / "peer.vcf.gz"),
        "participants": kept,
        "format": list(FORMAT[rich]),
        "threads": 1,
        "size": size,
    }


def floor(task: dict[str, object], level: int) -> float:
    """CPU seconds of libdeflate alone: what our output costs to deflate, in a process that does nothing else."""
    code = (
        "import sys, time, gzip; from deid.bgzf import cut_blocks, deflate_blocks;"
        "groups = list(cut_blocks([gzip.open(sys.argv[1]).read()])); began = time.process_time();"
        "[deflate_blocks(group, int(sys.argv[2])) for group in groups]; print(time.process_time() - began)"
    )
    command = [sys.executable, "-c", code, str(task["ours"]), str(level)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def two_threads(task: dict[str, object], folder: Path, level: int, runs: int) -> dict[str, object]:
    """One thread and two in turn; the ratio of their elapsed times says something only where two cores are free.

    ``speedup`` is of the whole process, ``work`` of the view alone: Python's start, a fifth of so short a task, is one
    thread's whatever is asked.
    """
    seen: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(runs):
        for threads, runs_of in seen.items():
            (folder / "task.json").write_text(json.dumps({**task, "level": level, "threads": threads}))
            runs_of.append(measure([sys.executable, "-c", OURS, str(folder / "task.json")], 1))
    ratios = {
        name: [one[key] / two[key] for one, two in zip(seen[1], seen[2], strict=True)]
        for name, key in (("speedup", "wall_s"), ("work", "work_s"))
    }
    best = min(one["wall_s"] for one in seen[1]) / min(two["wall_s"] for two in seen[2])
    return {**{name: round(statistics.median(found), 2) for name, found in ratios.items()}, "best": round(best, 2)}


def made_in_a_child(work: Callable[..., dict[str, object]], *given: object, **more: object) -> dict[str, object]:
    """In a process of its own: a child's peak memory begins at that of the process it was forked from."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as maker:
        return maker.submit(work, *given, **more).result()


def rows_of(name: str, task: dict[str, object], folder: Path, runs: int) -> list[dict[str, object]]:
    """Every level on one thread, with what libdeflate alone costs, and two threads at the default level."""
    rows = []
    for levels in LEVELS:
        made = row(name, task, folder, levels, runs)
        peer = made["peer"]
        assert isinstance(peer, dict)
        alone = floor(task, levels[0])
        rows.append({**made, "deflate_alone_s": round(alone, 3), "floor_cpu": round(alone / peer["cpu_s"], 3)})
    rows.append(
        {**row(name, {**task, "threads": 2}, folder, LEVELS[1], runs), **two_threads(task, folder, 6, 2 * runs)}
    )
    return rows


def run(sites: int, runs: int, cohort: Path) -> dict[str, object]:
    """All rows, in the shape INTERFACES asks for."""
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, samples, rich in (("gt", 2500, False), ("gt:dp:gq", 500, True)):
            task = made_in_a_child(prepare, folder, samples=samples, sites=sites, rich=rich)
            rows += rows_of(f"{name} {samples} x {sites}", task, folder, runs)
        if cohort.is_dir():
            task = made_in_a_child(prepare_real, folder, cohort)
            rows += rows_of("gt, 1000 Genomes autosomes", task, folder, runs)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "versions": {"numpy": np.__version__}}
    return {"bench": "vcf", "machine": machine, "rows": rows}


def main() -> int:
    """Run and print; 2 where bcftools is not there."""
    parser = argparse.ArgumentParser(prog="bench vcf")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sites", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if any(shutil.which(tool) is None for tool in ("bcftools", "bgzip", "tabix")):
        sys.stderr.write("bench vcf needs bcftools, bgzip and tabix on PATH\n")
        return 2
    data = os.environ.get("TONGGUAN_SHARED_DATA") or Path(__file__).resolve().parents[2].parent / "shared" / "data"
    result = run(options.sites, options.runs, Path(data) / "deid" / "vcf")
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return 0
    for one in result["rows"]:
        more = [f"{key} {one[key]}" for key in ("floor_cpu", "speedup", "work", "best") if key in one]
        said = [f"cpu {one['ratio_cpu']}", f"wall {one['ratio_wall']}", *more, f"equal {one['equal_output']}"]
        sys.stdout.write(f"{one['task']}: {', '.join(said)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
