"""What a node says of the nodes below it is never too much, and the kernel says what its twin says."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from deid import native
from deid.tables.classes import Sensitive, Wanted, good_classes
from deid.tables.hierarchy import Axis
from deid.tables.judging import Evaluator, Judged, Problem
from deid.tables.measures import Rule

LEVELS = np.array([[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 1, 2], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]])
COSTS = np.array([[0] * 6, [0.2, 0.2, 0.4, 0.4, 0.4, 0], [0.8, 0.8, 0.8, 0.8, 0.8, 0], [1.0] * 6])


def axis(name: str) -> Axis:
    labels = tuple(tuple(str(one) for one in range(int(level.max()) + 1)) for level in LEVELS)
    return Axis(name=name, codes=tuple(LEVELS), labels=labels, cost=tuple(COSTS), fixed=None)


def problem(seed: int, objective: str = "ncp") -> Problem:
    draw = np.random.default_rng(seed)
    rows, values = int(draw.integers(20, 90)), int(draw.integers(2, 5))
    kinds = [("equal", float(draw.choice([0.15, 0.3, 0.5]))), ("distinct", 2.0), ("entropy", 1.5)]
    chosen = [kinds[0], *(kinds[at] for at in (1, 2) if draw.random() < 0.3)]
    base = tuple(draw.integers(0, 6, rows) for _ in range(3))
    # Values that lean on one column, so that some classes are far from the whole.
    codes = np.where(draw.random(rows) < 0.6, base[0] % values, draw.integers(0, values, rows))
    rules = tuple(Rule(kind=kind, limit=limit) for kind, limit in chosen)
    weights = draw.integers(1, 4, rows)
    limit = int(draw.choice([0.0, 0.1, 0.3]) * weights.sum())
    wanted = Wanted(
        k=int(draw.integers(1, 4)), sensitive=(Sensitive(name="s", codes=codes, count=values, rules=rules),)
    )
    return Problem(
        axes=(axis("a"), axis("b"), axis("c")), base=base, weights=weights, wanted=wanted, limit=limit, objective=objective
    )  # fmt: skip


def judged(task: Problem, *, kernel: bool) -> dict[tuple[int, ...], Judged]:
    evaluator = Evaluator(task, 10**6)
    assert evaluator._kernel is not None
    if not kernel:
        evaluator._kernel = None
    return {node: evaluator.judge(node) for node in itertools.product(range(4), repeat=3)}


@pytest.mark.parametrize("objective", ["ncp", "loss"])
def test_the_kernel_says_of_every_node_what_its_twin_says(objective: str) -> None:
    assert native.has_judging, "the kernel was not compiled, so it cannot be compared"
    allowed = 0
    for seed in range(25):
        task = problem(seed, objective)
        mine, twin = judged(task, kernel=True), judged(task, kernel=False)
        for node, found in mine.items():
            assert (found.certain, found.loss) == (twin[node].certain, twin[node].loss), (seed, node)
            assert found.more == pytest.approx(twin[node].more, abs=1e-12)
            allowed += not math.isinf(found.loss)
    assert allowed > 100


@pytest.mark.parametrize("objective", ["ncp", "loss"])
def test_what_a_node_promises_of_the_nodes_below_holds_for_each_of_them(objective: str) -> None:
    """By definition: rows left out at a node below, and its loss, against what the node above said."""
    promised = 0
    for seed in range(40):
        task = problem(seed, objective)
        evaluator, found = Evaluator(task, 10**6), judged(task, kernel=True)
        for node, below in itertools.product(found, repeat=2):
            if math.isinf(found[below].loss) or any(low > high for low, high in zip(below, node, strict=True)):
                continue
            classes = task.classes(below)
            out = task.weights[~good_classes(classes, task.wanted)[classes.of]].sum()
            assert out >= found[node].certain, (seed, node, below)
            assert found[below].loss >= evaluator.bound(below) + found[node].more - 1e-9
            promised += found[node].more > 0
    assert promised > 100


@pytest.mark.parametrize("at", range(9))
def test_the_kernel_refuses_arrays_that_would_make_it_read_past_an_end(at: int) -> None:
    evaluator = Evaluator(problem(1), 10)
    evaluator.judge((0, 0, 0))
    kernel, packed = evaluator._kernel, evaluator._packed[0]
    assert kernel is not None
    places = np.array([levels[0] for levels in kernel.at], np.int64)
    given = [packed.base, packed.weights, packed.held, places, kernel.codes, kernel.costs, kernel.values]
    given += [kernel.whole, kernel.rules.copy()]
    native._judging.judge(*given, 2, 5, 0.1)
    if at in {0, 1, 2, 3}:  # a code, a weight, a value, a place outside
        wrong = given[at].copy()
        wrong.reshape(-1)[0] = -1
        with pytest.raises(ValueError, match="do not fit"):
            native._judging.judge(*given[:at], wrong, *given[at + 1 :], 2, 5, 0.1)
    if at == 8:
        given[at]["column"][0] = 1
    else:
        given[at] = given[at].reshape(-1)[:-1]
    with pytest.raises(ValueError, match="do not fit"):
        native._judging.judge(*given, 2, 5, 0.1)
