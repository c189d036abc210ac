"""Every measure of diversity and closeness equals its definition worked out with plain loops; models end to end."""

from __future__ import annotations

import io
import itertools
import math
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deid.errors import DeidError, ModelError, RecipeError, TableError
from deid.recipe import load_recipe
from deid.tables.core import core_table
from deid.tables.measures import Classes, Rule, Sensitive, measure

TREE = np.array([[0, 1, 2, 3, 4], [0, 0, 1, 1, 2], [0, 0, 0, 0, 0]])
ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=30)


def transport(have: list[float], want: list[float], distance: Any) -> float:
    """Earth mover's distance by successive shortest augmenting paths on exact small problems: a min-cost flow."""
    size = len(have)
    supply = [max(a - b, 0) for a, b in zip(have, want, strict=True)]
    demand = [max(b - a, 0) for a, b in zip(have, want, strict=True)]
    flow = [[0.0] * size for _ in range(size)]
    total = 0.0
    while max(supply) > 1e-12:
        # Bellman-Ford over supply nodes 0..n-1 and demand nodes n..2n-1.
        dist, before = [0.0 if s > 1e-12 else math.inf for s in supply] + [math.inf] * size, [-1] * (2 * size)
        for _ in range(2 * size):
            for i, j in itertools.product(range(size), range(size)):
                if dist[i] + distance(i, j) < dist[size + j] - 1e-12:
                    dist[size + j], before[size + j] = dist[i] + distance(i, j), i
                if flow[i][j] > 1e-12 and dist[size + j] - distance(i, j) < dist[i] - 1e-12:
                    dist[i], before[i] = dist[size + j] - distance(i, j), size + j
        end = min((size + j for j in range(size) if demand[j] > 1e-12), key=dist.__getitem__)
        path = [end]
        while before[path[-1]] >= 0:
            path.append(before[path[-1]])
        path.reverse()
        amount = min(supply[path[0]], demand[end - size])
        for a, b in itertools.pairwise(path):
            if a >= size:
                amount = min(amount, flow[b][a - size])
        for a, b in itertools.pairwise(path):
            if a < size:
                flow[a][b - size] += amount
            else:
                flow[b][a - size] -= amount
        supply[path[0]] -= amount
        demand[end - size] -= amount
        total += amount * dist[end]
    return total


def by_definition(kind: str, rows: list[tuple[int, int, int]]) -> list[float]:
    held: dict[int, Counter[int]] = defaultdict(Counter)
    whole: Counter[int] = Counter()
    for of, value, weight in rows:
        held[of][value] += weight
        whole[value] += weight
    return [of_class(kind, held[of], whole) for of in sorted(held)]


def of_class(kind: str, counts: Counter[int], whole: Counter[int]) -> float:
    shares = [counts[v] / counts.total() for v in range(5)]
    wants = [whole[v] / whole.total() for v in range(5)]
    falling = sorted(counts.values(), reverse=True)
    tail = sum(falling[1:])
    if kind == "distinct":
        return len(counts)
    if kind == "entropy":
        return math.prod(s**-s for s in shares if s)
    if kind == "recursive":
        return falling[0] / tail if tail else math.inf
    distance = {
        "equal": lambda i, j: float(i != j),
        "ordered": lambda i, j: abs(i - j) / 4,
        "hierarchical": lambda i, j: next(k for k in range(3) if TREE[k, i] == TREE[k, j]) / 2,
    }[kind]
    return transport(shares, wants, distance)


@pytest.mark.parametrize("kind", ["distinct", "entropy", "recursive", "equal", "ordered", "hierarchical"])
@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_each_measure_is_its_definition(kind: str, rows: list[tuple[int, int, int]]) -> None:
    used = sorted({row[0] for row in rows})
    classes = Classes(
        of=np.array([used.index(row[0]) for row in rows]), count=len(used), weights=np.array([row[2] for row in rows])
    )
    column = Sensitive(name="s", codes=np.array([row[1] for row in rows]), count=5, tree=TREE)
    assert measure(Rule(kind=kind, limit=2, c=1), classes, column) == pytest.approx(by_definition(kind, rows))


def text_of(models: str, method: str = "full-domain", share: float = 0.3) -> bytes:
    return (
        "recipe: r\nversion: 1\nkind: table\ntier: open\ncolumns:\n  id: {role: identifier, transform: pseudonym}\n"
        "  a: {role: quasi, transform: {generalise: {intervals: [2, 4, 8]}}}\n"
        "  b: {role: quasi, transform: {generalise: {all-or-nothing: true}}}\n"
        f"  s: {{role: sensitive}}\nmodels: {models}\nsuppression-limit: {share}\nsearch: {{method: {method}}}\n"
    ).encode()


def source_of(rows: int) -> list[tuple[str, str, str]]:
    draw = np.random.default_rng(4)
    return [(str(draw.integers(0, 16)), "xyz"[draw.integers(0, 3)], str(draw.integers(0, 5))) for _ in range(rows)]


def run(text: bytes, files: dict[str, bytes] | None = None, rows: int = 200) -> tuple[dict[str, Any], list[Any]]:
    source = "id,a,b,s\n" + "".join(f"{n},{','.join(row)}\n" for n, row in enumerate(source_of(rows)))
    recipe, sink = load_recipe(text, files=(files or {}).__getitem__), io.BytesIO()
    people = {str(n): f"c{n:03d}" for n in range(rows)}
    report = core_table(recipe, io.BytesIO(source.encode()), sink, participants=people).report
    return report, pq.read_table(io.BytesIO(sink.getvalue())).to_pylist()


TREE_FILE = b"0;low;*\n1;low;*\n2;mid;*\n3;mid;*\n4;high;*\n"
ASKED = {
    "entropy": "{l-diversity: {l: 2.5, column: s, kind: entropy}}",
    "recursive": "{l-diversity: {l: 2, column: s, kind: recursive, c: 2}}",
    "ordered": "{t-closeness: {t: 0.15, column: s, distance: ordered}}",
    "hierarchical": "{t-closeness: {t: 0.25, column: s, distance: hierarchical, hierarchy: t.csv}}",
}


@pytest.mark.parametrize("method", ["full-domain", "local-recoding"])
@pytest.mark.parametrize("kind", list(ASKED))
def test_each_model_holds_in_what_is_written(kind: str, method: str) -> None:
    report, table = run(text_of(f"[{{k-anonymity: {{k: 3}}}}, {ASKED[kind]}]", method), {"t.csv": TREE_FILE})
    names = sorted({(row["a"], row["b"]) for row in table})
    found = by_definition(kind, [(names.index((row["a"], row["b"])), int(row["s"]), 1) for row in table])
    limit = {"entropy": 2.5, "recursive": 2, "ordered": 0.15, "hierarchical": 0.25}[kind]
    worst = min(found) if kind == "entropy" else max(found)
    assert worst >= limit if kind == "entropy" else worst <= limit + 1e-9
    (reached,) = [model["reached"] for name, model in report["models"].items() if name != "k-anonymity"]
    assert reached == pytest.approx(worst)
    assert len(names) > 1


def population(times: int, missing: str = "") -> bytes:
    rows = [row for row in source_of(200) if row[0] != missing]
    return ("a,b\n" + "".join(f"{a},{b}\n" for a, b, _ in rows) * times).encode()


def test_k_map_counts_the_people_of_the_population_and_not_those_of_the_table() -> None:
    files = {"p.csv": population(3)}
    report, table = run(text_of("[{k-map: {k: 15, population: p.csv}}]", share=0.0), files)
    held = Counter((row["a"], row["b"]) for row in table)
    assert report["models"]["k-map"]["reached"] == 3 * min(held.values()) >= 15
    assert min(held.values()) < 15


def test_delta_presence_bounds_the_share_of_the_population_that_is_in_the_table() -> None:
    files = {"p.csv": population(2, missing="3") + b"3,x\n" * 3 + b"3,y\n" * 9 + b"3,z\n" * 9}
    report, table = run(text_of("[{delta-presence: {least: 0.1, most: 0.6, population: p.csv}}]"), files)
    assert report["models"]["delta-presence"]["reached"] <= 0.6
    assert len(table) >= 140


def test_a_table_with_people_the_population_lacks_is_refused() -> None:
    files = {"p.csv": population(3)[:40]}
    with pytest.raises(ModelError):
        run(text_of("[{k-map: {k: 300, population: p.csv}}]", share=0.0), files)


@pytest.mark.parametrize(
    ("models", "files", "kind", "words"),
    [
        (
            "[{k-map: {k: 2, population: p.csv}}]",
            {"p.csv": b"a\n1\n"},
            TableError,
            "population: the recipe names column",
        ),
        ("[{k-map: {k: 2, population: p.csv}}]", {"p.csv": b"a,b\nold,x\n"}, TableError, "a number is expected"),
        (f"[{ASKED['hierarchical']}]", {"t.csv": b"0;*\n1;*\n"}, TableError, "no line for 3"),
        (f"[{ASKED['hierarchical']}]", {"t.csv": b"0;u\n1;v\n2;v\n3;v\n4;v\n"}, RecipeError, "one group"),
    ],
)
def test_a_file_that_does_not_fit_its_model_is_refused(
    models: str, files: dict[str, bytes], kind: type[DeidError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        run(text_of(models), files)


def test_an_ordered_distance_of_words_is_refused() -> None:
    text = text_of("[{t-closeness: {t: 0.2, column: b, distance: ordered}}]").replace(
        b"b: {role: quasi, transform: {generalise: {all-or-nothing: true}}}", b"b: {role: sensitive}"
    )
    with pytest.raises(TableError, match="numbers or dates"):
        run(text)
