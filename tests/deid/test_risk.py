"""Risk on the bytes that leave equals a count by definition; limits are only what is passed in."""

from __future__ import annotations

import io
import random
from collections import Counter, defaultdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deid.errors import TableError
from deid.risk import RiskLimits, assess_table


def released(rows: list[tuple[str | None, ...]]) -> io.BytesIO:
    held = io.BytesIO()
    names = ["id", "a", "b", "s"]
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    pq.write_table(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}), held)
    return io.BytesIO(held.getvalue())


@pytest.mark.parametrize("seed", range(20))
def test_every_figure_equals_a_count_by_definition(seed: int) -> None:
    draw = random.Random(seed)
    rows = [
        (f"P{n}", draw.choice("xy"), draw.choice(["1", "2", None]), draw.choice("IJKL"))
        for n in range(draw.randint(1, 60))
    ]
    found = assess_table(released(rows), quasi=["a", "b"], sensitive=["s"])
    classes: dict[object, list[str]] = defaultdict(list)
    for _, a, b, s in rows:
        classes[a, b].append(s)
    sizes = [len(held) for held in classes.values()]
    whole = Counter(row[3] for row in rows)
    assert found["k"] == min(sizes)
    assert found["classes"] == len(sizes)
    assert found["prosecutor_max"] == 1 / min(sizes)
    assert found["prosecutor_mean"] == pytest.approx(
        sum(1 / len(held) for held in classes.values() for _ in held) / len(rows)
    )
    assert found["marketer"] == pytest.approx(len(sizes) / len(rows))
    assert found["uniques"] == sizes.count(1)
    assert found["theta"] == [{"size": size, "classes": count} for size, count in sorted(Counter(sizes).items())]
    assert found["discernibility"] == sum(size * size for size in sizes)
    assert found["l"] == {"s": min(len(set(held)) for held in classes.values())}
    distance = max(
        sum(abs(held.count(value) / len(held) - whole[value] / len(rows)) for value in whole) / 2
        for held in classes.values()
    )
    assert found["t"]["s"] == pytest.approx(distance)
    assert found["row_uniques"] == list(Counter(row[1:] for row in rows).values()).count(1)
    assert "gbt42460_level" not in found


def test_the_level_of_gbt_42460_follows_the_limits_passed_in() -> None:
    """Worked by hand: ten rows in classes of 4 and 6; θ = 1/4 and 1/6; mean θ over rows is 2/10."""
    rows: list[tuple[str | None, ...]] = [(f"P{n}", "x" if n < 4 else "y", "1", "I") for n in range(10)]

    def level(**limits: float | str) -> tuple[float, int]:
        found = assess_table(released(rows), quasi=["a", "b"], limits=RiskLimits(**limits))  # type: ignore[arg-type]
        return found["gbt42460_overall"], found["gbt42460_level"]

    assert level(tau=0.25, context=0.2) == (pytest.approx(0.04), 3)
    assert level(tau=0.25, context=0.5) == (pytest.approx(0.1), 2)
    assert level(tau=0.2, context=0.2) == (1.0, 2)
    assert level(tau=0.25, context=0.1, by="max") == (pytest.approx(0.025), 3)


def test_what_cannot_be_measured_is_refused_not_called_safe() -> None:
    """Invariant 3."""
    with pytest.raises(TableError, match="no column"):
        assess_table(released([("P", "x", "1", "I")]), quasi=["z"])
    with pytest.raises(TableError, match="no row"):
        assess_table(released([]), quasi=["a"])
    with pytest.raises(TableError, match="no quasi-identifier"):
        assess_table(released([("P", "x", "1", "I")]), quasi=[])
    with pytest.raises(TableError, match="not a readable"):
        assess_table(io.BytesIO(b"PAR1"), quasi=["a"])
