"""One transform a file: each says its technique, and each is reached from a recipe and does what it says."""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deid.recipe import load_recipe
from deid.tables.standalone import deidentify, pseudonyms

KEY = b"k" * 32
FAMILIES = "statistics|suppression|pseudonymisation|generalisation|randomisation"
SAID = re.compile(rf"GB/T 37964-2019, Annex A: (?:nearest to )?(?:{FAMILIES})\b.* ?\([\u4e00-\u9fff]+\)[^.]*\.\Z")
LONGEST = 60
NUMBERS = [str(n) for n in range(60)]
FILES = {"h.csv": b"flu;lung;*\nasthma;lung;*\nulcer;gut;*\n"}
Rows = list[dict[str, Any]]


def insensitive(transform: str) -> str:
    return f"{{role: insensitive, transform: {transform}}}"


def exactly(*wanted: str | None) -> Callable[[Rows], bool]:
    return lambda rows: [row["v"] for row in rows] == [*wanted]


def moved_by_whole_days(rows: Rows) -> bool:
    """Everybody was at 2024-03-01: each moves, nobody further than half a year, not all alike."""
    days = [(date.fromisoformat(row["v"]) - date(2024, 3, 1)).days for row in rows]
    return 0 not in days and max(map(abs, days)) <= 182 and len(set(days)) > 1


def near_and_moved(rows: Rows) -> bool:
    away = [abs(float(row["v"]) - n) for n, row in enumerate(rows)]
    return sum(away) > 0 and max(away) < 60


def of_the_column_and_moved(rows: Rows) -> bool:
    found = [row["v"] for row in rows]
    return set(found) <= set(NUMBERS) and found != NUMBERS


def permuted(rows: Rows) -> bool:
    found = [row["v"] for row in rows]
    return found != NUMBERS and sorted(found) == sorted(NUMBERS)


def named_by_the_key(rows: Rows) -> bool:
    return all(re.fullmatch("P[A-Z2-7]{16}", row["id"]) for row in rows) and len({row["id"] for row in rows}) == 60


# file: the rule of column v, further lines of the recipe, the cells, what must be found (rows in the source's order)
CASES: Mapping[str, tuple[str, str, list[str], Callable[[Rows], bool]]] = {
    "all_or_nothing": (
        insensitive("{generalise: {all-or-nothing: true, level: 1}}"),
        "",
        ["a", "b"],
        exactly("*", "*"),
    ),
    "bottom_coding": (insensitive("{bottom: 18}"), "", ["7", "30"], exactly("18", "30")),
    "date_shift": (insensitive("date-shift"), "", ["2024-03-01"] * 60, moved_by_whole_days),
    "dates": (insensitive("{date: quarter}"), "", ["2024-03-01", "2024年4月1日"], exactly("2024-Q1", "2024-Q2")),
    "dropping": ("{role: text, transform: drop}", "", ["called his mother"], lambda rows: set(rows[0]) == {"id"}),
    "hierarchy_files": (
        insensitive("{generalise: {file: h.csv, level: 1}}"),
        "",
        ["flu", "ulcer", "asthma"],
        exactly("lung", "gut", "lung"),
    ),
    "intervals": (insensitive("{interval: {width: 10, start: 5}}"), "", ["4", "15"], exactly("[-5,5)", "[15,25)")),
    "local_suppression": (insensitive("{local-suppression: {below: 2}}"), "", ["a", "b", "a"], exactly("a", None, "a")),
    "masking": (insensitive('{mask: {keep: 1, with: "#"}}'), "", ["Chan", "Li"], exactly("C###", "L###")),
    "micro_aggregation": (
        insensitive("{micro-aggregate: {size: 2}}"),
        "",
        ["1", "20", "3", "10"],
        exactly("2", "15", "2", "15"),
    ),
    "noise": (insensitive("{noise: {scale: 2, round: 0.5}}"), "", NUMBERS, near_and_moved),
    "order": (
        insensitive("{generalise: {order: {values: [none, mild, severe], sizes: [2]}, level: 1}}"),
        "",
        ["mild", "severe", "none"],
        exactly("none..mild", "severe", "none..mild"),
    ),
    "places": (
        insensitive("{generalise: {places: true, level: 2}}"),
        "",
        ["广东省深圳市南山区", "440305"],
        exactly("广东省", "44"),
    ),
    "pram": (insensitive("{pram: {stay: 0.5}}"), "", NUMBERS, of_the_column_and_moved),
    "prefixes": (insensitive("{prefix: 2}"), "", ["5180", "9990"], exactly("51", "99")),
    "pseudonyms": (insensitive("keep"), "", NUMBERS, named_by_the_key),
    "record_suppression": (
        "{role: quasi}",
        "models: [{k-anonymity: {k: 2}}]\nsuppression-limit: 0.4\n",
        ["a", "b", "a"],
        exactly("a", "a"),
    ),
    "rounding": (insensitive("{round: 5}"), "", ["12", "13"], exactly("10", "15")),
    "row_order": (insensitive("keep"), "", NUMBERS, exactly(*NUMBERS)),
    "sampling": (insensitive("keep"), "sample: 0.5\n", NUMBERS, lambda rows: 15 < len(rows) < 45),
    "swapping": (insensitive("{swap: {share: 0.5}}"), "", NUMBERS, permuted),
    "top_coding": (insensitive("{top: 90}"), "", ["95", "30"], exactly("90", "30")),
}


def folder(repository: Path) -> list[Path]:
    return [path for path in sorted((repository / "deid/tables/transforms").glob("*.py")) if path.stem != "__init__"]


def test_every_file_is_shown_and_nothing_is_shown_that_has_no_file(repository: Path) -> None:
    assert [path.stem for path in folder(repository)] == [*CASES]


def test_every_file_is_small_and_its_head_names_the_technique(repository: Path) -> None:
    for path in folder(repository):
        text = path.read_text("utf-8")
        head = ast.get_docstring(ast.parse(text)) or ""
        assert SAID.match(head.split("\n\n")[1]), f"{path.stem} does not say which technique of GB/T 37964-2019 it is"
        assert len(text.splitlines()) <= LONGEST, path.stem


@pytest.mark.parametrize("name", CASES)
def test_a_recipe_reaches_the_transform_and_it_does_what_it_says(name: str, repository: Path) -> None:
    rule, more, cells, holds = CASES[name]
    text = (
        "recipe: r\nversion: 1\nkind: table\ntier: open\ncolumns:\n  id: {role: identifier, transform: pseudonym}\n"
        f"  v: {rule}\n{more}"
    )
    ids = [f"person {n:03d}" for n in range(len(cells))]
    source = "id,v\n" + "".join(f"{one},{cell}\n" for one, cell in zip(ids, cells, strict=True))
    sink = io.BytesIO()
    recipe = load_recipe(text.encode(), files=FILES.__getitem__)
    entered = files_entered(lambda: deidentify(recipe, io.BytesIO(source.encode()), sink, key=KEY))
    assert str(repository / "deid/tables/transforms" / f"{name}.py") in entered
    rows = pq.read_table(io.BytesIO(sink.getvalue())).to_pylist()
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    at = {one: place for place, one in enumerate(pseudonyms(KEY, pa.array(ids)).to_pylist())}
    places = [at[row["id"]] for row in rows]
    assert len(places) < 10 or places != sorted(places)
    assert holds(sorted(rows, key=lambda row: at[row["id"]]))


def files_entered(task: Callable[[], object]) -> set[str]:
    """The files of which any function ran."""
    found: set[str] = set()

    def seen(frame: FrameType, event: str, argument: object) -> None:
        found.add(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        task()
    finally:
        sys.setprofile(before)
    return found
