"""VCF core view against bcftools: the same task, the same DEFLATE level, bodies compared byte for byte.

The task (performance notes, section 4): keep every second sample under new names, INFO AC/AF/AN recounted, our header,
genotypes in ten BED intervals masked, alleles with fewer than five copies dropped, bgzip. bcftools needs eight
processes for it. CPU is user and system time of everything started, our Python start included; medians of paired runs.
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
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from deid.bgzf import EOF_BLOCK, cut_blocks, deflate_blocks

LEVELS = ((1, 1), (6, 5), (7, 6))
"""Pairs of libdeflate's level and the htslib level that asks for it."""
PLUGINS = ("/usr/lib/x86_64-linux-gnu/bcftools", "/usr/libexec/bcftools", "/usr/lib/bcftools")
OURS = """
import json, sys
from deid.variants import core_view, plan_from_steps
task = json.load(open(sys.argv[1]))
steps = [{"filter": {"keep": True}}, {"info": {"keep": ["AC", "AN", "AF"]}}, {"format": {"keep": task["format"]}},
         {"mask": {"bed": "mask"}}, {"minimum-allele-count": {"count": 5, "action": "drop"}}]
plan = plan_from_steps(steps, {"mask": open(task["bed"], "rb").read()})
with open(task["source"], "rb") as source, open(task["ours"], "wb") as sink:
    core_view(plan, source, sink, participants=task["participants"], level=task["level"], threads=task["threads"])
"""


def genotypes(rng: np.random.Generator, samples: int, sites: int) -> np.ndarray:
    """Haplotypes (sites x 2 samples) that copy 60 founders in long pieces, most sites rare."""
    founders = 60
    frequency = np.minimum(0.5, 1.0 / rng.uniform(1, founders, sites) ** 1.3)
    table = rng.random((sites, founders)) < frequency[:, None]
    made = np.empty((sites, 2 * samples), np.uint8)
    copied = rng.integers(0, founders, 2 * samples)
    for site in range(sites):
        switch = np.flatnonzero(rng.random(2 * samples) < 0.002)
        copied[switch] = rng.integers(0, founders, len(switch))
        if rng.random() < 0.6:
            made[site] = 0
            made[site, rng.integers(0, 2 * samples, int(rng.geometric(0.15)))] = 1
        else:
            made[site] = table[site, copied]
    return made


def write_source(path: Path, *, samples: int, sites: int, rich: bool) -> list[str]:
    """A seeded cohort VCF on two contigs; ``rich`` adds DP and GQ and 0.3 % missing genotypes."""
    rng = np.random.default_rng(7)
    names = [f"HOSP{index:05d}" for index in range(samples)]
    called = genotypes(rng, samples, sites)
    head = ["##fileformat=VCFv4.2", "##source=bench", '##FILTER=<ID=PASS,Description="ok">']
    head += ["##contig=<ID=1,length=100000000>", "##contig=<ID=2,length=100000000>"]
    head += [
        '##INFO=<ID=AC,Number=A,Type=Integer,Description="x">',
        '##INFO=<ID=MQ,Number=1,Type=Integer,Description="x">',
    ]
    head += [f'##FORMAT=<ID={key},Number=1,Type={kind},Description="x">' for key, kind in FORMAT[rich].items()]
    head.append("\t".join(["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT", *names]))

    def lines() -> Iterator[bytes]:
        yield ("\n".join(head) + "\n").encode()
        for site in range(sites):
            yield _line(rng, called[site], site, sites, rich)

    with path.open("wb") as sink:
        for group in cut_blocks(lines()):
            sink.write(deflate_blocks(group, 6))
        sink.write(EOF_BLOCK)
    return names


FORMAT = {False: {"GT": "String"}, True: {"GT": "String", "DP": "Integer", "GQ": "Integer"}}


def _line(rng: np.random.Generator, row: np.ndarray, site: int, sites: int, rich: bool) -> bytes:
    pairs = row.reshape(-1, 2)
    cells = [f"{a}|{b}" for a, b in pairs.tolist()]
    if rich:
        depth = rng.poisson(30, len(cells)).tolist()
        quality = np.minimum(99, rng.poisson(60, len(cells))).tolist()
        for index in np.flatnonzero(rng.random(len(cells)) < 0.003).tolist():
            cells[index] = "./."
        cells = [f"{gt}:{dp}:{gq}" for gt, dp, gq in zip(cells, depth, quality, strict=True)]
    contig = 1 if site < sites // 2 else 2
    fixed = (
        f"{contig}\t{1000 + 37 * site}\t.\t{'ACGT'[site % 4]}\t{'CGTA'[site % 4]}\t.\tPASS\tAC={int(row.sum())};MQ=60"
    )
    return "\t".join([fixed, ":".join(FORMAT[rich]), *cells]).encode() + b"\n"


def peer_command(task: dict[str, object], folder: Path, level: int) -> str:
    """The bcftools pipeline, uncompressed BCF between its processes."""
    return " | ".join(
        [
            f"bcftools view --no-version -Ou -S {folder / 'keep.txt'} {task['source']}",
            f"bcftools annotate --no-version -Ou -a {folder / 'mask.bed.gz'} -c CHROM,FROM,TO -m +MASK",
            "bcftools +setGT --no-version -Ou - -- -t q -n . -i 'MASK=1'",
            "bcftools +fill-tags --no-version -Ou - -- -t AC,AN,AF",
            "bcftools view --no-version -Ou -c 5",
            "bcftools annotate --no-version -Ou -x ^INFO/AC,^INFO/AN,^INFO/AF",
            f"bcftools reheader -s {folder / 'rename.txt'} -",
            f"bcftools view --no-version -Oz{level} -o {task['peer']} -",
        ]
    )


def measure(command: list[str], size: int) -> dict[str, float]:
    """CPU and wall seconds of a command and all it starts, MB of source text per second, largest process in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, "BCFTOOLS_PLUGINS": plugins()}, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"a benchmarked command failed with {process.returncode}: {command[0]}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"cpu_s": cpu, "wall_s": wall, "mb_s": size / 1e6 / wall, "peak_mb": usage.ru_maxrss / 1024}


def plugins() -> str:
    """Where bcftools keeps its plugins."""
    return next((folder for folder in PLUGINS if Path(folder).is_dir()), "")


def body_digest(path: Path) -> str:
    """SHA-256 of the records, header apart, with INFO's keys in one order (fill-tags appends in its own)."""
    digest = hashlib.sha256()
    with gzip.open(path, "rb") as lines:
        for line in lines:
            if not line.startswith(b"#"):
                fields = line.split(b"\t", 8)
                fields[7] = b";".join(sorted(fields[7].split(b";")))
                digest.update(b"\t".join(fields))
    return digest.hexdigest()


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
    """Source, mask and name files of one task."""
    source = folder / "source.vcf.gz"
    names = write_source(source, samples=samples, sites=sites, rich=rich)
    kept = {name: f"code{index:05d}" for index, name in enumerate(names[::2])}
    step = max(1, sites // 10)
    spans = [(1 if at < sites // 2 else 2, 1000 + 37 * at, 1000 + 37 * at + 740) for at in range(0, sites, step)]
    bed = folder / "mask.bed"
    bed.write_text("".join(f"{contig}\t{start}\t{end}\n" for contig, start, end in spans))
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


def run(sites: int, runs: int) -> dict[str, object]:
    """All rows, in the shape INTERFACES asks for."""
    rows = []
    for name, samples, rich in (("gt", 2500, False), ("gt:dp:gq", 500, True)):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            # In a process of its own: a child's peak memory begins at that of the process it was forked from.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as maker:
                task = maker.submit(prepare, folder, samples=samples, sites=sites, rich=rich).result()
            rows += [row(f"{name} {samples} x {sites}", task, folder, levels, runs) for levels in LEVELS]
            rows.append(row(f"{name} {samples} x {sites}", {**task, "threads": 2}, folder, LEVELS[1], runs))
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "versions": {"numpy": np.__version__}}
    return {"bench": "vcf", "machine": machine, "rows": rows}


def main() -> int:
    """Run and print; 2 where bcftools is not there."""
    parser = argparse.ArgumentParser(prog="bench vcf")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sites", type=int, default=6000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if any(shutil.which(tool) is None for tool in ("bcftools", "bgzip", "tabix")):
        sys.stderr.write("bench vcf needs bcftools, bgzip and tabix on PATH\n")
        return 2
    result = run(options.sites, options.runs)
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
