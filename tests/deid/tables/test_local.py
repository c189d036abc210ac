"""Local recoding: kernel and twin agree, every promise is kept on random tables, and Adult loses far less."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deid import native
from deid.errors import ModelError
from deid.recipe import load_recipe
from deid.tables.core import core_table
from deid.tables.measures import Rule
from deid.tables.splitting import KINDS, Protected, Splitting, Tree, split, split_in_python
from tests.deid.tables.people import SIZES, hierarchy, make_people, recipe
from tests.deid.tables.test_search import ADULT, FILES, LADDERS, ROWS, Row

TREE = Tree(
    levels=np.array([[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 1, 2], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]]),
    costs=np.array([[0] * 6, [0.2, 0.2, 0.4, 0.4, 0.4, 0], [0.8, 0.8, 0.8, 0.8, 0.8, 0], [1.0] * 6]),
)


def lines(ranks: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.column_stack([ranks, weights, np.arange(len(weights))]).astype(np.int32)


def classes_of(task: Splitting, starts: np.ndarray) -> list[list[int]]:
    """The combinations of each class, in the order of the classes."""
    return [sorted(part.tolist()) for part in np.split(task.rows[:, -1], starts[1:])]


def again(task: Splitting) -> Splitting:
    return replace(task, rows=task.rows.copy())


def random_task(draw: np.random.Generator, rows: int, rules: tuple[Rule, ...]) -> Splitting:
    ranks = draw.integers(0, 6, (rows, 4))
    weights = draw.integers(1, 4, rows)
    whole = np.bincount(ranks[:, 3], weights, 6) / weights.sum()
    return Splitting(
        rows=lines(ranks, weights),
        quasi=(TREE, TREE, TREE),
        sensitive=(Protected(tree=TREE, whole=whole, rules=rules),),
        parts=np.array([0, rows // 3, rows]),
        k=int(draw.integers(1, 5)),
    )


@pytest.mark.parametrize("kind", [None, *KINDS[:-1]])
def test_the_kernel_and_its_twin_make_the_same_classes(kind: str | None) -> None:
    assert native.has_tables, "the kernel was not compiled, so it cannot be compared"
    limits = {"distinct": 2, "entropy": 1.7, "recursive": 2, "equal": 0.4, "ordered": 0.3, "hierarchical": 0.3}
    cut = 0
    for seed in range(40):
        rules = () if kind is None else (Rule(kind=kind, limit=limits[kind], c=2.5),)
        task = random_task(np.random.default_rng(seed), 20 + 5 * seed, rules)
        twin = again(task)
        starts, twice = split(task), split_in_python(twin)
        assert classes_of(task, starts) == classes_of(twin, twice)
        cut += len(starts) > 2
    assert cut > 10  # the rules let something be cut, and so something was compared


@pytest.mark.parametrize(("limit", "most"), [(1, 1.0), (4, 1.0), (6, 0.5), (3, 0.3)])
def test_with_people_of_a_population_both_make_the_same_classes_and_each_is_hidden(limit: int, most: float) -> None:
    cut = 0
    for seed in range(30):
        draw = np.random.default_rng(seed)
        ranks, weights = draw.integers(0, 6, (60, 4)), draw.integers(0, 2, 60)
        people = weights + draw.integers(0, 5, 60)
        weights[:3], people[:3] = 1, 30  # so that the whole is hidden to start with
        tree = Tree(levels=np.zeros((1, 31), int), costs=np.zeros((1, 31)))
        rule = Rule(kind="people", limit=limit, c=most)
        column = Protected(tree=tree, whole=np.zeros(31), rules=(rule,))
        rows = lines(np.column_stack([ranks[:, :3], people]), weights)
        task = Splitting(rows=rows, quasi=(TREE,) * 3, sensitive=(column,), parts=np.array([0, 60]), k=2)
        twin = again(task)
        starts, twice = split(task), split_in_python(twin)
        assert classes_of(task, starts) == classes_of(twin, twice)
        for members in classes_of(task, starts):
            here, there = weights[members].sum(), people[members].sum()
            assert here == 0 or (here >= 2 and there >= limit and here <= most * there + 1e-9)
        cut += len(starts) > 4
    assert cut > 15


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, st.integers(1, 6), st.sampled_from([1.0, 0.6]), st.booleans())
def test_whoever_is_written_could_be_as_many_people_of_the_population_as_was_promised(
    rows: list[Row], others: list[Row], k: int, most: float, kernel: bool
) -> None:
    """Everybody in the table is in the population; people who fit what is written are counted by their ladders."""
    population = [row[:3] for row in [*rows, *others]]
    table = "a,b,c\n" + "".join(",".join(person) + "\n" for person in population)
    files = {**FILES, "people.csv": table.encode()}
    models = (
        f"[{{k-map: {{k: {k}, population: people.csv}}}}, {{delta-presence: {{most: {most}, population: people.csv}}}}]"
    )
    source = "id,a,b,c,d\n" + "".join(f"{n}," + ",".join(row) + "\n" for n, row in enumerate(rows))
    codes = {str(n): f"c{n:03d}" for n in range(len(rows))}
    assume(len(population) >= k and len(rows) <= most * len(population))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "has_tables", kernel)
        sink = io.BytesIO()
        recipe = load_recipe(text_of(models), files=files.__getitem__)
        report = core_table(recipe, io.BytesIO(source.encode()), sink, participants=codes).report
    written = [tuple(row.values())[1:4] for row in pq.read_table(io.BytesIO(sink.getvalue())).to_pylist()]
    assert len(written) == len(rows)
    fits = {
        box: sum(
            all(value in LADDERS[n][own] for n, value, own in zip("abc", box, one, strict=True)) for one in population
        )
        for box in set(written)
    }
    assert min(fits.values()) >= report["models"]["k-map"]["reached"] >= k
    assert all(count <= most * fits[box] + 1e-9 for box, count in Counter(written).items())
    assert report["models"]["delta-presence"]["reached"] <= most + 1e-9
    assert report["risk"]["after"]["journalist_max"] >= 1 / min(fits.values()) - 1e-12


def test_a_part_that_fails_diversity_is_suppressed_and_the_rest_is_cut() -> None:
    """Two trees without a common top: the part on one tree has one value only."""
    FILES["apart.csv"] = b"p;u\nq;u\nr;v\ns;v\n"
    rows: list[Row] = [("1", "pq"[n % 2], "m", "IJ"[n % 2]) for n in range(12)] + [("2", "r", "f", "K")] * 2
    text = text_of("[{k-anonymity: {k: 2}}, {l-diversity: {l: 2, column: d}}]", 0.2)
    text = text.replace(b"generalise: b.csv", b"generalise: apart.csv")
    report, written, _ = release(rows, text)
    assert report["removed"]["suppressed"] == 2
    assert len(written) == 12


def test_a_high_column_of_few_rows_is_read_the_same_by_both() -> None:
    """The kernel sorts where a column has far more values than rows; the answer must not change."""
    draw = np.random.default_rng(5)
    wide = Tree(levels=np.stack([np.arange(900), np.arange(900) // 30, np.zeros(900, int)]), costs=np.zeros((3, 900)))
    wide.costs[1], wide.costs[2] = 29 / 899, 1.0
    ranks, weights = draw.integers(0, 900, (300, 2)), np.ones(300, int)
    task = Splitting(rows=lines(ranks, weights), quasi=(wide, wide), sensitive=(), parts=np.array([0, 300]), k=2)
    twin = again(task)
    found = classes_of(task, split(task))
    assert found == classes_of(twin, split_in_python(twin))
    assert len(found) > 20


@pytest.mark.parametrize("broken", ["code", "weight", "parts", "levels"])
def test_the_kernel_refuses_arrays_that_would_make_it_read_past_an_end(broken: str) -> None:
    task = random_task(np.random.default_rng(1), 30, ())
    if broken == "code":
        task.ranks[7, 2] = 6
    elif broken == "weight":
        task.weights[3] = 0
    elif broken == "parts":
        task.parts[-1] = 31
    else:
        task.quasi[0].levels[1, 1] = 99
    try:
        with pytest.raises(ValueError, match="do not fit"):
            split(task)
    finally:
        TREE.levels[1, 1] = 0


def text_of(models: str, share: float = 0.0) -> bytes:
    return (
        "recipe: r\nversion: 1\nkind: table\ntier: open\ncolumns:\n  id: {role: identifier, transform: pseudonym}\n"
        + "".join(f"  {name}: {{role: quasi, transform: {{generalise: {name}.csv}}}}\n" for name in "abc")
        + f"  d: {{role: sensitive}}\nmodels: {models}\nsuppression-limit: {share}\nsearch: {{method: local-recoding}}\n"
    ).encode()


def release(rows: list[Row], text: bytes) -> tuple[dict[str, Any], list[Row], bytes]:
    source = "id,a,b,c,d\n" + "".join(f"{n}," + ",".join(row) + "\n" for n, row in enumerate(rows))
    sink = io.BytesIO()
    people = {str(n): f"c{n:03d}" for n in range(len(rows))}
    recipe = load_recipe(text, files=FILES.__getitem__)
    report = core_table(recipe, io.BytesIO(source.encode()), sink, participants=people).report
    written = [tuple(row.values()) for row in pq.read_table(io.BytesIO(sink.getvalue())).to_pylist()]
    return report, written, sink.getvalue()


@settings(max_examples=100, deadline=None)
@given(ROWS, st.integers(1, 5), st.integers(1, 3), st.sampled_from([1.0, 0.5, 0.25]))
def test_every_class_keeps_every_promise_and_no_value_is_invented(
    rows: list[Row], k: int, least: int, close: float
) -> None:
    models = f"[{{k-anonymity: {{k: {k}}}}}, {{l-diversity: {{l: {least}, column: d}}}}, {{t-closeness: {{t: {close}, column: d}}}}]"
    assume(len(rows) >= k and len({row[3] for row in rows}) >= least)
    report, written, first = release(rows, text_of(models))
    assert len(written) == len(rows)
    assert report["removed"]["suppressed"] == 0
    whole = Counter(row[3] for row in rows)
    classes: dict[Row, Counter[str]] = {}
    loss = 0.0
    for number, *values, d in written:
        row = rows[int(number[1:])]
        for name, at, before, after in zip("abc", range(3), row, values, strict=False):
            ladder = LADDERS[name][before]
            assert after in ladder, (name, at)
            level = ladder.index(after)
            loss += (sum(one[level] == after for one in LADDERS[name].values()) - 1) / (len(LADDERS[name]) - 1)
        assert d == row[3]
        classes.setdefault(tuple(values), Counter())[d] += 1
    for held in classes.values():
        assert held.total() >= k
        assert len(held) >= least
        assert sum(abs(held[v] / held.total() - whole[v] / len(rows)) for v in whole) / 2 <= close + 1e-9
    assert report["utility"]["ncp"] == pytest.approx(loss / (3 * len(rows)))
    assert release(rows, text_of(models))[2] == first


def test_a_table_smaller_than_k_is_refused() -> None:
    with pytest.raises(ModelError, match="suppression-limit"):
        release([("1", "p", "m", "I")] * 3, text_of("[{k-anonymity: {k: 4}}]"))


def test_a_class_that_fails_at_the_very_top_is_suppressed_within_the_limit() -> None:
    """``b`` ends in two groups, so its lone person in the second one can share a class with nobody."""
    FILES["split.csv"] = b"p;u\nq;u\nr;v\n"
    text = text_of("[{k-anonymity: {k: 2}}]", 0.34).replace(b"generalise: b.csv", b"generalise: split.csv")
    rows: list[Row] = [("1", "p", "m", "I"), ("2", "q", "m", "I"), ("3", "r", "m", "I")]
    report, written, _ = release(rows, text)
    assert report["removed"]["suppressed"] == 1
    assert [row[0] for row in written] == ["c000", "c001"]
    with pytest.raises(ModelError):
        release(rows, text.replace(b"0.34", b"0.3"))


ASKED = {
    "k": ("[{k-anonymity: {k: 5}}]", 0.09),
    "k and l": ("[{k-anonymity: {k: 5}}, {l-diversity: {l: 2, column: salary-class}}]", 0.15),
    "k and t": ("[{k-anonymity: {k: 5}}, {t-closeness: {t: 0.2, column: salary-class}}]", 0.40),
}


@pytest.mark.parametrize("asked", list(ASKED))
def test_adult_loses_less_than_nine_in_a_hundred_at_k_5_with_nobody_suppressed(shared_data: Path, asked: str) -> None:
    models, most = ASKED[asked]
    folder = shared_data / "deid" / "tabular"
    lines = (folder / "adult.csv").read_text().splitlines()
    source = "\n".join([f"id;{lines[0]}", *(f"{n};{line}" for n, line in enumerate(lines[1:]))])
    text = (
        "recipe: adult\nversion: 1\nkind: table\ntier: controlled\ninput: {delimiter: ';'}\ncolumns:\n"
        "  id: {role: identifier, transform: pseudonym}\n  salary-class: {role: sensitive}\n"
        + "".join(f"  {n}: {{role: quasi, transform: {{generalise: adult_hierarchy_{n}.csv}}}}\n" for n in ADULT)
        + f"models: {models}\nsearch: {{method: local-recoding}}\n"
    )
    recipe = load_recipe(text.encode(), files=lambda name: (folder / name).read_bytes())
    people = {str(n): f"c{n:06d}" for n in range(len(lines) - 1)}
    sink = io.BytesIO()
    report = core_table(recipe, io.BytesIO(source.encode()), sink, participants=people).report
    assert report["output"]["records"] == 30_162
    assert report["utility"]["ncp"] <= most
    table = pq.read_table(io.BytesIO(sink.getvalue())).to_pylist()
    assert min(Counter(tuple(row[name] for name in ADULT) for row in table).values()) >= 5


def test_without_a_compiler_the_same_bytes_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(8)
    rows: list[Row] = [
        ("1234"[draw.integers(4)], "pqrs"[draw.integers(4)], "mf"[draw.integers(2)], "IJK"[draw.integers(3)])
        for _ in range(150)
    ]
    text = text_of("[{k-anonymity: {k: 3}}, {l-diversity: {l: 2, column: d}}]")
    first = release(rows, text)
    monkeypatch.setattr(native, "has_tables", False)
    assert release(rows, text) == first


@pytest.mark.slow
def test_a_hundred_thousand_people_with_ten_quasi_identifiers_keep_k(tmp_path: Path) -> None:
    """k counted by DuckDB on the written file."""
    path, sink = tmp_path / "people.parquet", io.BytesIO()
    make_people(path, 100_000)
    plan = load_recipe(recipe(6, "local-recoding").encode(), files=lambda name: hierarchy(name[:-4]))
    people = {f"H{n:08d}": f"c{n:08d}" for n in range(100_000)}
    with path.open("rb") as source:
        report = core_table(plan, source, sink, participants=people).report
    (tmp_path / "out.parquet").write_bytes(sink.getvalue())
    columns = ", ".join(SIZES)
    query = f"select min(n), sum(n) from (select count(*) n from read_parquet(?) group by {columns})"  # noqa: S608
    ((least, rows),) = duckdb.connect(config={"threads": 1}).execute(query, [str(tmp_path / "out.parquet")]).fetchall()
    assert (least, rows) == (report["risk"]["after"]["k"], 100_000)
    assert least >= 6
    assert report["utility"]["ncp"] < 0.25
