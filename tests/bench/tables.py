"""Tables: Adult to k=5 in a fresh process, a million people recoded locally, risk against DuckDB, pycanon, leak check.

ARX needs Java and is not installed with the project: a row without a peer compares its loss with the optimum found
by brute force and by ARX (reference loss in ``ASKED``). Adult and the people run as ``tongguan deid table``, the whole
command from Python's start, leak check and report with it. pycanon pins old libraries, so it runs in an environment of its
own, which uv makes (``--pycanon``, needs a package index). CPU and wall are medians of ``--runs`` fresh processes,
Python's start included.

Run: python -m tests.bench.tables [--json] [--runs N] [--rows N] [--people N] [--pycanon]    (Adult: shared data folder)
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

K, L = "{k-anonymity: {k: 5}}", "{l-diversity: {l: 2, column: salary-class}}"
T = "{t-closeness: {t: 0.2, column: salary-class}}"
# task, models, suppression limit, search, measure compared, greatest value of it (None: nothing to compare with)
ASKED: list[tuple[str, str, str, str, str, float | None]] = [
    ("k=5, limit 0", f"[{K}]", "0", "{}", "ncp", 0.661),
    ("k=5, limit 0.05", f"[{K}]", "0.05", "{}", "ncp", 0.262),
    ("k=5, limit 0.1", f"[{K}]", "0.1", "{}", "ncp", 0.2284),
    ("k=5, limit 0.05, ARX's Loss", f"[{K}]", "0.05", "{objective: loss}", "ncp", 0.2795),
    ("k=5, l=2, limit 0", f"[{K}, {L}]", "0", "{}", "ncp", None),
    ("k=5, l=2, limit 0.1", f"[{K}, {L}]", "0.1", "{}", "ncp", None),
    ("k=5, l=2, limit 0.05", f"[{K}, {L}]", "0.05", "{}", "ncp", None),
    ("k=5, t=0.2, limit 0", f"[{K}, {T}]", "0", "{}", "ncp", None),
    ("k=5, t=0.2, limit 0.05", f"[{K}, {T}]", "0.05", "{}", "ncp", None),
    ("k=5, t=0.2, limit 0.1", f"[{K}, {T}]", "0.1", "{}", "ncp", None),
    ("k=5, local recoding", f"[{K}]", "0", "{method: local-recoding}", "ncp", 0.09),
    ("k=5, l=2, local recoding", f"[{K}, {L}]", "0", "{method: local-recoding}", "ncp", None),
    ("k=5, t=0.2, local recoding", f"[{K}, {T}]", "0", "{method: local-recoding}", "ncp", None),
]
QUASI = ["sex", "age", "race", "marital-status", "education", "native-country", "workclass", "occupation"]
COMMAND = """
import json, sys
from pathlib import Path
task = json.load(open(sys.argv[1]))
out, report = Path(task["out"]), Path(task["out"] + ".json")
out.unlink(missing_ok=True), report.unlink(missing_ok=True)
sys.argv = ["tongguan", "deid", "table", task["source"], task["out"], "--recipe", task["recipe"], "--report", str(report)]
from gateway.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
report = json.loads(report.read_text())
print(json.dumps({
    "ncp": report["utility"]["ncp"], "arx_loss": report["utility"]["arx_loss"],
    "suppressed": report["removed"]["suppressed"], "k": report["risk"]["after"]["k"], "optimal": report["utility"]["optimal"],
}))
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
MEASURED = """
import json, sys
from deid.risk import read_released
from deid.tables.classes import Classes, combine, group
from deid.tables.measures import Rule, Sensitive, measure
import numpy as np
task = json.load(open(sys.argv[1]))
with open(task["parquet"], "rb") as released:
    columns = read_released(released, wanted=task["quasi"])
parts = [columns[name] for name in task["quasi"]]
rows = len(parts[0].codes)
of, count = group(combine([one.codes for one in parts], [len(one.values) for one in parts], rows))
classes = Classes(of=of, count=count, weights=np.ones(rows, np.int64))
protected = columns[task["sensitive"]]
column = Sensitive(name="s", codes=protected.codes, count=len(protected.values))
found = {kind: measure(Rule(kind=kind, limit=1), classes, column) for kind in ("distinct", "entropy", "equal")}
print(json.dumps({
    "k": int(classes.sizes.min()), "l": int(found["distinct"].min()),
    "entropy": int(found["entropy"].min() + 1e-9), "t": round(float(found["equal"].max()), 9),
}))
"""
PYCANON = """
import json, sys
import pandas
from pycanon import anonymity
task = json.load(open(sys.argv[1]))
table = pandas.read_csv(task["csv"], dtype=str)
quasi, sensitive = task["quasi"], [task["sensitive"]]
print(json.dumps({
    "k": int(anonymity.k_anonymity(table, quasi)), "l": int(anonymity.l_diversity(table, quasi, sensitive)),
    "entropy": int(anonymity.entropy_l_diversity(table, quasi, sensitive)),
    "t": round(float(anonymity.t_closeness(table, quasi, sensitive)), 9),
}))
"""
PYCANON_VERSION = "1.3.5"
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


def measure(
    code: str, argument: Path, size: int, runs: int, python: tuple[str, ...] = (sys.executable,)
) -> tuple[dict[str, float], Any]:
    """Medians of fresh processes, and what the last one answered.

    Bytecode is compiled before, as in any installed program: one run is made that is not counted.
    """
    walls, cpus, peaks, answer = [], [], [], None
    around = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if runs > 1:
        subprocess.run(
            [*python, "-c", code + PEAK, str(argument)],
            check=True,
            env=around,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    for _ in range(runs):
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
            start = time.perf_counter()
            child = subprocess.Popen([*python, "-c", code + PEAK, str(argument)], stdout=out, stderr=said, env=around)
            # The kernel starts a child's ru_maxrss at its parent's, so the child reads its own peak at its end.
            _, status, used = os.wait4(child.pid, 0)
            walls.append(time.perf_counter() - start)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                said.seek(0)
                last = said.read().decode(errors="replace")[-4000:]
                raise SystemExit(f"a benchmark task failed with {child.returncode}; it said: {last}")
            cpus.append(used.ru_utime + used.ru_stime)
            out.seek(0)
            first, last = out.read().splitlines()[-2:]
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
    """One row for each thing asked of Adult."""
    rows = []
    for name, models, limit, search, compared, most in ASKED:
        task, size = adult_task(shared, folder, f"models: {models}\nsuppression-limit: {limit}\nsearch: {search}\n")
        ours, answer = measure(COMMAND, task, size, runs)
        rows.append(
            {
                "task": f"adult {name}",
                "ours": ours | answer,
                "peer": None,
                "runs": runs,
                "equal_output": None if most is None else answer["k"] >= 5 and answer[compared] <= most,
                "compared_with": f"{compared} of at most {most}; ARX is not installed",
            }
        )
    return rows


def adult_task(shared: Path, folder: Path, more: str, transform: str = "") -> tuple[Path, int]:
    """The task file of one recipe over Adult, and the size of the table."""
    data = shared / "deid" / "tabular"
    lines = (data / "adult.csv").read_text().splitlines()
    source, task = folder / "adult.csv", folder / "task.json"
    source.write_text("\n".join([f"id;{lines[0]}", *(f"{n};{line}" for n, line in enumerate(lines[1:]))]))
    steps = {name: transform or f"{{generalise: adult_hierarchy_{name}.csv}}" for name in QUASI}
    recipe = (
        "recipe: adult\nversion: 1\nkind: table\ntier: controlled\ninput: {delimiter: ';'}\ncolumns:\n"
        "  id: {role: identifier, transform: pseudonym}\n  salary-class: {role: sensitive}\n"
        + "".join(f"  {name}: {{role: quasi, transform: {step}}}\n" for name, step in steps.items())
        + more
    )
    for file in data.glob("adult_hierarchy_*.csv"):
        (folder / file.name).write_bytes(file.read_bytes())
    written = folder / "adult.yaml"
    written.write_text(recipe)
    task.write_text(json.dumps({"recipe": str(written), "source": str(source), "out": str(folder / "out.parquet")}))
    return task, source.stat().st_size


def people_row(folder: Path, count: int, runs: int) -> dict[str, Any]:
    """Made-up people with ten quasi-identifiers, k=6, local recoding."""
    from tests.deid.tables.people import SIZES, hierarchy, make_people, recipe

    path, task = folder / f"people-{count}.parquet", folder / "people.json"
    make_people(path, count)
    for name in SIZES:
        (folder / f"{name}.csv").write_bytes(hierarchy(name))
    (folder / "people.yaml").write_text(recipe(6, "local-recoding"))
    given = {"recipe": str(folder / "people.yaml"), "source": str(path), "out": str(folder / "people-out.parquet")}
    task.write_text(json.dumps(given))
    ours, answer = measure(COMMAND, task, path.stat().st_size, runs)
    path.unlink()
    return {
        "task": f"{count} people, 10 quasi-identifiers, k=6, local recoding",
        "ours": ours | answer,
        "peer": None,
        "runs": runs,
        "equal_output": answer["k"] >= 6,
        "compared_with": "k of the written file; no peer does this",
    }


def pycanon_rows(shared: Path, folder: Path) -> list[dict[str, Any]]:
    """k, l and t of raw and anonymised Adult by our measures and by pycanon, one run each."""
    from deid.tables.delimited import csv_bytes

    uv = shutil.which("uv") or str(Path(__file__).parents[2] / ".uv" / "bin" / "uv")
    theirs_python = (
        uv,
        "run",
        "--no-project",
        "--with",
        f"pycanon=={PYCANON_VERSION}",
        "--with",
        "setuptools",
        "python",
    )
    rows = []
    for name, transform in (("raw", "keep"), ("anonymised", "")):
        models = "[]" if transform else f"[{K}]"
        task, _ = adult_task(shared, folder, f"models: {models}\nsuppression-limit: 0.05\n", transform)
        measure(COMMAND, task, 0, 1)
        released = Path(json.loads(task.read_text())["out"])
        paths = {"parquet": str(released), "csv": str(folder / "released.csv")}
        Path(paths["csv"]).write_bytes(csv_bytes(released.read_bytes()))
        task.write_text(json.dumps(paths | {"quasi": QUASI, "sensitive": "salary-class"}))
        measure(PYCANON.split("table =")[0] + "print(0)\n", task, 0, 1, theirs_python)  # uv's own work is not pycanon's
        ours, mine = measure(MEASURED, task, released.stat().st_size, 3)
        theirs, other = measure(PYCANON, task, released.stat().st_size, 1, theirs_python)
        rows.append(
            {
                "task": f"k, l, entropy l and t of {name} Adult",
                "ours": ours | mine,
                "peer": {"name": "pycanon", "version": PYCANON_VERSION} | theirs | other,
                "ratio_cpu": round(ours["cpu_s"] / theirs["cpu_s"], 4),
                "ratio_wall": round(ours["wall_s"] / theirs["wall_s"], 4),
                "runs": 1,
                "equal_output": mine == other,
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
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--pycanon", action="store_true")
    options = parser.parse_args()
    shared = Path(os.environ.get("TONGGUAN_SHARED_DATA") or Path(__file__).parents[2].parent / "shared" / "data")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = adult_rows(shared, folder, options.runs) if (shared / "deid" / "tabular").is_dir() else []
        if options.pycanon:
            rows += pycanon_rows(shared, folder)
        rows.append(people_row(folder, options.people, options.runs))
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
