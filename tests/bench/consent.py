"""Consent sets: one million participants, prepared once and asked, against the plain loop a reader would write; and the
consents of a tenth of them in a database, read, held against their hashes and asked, as each decision does.

The peer is a loop over the rows in plain Python that asks the same conditions of one participant at a time; both answer
with the same set, which is checked. Birth dates, signatures and withdrawals are spread over
decades, so that few rows are alike.

Run: python -m tests.bench.consent [--json] [--rows N] [--runs N]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from policies.consent import ConsentTable, Use, permitted_of
from policies.purposes import Purpose

ON = date(2026, 11, 21)
USE = Use(
    purpose=Purpose(term="DS", diseases=("I45",)),
    place="hong_kong",
    recipient_kind="academic",
    recipient_name="Uni",
    on=ON,
)


def cohort(count: int) -> tuple[list[str], list[dict[str, str]]]:
    """Ids in random order, as random ids come, and a row for each."""
    dice = random.Random(7)
    return [f"{dice.getrandbits(128):032x}" for _ in range(count)], [_row(dice) for _ in range(count)]


def _row(dice: random.Random) -> dict[str, str]:
    def day(first: int, span: int) -> str:
        return str(date(first, 1, 1) + timedelta(days=dice.randrange(span)))

    return {
        "birth_date": day(1930, 33000), "age_band": "", "version": dice.choice("123"), "notice": "N",
        "signed_on": day(2015, 4300), "purposes": dice.choice(["DS", "GRU", "HMB;NCU", "POA", "DS;NPU"]),
        "diseases": dice.choice(["I", "I45", "C", "I30-I52;C50"]), "places": dice.choice(["mainland", "mainland;hong_kong"]),
        "recipient_kinds": "academic;hospital", "named_recipients": dice.choice(["Uni", "Uni;Other", "Other"]),
        "sensitive": "yes", "provision": "yes", "cross_border": dice.choice(["yes", "yes", "no"]),
        "guardian": dice.choice(["yes", "no"]), "reconsent_due": "",
        "withdrawn_on": day(2016, 4500) if dice.random() < 0.05 else "", "withdrawn_recorded_at": "",
    }  # fmt: skip


def plain_loop(ids: list[str], rows: list[dict[str, str]]) -> tuple[str, ...]:
    """The same question, one participant at a time, in the words of this benchmark's own cohort."""
    return tuple(sorted(name for name, row in zip(ids, rows, strict=True) if _permits(row)))


def _permits(row: dict[str, str]) -> bool:
    if row["withdrawn_on"] and date.fromisoformat(row["withdrawn_on"]) <= ON:
        return False
    if date.fromisoformat(row["signed_on"]) > ON or "hong_kong" not in row["places"].split(";"):
        return False
    if "Uni" not in row["named_recipients"].split(";") or "academic" not in row["recipient_kinds"].split(";"):
        return False
    if {row["sensitive"], row["provision"], row["cross_border"]} != {"yes"}:
        return False
    terms = row["purposes"].split(";")
    heart = {"I", "I45", "I30-I52"} & set(row["diseases"].split(";"))
    if not ({"GRU", "HMB"} & set(terms) or ("DS" in terms and heart)):
        return False
    return _of_age(row)


def _of_age(row: dict[str, str]) -> bool:
    born, signed = date.fromisoformat(row["birth_date"]), date.fromisoformat(row["signed_on"])
    majority = (born.year + 18, born.month, born.day)
    if born > ON:
        return False
    if majority > (ON.year, ON.month, ON.day):
        return row["guardian"] == "yes"
    return (signed.year, signed.month, signed.day) >= majority


def timed(task: Callable[[], Any], runs: int) -> tuple[dict[str, float], Any]:
    """Median wall and CPU seconds of the runs, and the last answer."""
    walls, cpus, answer = [], [], None
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        answer = task()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": statistics.median(cpus), "wall_s": statistics.median(walls), "peak_mb": round(peak)}, answer


def rows_of(count: int, runs: int) -> list[dict[str, Any]]:
    """Asking a prepared table against the plain loop over the same rows; and what preparing it costs."""
    ids, rows = cohort(count)
    prepared, table = timed(lambda: ConsentTable.of_rows(ids, rows), 1)
    asked, found = timed(lambda: permitted_of(table, USE), runs)
    loop, theirs = timed(lambda: plain_loop(ids, rows), 1)
    return [
        _line(f"ask a prepared table of {count}", asked, equal=found.ids == theirs, peer=("a plain loop", loop)),
        _line(f"prepare a table of {count} from rows", prepared, equal=None, why="no peer; once per consent table"),
    ]


def stored_rows(count: int, runs: int) -> list[dict[str, Any]]:
    """What one decision pays for the consents of ``count`` participants in SQLite: the first time, and again."""
    from gateway.consent_rows import consents_of, row_hash
    from gateway.store.tables import metadata
    from gateway.store.transactions import SqlUnitOfWork, open_engine

    ids, rows = cohort(count)
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/consents.db")
        metadata.create_all(engine)
        store, salt = SqlUnitOfWork(engine), bytes(16)
        stored = [
            {"id": one, "custodian_id": "c", "dataset_id": "d", "terms": terms, "withdrawn_recorded_at": None,
             "salt": salt, "row_hash": row_hash(one, terms, None, salt, one)}
            for one, terms in zip(ids, rows, strict=True)
        ]  # fmt: skip
        people = [{"id": one, "custodian_id": "c", "dataset_id": "d", "linkage": one} for one in ids]
        store.run(lambda tx: (tx.insert("consent", *stored), tx.insert("participant", *people)))
        first, consents = timed(lambda: store.read(lambda tx: consents_of(tx, "d")), 1)
        again, found = timed(lambda: permitted_of(store.read(lambda tx: consents_of(tx, "d")).table, USE), runs)
        engine.dispose()
    equal = not consents.wrong and found.ids == plain_loop(ids, rows)
    return [
        _line(
            f"read, prove and prepare {count} stored consents", first, equal=not consents.wrong, why="once per change"
        ),
        _line(f"read {count} stored consents again and ask them", again, equal=equal, why="each decision"),
    ]


def _line(task: str, ours: dict[str, float], *, equal: bool | None, why: str = "", peer: Any = None) -> dict[str, Any]:
    line: dict[str, Any] = {"task": task, "ours": ours, "equal_output": equal}
    if why:
        line["why"] = why
    if peer:
        name, theirs = peer
        line["peer"] = {"name": name, "version": "this commit", **theirs}
        line |= {f"ratio_{unit}": round(theirs[f"{unit}_s"] / ours[f"{unit}_s"], 1) for unit in ("cpu", "wall")}
    return line


def main() -> None:
    """Print a table, or one JSON object."""
    read = argparse.ArgumentParser()
    read.add_argument("--json", action="store_true")
    read.add_argument("--rows", type=int, default=1_000_000)
    read.add_argument("--runs", type=int, default=5)
    given = read.parse_args()
    rows = rows_of(given.rows, given.runs) + stored_rows(given.rows // 10, given.runs)
    if given.json:
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "versions": {}}
        print(json.dumps({"bench": "consent", "machine": machine, "rows": rows}))
        return
    for row in rows:
        ours, beside = row["ours"], row.get("why") or f"{row['ratio_wall']} times as fast as {row['peer']['name']}"
        print(f"{row['task']}: {ours['wall_s']:.3f} s wall, {ours['cpu_s']:.3f} s CPU ({beside})")


if __name__ == "__main__":
    main()
