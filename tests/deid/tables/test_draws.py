"""What is drawn: the same for the same set of people, other for another, and never averaged or subtracted away."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest

from deid.errors import TableError
from deid.tables.columnar import Column
from deid.tables.draws import Dice, participant_set
from deid.tables.transforms.noise import add_noise
from deid.tables.transforms.pram import post_randomise
from deid.tables.transforms.swapping import swap
from tests.deid.tables.test_transforms import PEOPLE, run, seeds

SETS = 150
SCALE = 4.0
CODES = list(seeds())
EVERYBODY = {str(n): code for n, code in enumerate(CODES)}
DRAWN = ["{noise: {scale: 4, round: 0.001}}", "{pram: {stay: 0.6}}", "{swap: {share: 0.5}}"]


def dice(codes: Sequence[str]) -> Dice:
    there = pa.array(sorted(codes))
    return Dice(seeds=seeds(), codes=there, set_digest=participant_set(there))


def sets_of_all_but_one() -> list[list[str]]:
    draw = random.Random(5)
    return [[code for code in CODES if code != gone] for gone in draw.sample(CODES, SETS)]


def by_person(values: Sequence[str], release: Callable[[Column, Dice], Column]) -> dict[str, list[str]]:
    """What a recipient of a release over each set holds on each person."""
    held: dict[str, list[str]] = {code: [] for code in CODES}
    of = dict(zip(CODES, values, strict=True))
    for codes in sets_of_all_but_one():
        made = release(Column.of([of[code] for code in codes]), dice(codes)).cells()
        for code, value in zip(codes, made, strict=True):
            held[code].append(str(value))
    return held


@pytest.mark.parametrize("transform", DRAWN)
def test_the_same_set_gets_the_same_values_and_a_set_of_one_less_gets_others(transform: str) -> None:
    values = [str(n) for n in range(PEOPLE)]
    whole = {row["id"]: row["v"] for row in run(transform, values)[1]}
    assert whole == {row["id"]: row["v"] for row in run(transform, values)[1]}
    fewer = {source: code for source, code in EVERYBODY.items() if source != "17"}
    part = {row["id"]: row["v"] for row in run(transform, values, participants=fewer)[1]}
    other = sum(whole[code] != value for code, value in part.items())
    assert other > (0.99 if "noise" in transform else 0.2) * len(part)


@pytest.mark.parametrize("transform", DRAWN)
def test_who_is_permitted_and_has_no_row_changes_no_value(transform: str) -> None:
    values = [str(n) for n in range(PEOPLE)]
    more = {**EVERYBODY, "never came": "c9999"}
    assert run(transform, values, participants=more)[1] == run(transform, values)[1]


def test_averaging_noise_over_many_sets_leaves_the_persons_own_half_of_the_variance() -> None:
    held = by_person(["100"] * PEOPLE, lambda column, thrown: add_noise(column, thrown.throw("n"), SCALE, 1e-6))
    once = [float(values[0]) - 100 for values in held.values()]
    averaged = [sum(map(float, values)) / len(values) - 100 for values in held.values()]
    # Laplace of scale s has the variance 2 s²: both parts 2 * 2 * (SCALE² / 2), the person's own alone half of it.
    assert root_mean_square(once) == pytest.approx(SCALE * math.sqrt(2), rel=0.12)
    assert root_mean_square(averaged) == pytest.approx(SCALE * math.sqrt(1 + 1 / SETS), rel=0.12)


def test_subtracting_the_totals_of_two_sets_hides_the_one_between_in_everybodys_noise() -> None:
    column = Column.of(["100"] * PEOPLE)
    total = sum(float(str(one)) for one in add_noise(column, dice(CODES).throw("n"), SCALE, 1e-6).cells())
    missed = []
    for codes in sets_of_all_but_one():
        part = add_noise(Column.of(["100"] * len(codes)), dice(codes).throw("n"), SCALE, 1e-6).cells()
        missed.append(total - sum(float(str(one)) for one in part) - 100)
    # The set's part has the variance SCALE² a person and is drawn anew for both: far above one person's own noise.
    assert root_mean_square(missed) == pytest.approx(SCALE * math.sqrt(2 * PEOPLE), rel=0.35)


def test_the_commonest_value_over_many_sets_is_the_first_step_of_pram_and_not_the_truth() -> None:
    values, stay = [f"v{n % 4}" for n in range(PEOPLE)], 0.5
    held = by_person(values, lambda column, thrown: post_randomise(column, thrown.throw("a"), thrown.throw("b"), stay))
    once = [values_[0] == truth for values_, truth in zip(held.values(), values, strict=True)]
    guessed = [commonest(values_) == truth for values_, truth in zip(held.values(), values, strict=True)]
    assert np.mean(once) == pytest.approx(stay + (1 - stay) / 4, abs=0.06)
    first = math.sqrt(stay)
    assert np.mean(guessed) == pytest.approx(first + (1 - first) / 4, abs=0.06)


def test_the_commonest_value_over_many_sets_stays_a_neighbours_for_those_who_trade_for_good() -> None:
    values, share = [f"{n}" for n in range(PEOPLE)], 0.5
    held = by_person(values, lambda column, thrown: swap(column, thrown.throw("s"), share))
    once = [values_[0] != truth for values_, truth in zip(held.values(), values, strict=True)]
    guessed = [commonest(values_) != truth for values_, truth in zip(held.values(), values, strict=True)]
    assert np.mean(once) == pytest.approx(share, abs=0.08)
    assert np.mean(guessed) == pytest.approx(1 - math.sqrt(1 - share), abs=0.08)


def test_a_set_is_its_people_and_no_two_sets_are_written_alike() -> None:
    digests = [participant_set(pa.array(codes)) for codes in (["a", "b"], ["ab"], ["a"], ["1:a", "b"], ["a1:b"])]
    assert len(set(digests)) == len(digests)
    many = pa.array([f"c{n:06d}" for n in range(70_000)])
    assert participant_set(many) == participant_set(pa.concat_arrays([many.slice(0, 9), many.slice(9)]))
    assert participant_set(many) != participant_set(many.slice(1))


def test_nobody_is_thrown_for_without_a_seed() -> None:
    with pytest.raises(TableError, match="no seed"):
        Dice(seeds={}, codes=pa.array(["a"]), set_digest="").throw("n")


def root_mean_square(numbers: Sequence[float]) -> float:
    return math.sqrt(sum(one * one for one in numbers) / len(numbers))


def commonest(values: Sequence[str]) -> str:
    return Counter(values).most_common(1)[0][0]
