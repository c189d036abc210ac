"""Tables: Adult to k=5 in a fresh process, the risk report against DuckDB, the leak check's speed.

ARX needs Java and is not installed with the project: a row without a peer compares its loss with the optimum found
by brute force and by ARX (reference loss in ``RATED``). CPU and wall are medians of ``--runs`` fresh processes,
Python's start included.

Run: python -m tests.bench.tables [--json] [--runs N] [--rows N]      (Adult is read from the shared data folder)
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RATED = {"0": 0.6608, "0.05": 0.2618, "0.1": 0.2283}
QUASI = ["sex", "age", "race", "marital-status", "education", "native-country", "workclass", "occupation"]
ADULT = """
import io, json, sys
from pathlib import Path
from deid.recipe import load_recipe
from deid.tables.core import core_table
task = json.load(open(sys.argv[1]))
folder = Path(task["folder"])
recipe = load_recipe(task["recipe"].encode(), files=lambda name: (folder / name).read_bytes())
with open(task["source"], "rb") as source:
    report = core_table(recipe, source, io.BytesIO(), participants=task["people"]).report
print(json.dumps({"ncp": report["utility"]["ncp"]}))
"""
RISK = """
import json, sys
from deid.risk import assess_table
with open(sys.argv[1], "rb") as released:
    found = assess_table(released, quasi=list("abcdefgh"), sensitive=["s"])
print(json.dumps({"k": found["k"], "classes": found["classes"], "uniques": found["uniques"], "l": found["l"]["s"]}))
"""
PEER = """
import json, sys
import duckdb
query = ("select min(n), count(*), count(*) filter (n = 1), min(l) from (select count(*) n, count(distinct s) l "
         "from read_parquet(?) group by a, b, c, d, e, f, g, h)")
found = duckdb.connect(config={"threads": 2}).execute(query, [sys.argv[1]]).fetchall()[0]
print(json.dumps(dict(zip(["k", "classes", "uniques", "l"], found))))
"""
PEAK = """
import re
print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
"""
LEAKS = """
import json, sys
from deid.leakcheck import check
task = json.load(open(sys.argv[1]))
print(json.dumps({"findings": len(check(task["path"], name="release.vcf", source_identifiers=task["values"]))}))
"""


def measure(code: str, argument: Path, size: int, runs: int) -> tuple[dict[str, float], Any]:
    """Medians of fresh processes, and what the last one answered."""
    walls, cpus, peaks, answer = [], [], [], None
    for _ in range(runs):
        with tempfile.TemporaryFile() as out:
            start = time.perf_counter()
            child = subprocess.Popen([sys.executable, "-c", code + PEAK, str(argument)], stdout=out)
            # The kernel starts a child's ru_maxrss at its parent's, so the child reads its own peak at its end.
            _, status, used = os.wait4(child.pid, 0)
            walls.append(time.perf_counter() - start)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise SystemExit(f"a benchmark task failed with {child.returncode}")
            cpus.append(used.ru_utime + used.ru_stime)
            out.seek(0)
            first, last = out.read().splitlines()
            answer = json.loads(first)
            peaks.append(int(last))
    wall = statistics.median(walls)
    figures = {
        "cpu_s": round(statistics.median(cpus), 3),
        "wall_s": round(wall, 3),
        "mb_s": round(size / 1e6 / wall, 1),
        "peak_mb": round(statistics.median(peaks) / 1024, 1),
    }
    return figures, answer


def adult_rows(shared: Path, folder: Path, runs: int) -> list[dict[str, Any]]:
    """One row for each suppression limit."""
    data = shared / "deid" / "tabular"
    lines = (data / "adult.csv").read_text().splitlines()
    source = folder / "adult.csv"
    source.write_text("\n".join([f"id;{lines[0]}", *(f"{n};{line}" for n, line in enumerate(lines[1:]))]))
    rows = []
    for limit, rated in RATED.items():
        recipe = (
            "recipe: adult\nversion: 1\nkind: table\ntier: controlled\ninput: {delimiter: ';'}\ncolumns:\n"
            "  id: {role: identifier, transform: pseudonym}\n"
            + "".join(f"  {n}: {{role: quasi, transform: {{generalise: adult_hierarchy_{n}.csv}}}}\n" for n in QUASI)
            + f"models: [{{k-anonymity: {{k: 5}}}}]\nsuppression-limit: {limit}\n"
        )
        people = {str(n): f"c{n:06d}" for n in range(len(lines) - 1)}
        task = folder / "task.json"
        task.write_text(json.dumps({"recipe": recipe, "folder": str(data), "source": str(source), "people": people}))
        ours, answer = measure(ADULT, task, source.stat().st_size, runs)
        rows.append(
            {
                "task": f"adult k=5, limit {limit}",
                "ours": ours | answer,
                "peer": None,
                "runs": runs,
                "equal_output": abs(answer["ncp"] - rated) < 1e-4,
                "compared_with": f"the optimum {rated}; ARX is not installed",
            }
        )
    return rows


def risk_row(folder: Path, count: int, runs: int) -> dict[str, Any]:
    """The same four figures by our report and by DuckDB."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw = random.Random(1)
    columns = {"id": [f"P{n}" for n in range(count)]}
    columns |= {name: [str(draw.randint(0, 3)) for _ in range(count)] for name in "abcdefgh"}
    columns["s"] = [draw.choice("IJKL") for _ in range(count)]
    path = folder / "released.parquet"
    pq.write_table(pa.table(columns), path)
    ours, mine = measure(RISK, path, path.stat().st_size, runs)
    theirs, other = measure(PEER, path, path.stat().st_size, runs)
    return {
        "task": f"risk report, {count} rows, 8 quasi-identifiers",
        "ours": ours,
        "peer": {"name": "duckdb", "version": importlib.metadata.version("duckdb")} | theirs,
        "ratio_cpu": round(ours["cpu_s"] / theirs["cpu_s"], 2),
        "ratio_wall": round(ours["wall_s"] / theirs["wall_s"], 2),
        "runs": runs,
        "equal_output": mine == other,
    }


def leak_row(folder: Path, runs: int) -> dict[str, Any]:
    """Speed of the leak check over a plain VCF for 2,252 values."""
    draw = random.Random(2)
    values = [f"HOSP{n:05d}" for n in range(1126)] + [
        f"1{draw.randint(3, 9)}{draw.randrange(10**9):09d}" for _ in range(1126)
    ]
    cells = [f"{draw.choice(['0/0', '0/1'])}:{draw.randint(5, 60)}:{draw.randint(10, 99)}" for _ in range(1126)]
    path = folder / "release.vcf"
    with path.open("w") as file:
        names = "\t".join(f"P{n}" for n in range(1126))
        file.write(f"##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\n")
        for n in range(8000):
            draw.shuffle(cells)
            file.write(f"chr1\t{n + 1}\t.\tA\tG\t.\tPASS\tAC=9\tGT:DP:GQ\t" + "\t".join(cells) + "\n")
    task = folder / "leaks.json"
    task.write_text(json.dumps({"path": str(path), "values": values}))
    ours, answer = measure(LEAKS, task, path.stat().st_size, runs)
    return {
        "task": "leak check, plain VCF, 2252 values",
        "ours": ours,
        "peer": None,
        "runs": runs,
        "equal_output": answer["findings"] == 0,
        "compared_with": "no finding in a clean file; no peer does this",
    }


def main() -> None:
    """Print the rows as a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=300_000)
    options = parser.parse_args()
    shared = Path(os.environ.get("TONGGUAN_SHARED_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = adult_rows(shared, folder, options.runs) if (shared / "deid" / "tabular").is_dir() else []
        rows += [risk_row(folder, options.rows, options.runs), leak_row(folder, options.runs)]
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "pyarrow", "duckdb")}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "versions": versions}
    if options.json:
        print(json.dumps({"bench": "tables", "machine": machine, "rows": rows}))
        return
    for row in rows:
        print(f"{row['task']:45} {row['ours']}  {row.get('ratio_cpu', '')}  equal: {row['equal_output']}")


if __name__ == "__main__":
    main()
