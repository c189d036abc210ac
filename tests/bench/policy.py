"""How fast a decision is: ``python -m tests.bench.policy [--json] [--calls N]``.

Every call validates its context against the schema and evaluates all rules of the action. The facts differ on each call,
so that nothing is remembered; the remembered rate, by equal facts, is a row of its own. One process, closed loop; wall clock, and beside it what the calls
took of a core, which is what counts where other work shares the machine.
Bars: 400 decisions a second and 5 ms for the slowest hundredth uncached; 20,000 a second remembered.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from policies.decide import Decision, Policy, load_policy
from policies.facts import Facts
from policies.packs import read_sources
from policies.vocabulary import Action, Effect
from tests.policies.cases import AT, UNFILED, made

RUNS = 3


def varied(calls: int, refused: bool) -> list[Facts]:
    """As many facts as calls, no two alike, all permitted or all held."""
    changes = UNFILED if refused else {}
    return [
        made({**changes, "consents.permitted_digest": f"set-{n}", "grant.releases_left": n + 1}) for n in range(calls)
    ]


def timed(policy: Policy, asked: Sequence[Facts]) -> tuple[dict[str, float], list[Decision]]:
    """Rates and latencies of one closed loop."""
    took, burnt, answers = [], [], []
    cpu, wall = time.process_time(), time.perf_counter()
    for facts in asked:
        busy, start = time.thread_time(), time.perf_counter()
        answers.append(policy.decide(Action.RECEIVE_RELEASE, facts, AT))
        took.append(time.perf_counter() - start)
        burnt.append(time.thread_time() - busy)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    took.sort()
    burnt.sort()
    return {
        "cpu_s": cpu,
        "wall_s": wall,
        "per_s": len(asked) / wall,
        "per_cpu_s": len(asked) / cpu,
        "p50_ms": 1000 * statistics.median(took),
        "p99_ms": 1000 * took[int(len(took) * 0.99)],
        "p99_cpu_ms": 1000 * burnt[int(len(burnt) * 0.99)],
    }, answers


def fresh() -> Policy:
    """A policy that remembers nothing yet."""
    return Policy(read_sources(files("policies")))


def row(task: str, runs: Sequence[dict[str, float]], equal: bool) -> dict[str, Any]:
    """Medians of the runs."""
    ours = {name: round(statistics.median(run[name] for run in runs), 4) for name in runs[0]}
    ours["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return {"task": task, "ours": ours, "runs": len(runs), "equal_output": equal}


def measure(calls: int) -> list[dict[str, Any]]:
    """Three rows: permits, holds, and the same facts again."""
    rows = []
    for task, refused, wanted in (("uncached, permit", False, Effect.PERMIT), ("uncached, hold", True, Effect.HOLD)):
        asked, runs, equal = varied(calls, refused), [], True
        for _ in range(RUNS):
            figures, answers = timed(fresh(), asked)
            runs.append(figures)
            equal &= all(answer.effect == wanted for answer in answers)
        rows.append(row(task, runs, equal))
    policy, few = fresh(), varied(1000, refused=False)
    first = timed(policy, few)[1]
    runs, equal = [], True
    for _ in range(RUNS):
        figures, answers = timed(policy, few * 20)
        runs.append(figures)
        equal &= answers == first * 20
    rows.append(row("remembered, 1000 facts again and again", runs, equal))
    return rows


def main() -> None:
    """Print the rows as a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    rows = measure(options.calls)
    versions = {"cedarpy": importlib.metadata.version("cedarpy")}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "versions": versions}
    asked = sum(Action.RECEIVE_RELEASE in rule.actions for rule in load_policy().rules.values())
    if options.json:
        print(json.dumps({"bench": "policy", "machine": machine, "rules": asked, "rows": rows}))
        return
    print(f"{asked} rules of ReceiveRelease")
    for found in rows:
        ours = found["ours"]
        rates = f"{ours['per_s']:>9,.0f}/s  p50 {ours['p50_ms']:.3f} ms  p99 {ours['p99_ms']:.3f} ms"
        rates += f"  (of its own core: {ours['per_cpu_s']:,.0f}/s, p99 {ours['p99_cpu_ms']:.3f} ms)"
        print(f"{found['task']:40} {rates}  equal: {found['equal_output']}")


if __name__ == "__main__":
    main()
