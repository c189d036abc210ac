"""Transforms that look at a whole column, and builders of order and places: what each promises, and what it must never do."""

from __future__ import annotations

import io
import math
import statistics
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deid.errors import RecipeError, TableError
from deid.recipe import load_recipe
from deid.tables.columnar import Column
from deid.tables.core import core_table
from deid.tables.draws import draw
from deid.tables.transforms.local_suppression import suppress_rare
from deid.tables.transforms.micro_aggregation import micro_aggregate
from deid.tables.transforms.places import place_above
from deid.tables.values import UnreadableError

PEOPLE = 400
VALUES = [str(n * 37 % 101) for n in range(PEOPLE)]


def seeds(count: int = PEOPLE) -> dict[str, bytes]:
    return {f"c{n:04d}": f"seed of {n}".encode() for n in range(count)}


def run(transform: str, values: list[str] = VALUES, more: str = "", **given: Any) -> tuple[dict[str, Any], list[Any]]:
    text = (
        "recipe: r\nversion: 1\nkind: table\ntier: open\ncolumns:\n  id: {role: identifier, transform: pseudonym}\n"
        f"  v: {{role: insensitive, transform: {transform}}}\n{more}"
    )
    source = "id,v\n" + "".join(f"{n},{value}\n" for n, value in enumerate(values))
    sink = io.BytesIO()
    people = {str(n): f"c{n:04d}" for n in range(len(values))}
    arguments = {"seeds": seeds(len(values)), **given}
    outcome = core_table(
        load_recipe(text.encode(), files={}.__getitem__),
        io.BytesIO(source.encode()),
        sink,
        participants=arguments.pop("participants", people),
        **arguments,
    )
    return outcome.report, pq.read_table(io.BytesIO(sink.getvalue())).to_pylist()


DRAWN = ["{noise: {scale: 4, round: 0.5}}", "{pram: {stay: 0.6}}", "{swap: {share: 0.5}}"]


@pytest.mark.parametrize("transform", DRAWN)
def test_what_is_drawn_hangs_on_the_seeds_alone_and_nobody_leaves_without_one(transform: str) -> None:
    first = run(transform)[1]
    assert first == run(transform)[1]
    other = {code: seed + b"!" for code, seed in seeds().items()}
    assert first != run(transform, seeds=other)[1]
    assert [row["v"] for row in first] != VALUES
    with pytest.raises(TableError, match="no seed"):
        run(transform, seeds=dict(list(seeds().items())[:-1]))


def test_a_person_withdrawn_changes_nobody_elses_place_in_the_sample() -> None:
    transform, more = "keep", "sample: 0.5\n"
    fewer = {str(n): f"c{n:04d}" for n in range(PEOPLE) if n % 7}
    whole = {row["id"]: row["v"] for row in run(transform, more=more)[1]}
    part = {row["id"]: row["v"] for row in run(transform, more=more, participants=fewer)[1]}
    assert part == {code: value for code, value in whole.items() if int(code[1:]) % 7}


def test_noise_has_the_spread_of_two_laplace_numbers_and_lies_on_the_grid() -> None:
    table = run("{noise: {scale: 4, round: 0.5}}")[1]
    moved = [float(row["v"]) - float(value) for row, value in zip(table, VALUES, strict=True)]
    assert all(float(row["v"]) * 2 == int(float(row["v"]) * 2) for row in table)
    assert abs(statistics.median(moved)) < 1
    assert statistics.mean(abs(one) for one in moved) == pytest.approx(
        1.5 * 4 / math.sqrt(2), rel=0.12
    )  # mean |x| of the sum of two is 1.5 scales


def test_pram_keeps_the_share_it_should_and_invents_no_value() -> None:
    values = [["A", "B", "B", "C"][n % 4] for n in range(PEOPLE)]
    table = [row["v"] for row in run("{pram: {stay: 0.6}}", values)[1]]
    assert set(table) <= set(values)
    same = sum(a == b for a, b in zip(table, values, strict=True)) / PEOPLE
    assert same == pytest.approx(0.6 + 0.4 * (0.5**2 + 2 * 0.25**2), abs=0.07)
    assert Counter(table)["B"] / PEOPLE == pytest.approx(0.5, abs=0.08)


def test_swapping_keeps_every_value_as_often_and_moves_numbers_little() -> None:
    table = [row["v"] for row in run("{swap: {share: 0.5}}")[1]]
    assert Counter(table) == Counter(VALUES)
    moved = [abs(int(a) - int(b)) for a, b in zip(table, VALUES, strict=True) if a != b]
    assert 0.2 * PEOPLE < len(moved) < 0.6 * PEOPLE
    assert max(moved) <= 6


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-50, 50)), min_size=1, max_size=60), st.integers(2, 7))
def test_micro_aggregation_keeps_the_mean_and_leaves_no_group_too_small(cells: list[int | None], size: int) -> None:
    column = Column.of([None if cell is None else str(cell) for cell in cells])
    made = micro_aggregate(column, size).cells()
    assert [cell is None for cell in cells] == [cell is None for cell in made]
    there = [(cell, float(new)) for cell, new in zip(cells, made, strict=True) if cell is not None and new is not None]
    if len(there) >= size:
        assert min(Counter(new for _, new in there).values()) >= size
    if there:
        assert math.fsum(new for _, new in there) == pytest.approx(sum(cell for cell, _ in there), abs=1e-3)
    assert sorted(there) == sorted(there, key=lambda pair: (pair[1], pair[0]))


def test_a_rare_value_is_emptied_and_a_common_one_stays() -> None:
    assert suppress_rare(Column.of(["a", "b", "a", None, "c", "c"]), 2).cells() == ["a", None, "a", None, "c", "c"]


def test_sampling_says_how_many_it_left_out() -> None:
    report, table = run("keep", more="sample: 0.5\n")
    assert report["removed"]["not_sampled"] == PEOPLE - len(table)
    assert 0.4 * PEOPLE < len(table) < 0.6 * PEOPLE
    with pytest.raises(TableError, match="sample is empty"):
        run("keep", ["1"], more="sample: 0.000001\n")


def test_draws_are_even_and_differ_from_column_to_column() -> None:
    codes = pa.array(list(seeds()))
    first, second = draw(seeds(), codes, "a"), draw(seeds(), codes, "b")
    assert 0 <= first.min() < 0.02 < 0.98 < first.max() < 1
    assert abs(float(first.mean()) - 0.5) < 0.05
    assert abs(float(((first - 0.5) * (second - 0.5)).mean())) < 0.02


@pytest.mark.parametrize("transform", ["{noise: {scale: 1, round: 1}}", "{micro-aggregate: {size: 2}}"])
def test_a_value_that_is_no_number_is_refused_by_row_without_showing_it(transform: str) -> None:
    with pytest.raises(TableError, match="data row 2: a number is expected") as caught:
        run(transform, ["1", "secret"])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "above"),
    [
        ("广东省深圳市南山区", ("广东省深圳市", "广东省")),
        ("深圳市南山区", ("深圳市", "深圳市")),
        ("北京市朝阳区", ("北京市", "北京市")),
        ("新疆维吾尔自治区伊犁哈萨克自治州伊宁市", ("新疆维吾尔自治区伊犁哈萨克自治州", "新疆维吾尔自治区")),
        ("440305", ("4403", "44")),
    ],
)
def test_a_place_lies_in_its_city_and_province(place: str, above: tuple[str, str]) -> None:
    assert place_above(place) == above


def test_a_place_that_names_none_is_refused() -> None:
    with pytest.raises(UnreadableError):
        place_above("somewhere")


BUILT = "columns:\n  id: {role: identifier, transform: pseudonym}\n"


def built(builder: str, level: int, cells: list[str]) -> list[str]:
    text = (
        f"recipe: r\nversion: 1\nkind: table\ntier: open\n{BUILT}"
        f"  v: {{role: quasi, transform: {{generalise: {{{builder}, level: {level}}}}}}}\nsearch: {{method: as-written}}\n"
    )
    source = "id,v\n" + "".join(f"{n},{cell}\n" for n, cell in enumerate(cells))
    sink = io.BytesIO()
    recipe = load_recipe(text.encode(), files={}.__getitem__)
    people = {str(n): f"c{n}" for n in range(len(cells))}
    core_table(recipe, io.BytesIO(source.encode()), sink, participants=people)
    return [row["v"] for row in pq.read_table(io.BytesIO(sink.getvalue())).to_pylist()]


ORDER = "order: {values: [none, mild, moderate, severe, fatal], sizes: [2, 4]}"


def test_an_order_groups_neighbours_and_climbs_to_one_group() -> None:
    cells = ["mild", "none", "severe", "fatal"]
    assert built(ORDER, 0, cells) == cells
    assert built(ORDER, 1, cells) == ["none..mild", "none..mild", "moderate..severe", "fatal"]
    assert built(ORDER, 2, cells) == ["none..severe", "none..severe", "none..severe", "fatal"]
    assert built(ORDER, 3, cells) == ["*"] * 4
    assert built("places: true", 2, ["广东省深圳市南山区", "广东省广州市天河区"]) == ["广东省"] * 2


def test_a_value_the_order_does_not_list_is_refused_by_row() -> None:
    with pytest.raises(TableError, match="data row 2: a value of the order"):
        built(ORDER, 1, ["mild", "secret"])


@pytest.mark.parametrize(
    ("builder", "words"),
    [
        ("order: {values: [a, a], sizes: [2]}", "twice"),
        ("order: {values: [a, b], sizes: [2, 3]}", "multiple"),
        ("order: {values: [], sizes: [2]}", "list of values"),
        ("places: false", "only true"),
    ],
)
def test_a_builder_without_a_reading_is_refused(builder: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        built(builder, 1, ["a"])
