"""How well masked genotypes are guessed from those beside them: against Pearson's formula and planted linkage."""

from __future__ import annotations

import io
import math
import random

import numpy as np
import pytest

from deid.imputability import explained, masked_imputability
from deid.variants import plan_from_steps

CALLS = ("0/0", "0/1", "1/1")


def pearson_squared(one: list[int], other: list[int]) -> float:
    n = len(one)
    a, b = sum(one) / n, sum(other) / n
    top = sum((x - a) * (y - b) for x, y in zip(one, other, strict=True))
    return top**2 / (sum((x - a) ** 2 for x in one) * sum((y - b) ** 2 for y in other))


def test_one_neighbour_explains_the_square_of_pearsons_correlation() -> None:
    rng = random.Random(1)
    for _ in range(20):
        hidden, flank = ([rng.randrange(3) for _ in range(40)] for _ in range(2))
        found = explained(np.array(hidden, np.int8), np.array([flank], np.int8))
        assert found == pytest.approx(pearson_squared(hidden, flank))


def test_people_not_called_at_the_masked_site_do_not_count() -> None:
    hidden, flank = [0, 1, 2, 1, -1, -1], [0, 1, 2, 1, 0, 0]
    assert explained(np.array(hidden, np.int8), np.array([flank], np.int8)) == pytest.approx(1)


def test_several_neighbours_together_explain_more_than_the_best_alone() -> None:
    rng = np.random.default_rng(2)
    flanks = (rng.random((3, 400)) < 0.5).astype(np.int8)
    hidden = (flanks[0] + flanks[1]).astype(np.int8)
    alone = max(pearson_squared(hidden.tolist(), flank.tolist()) for flank in flanks)
    assert alone < 0.6
    assert explained(hidden, flanks) == pytest.approx(1)


def test_chance_explains_next_to_nothing() -> None:
    rng = np.random.default_rng(3)
    found = [explained(*(np.int8(rng.integers(0, 3, size)) for size in (2000, (20, 2000)))) for _ in range(10)]
    assert max(one for one in found if one is not None) < 0.02


def test_a_masked_site_without_spread_is_nothing_to_guess() -> None:
    assert explained(np.array([1, 1, 1], np.int8), np.array([[0, 1, 2]], np.int8)) is None
    assert explained(np.array([0, 1, 2], np.int8), np.empty((0, 3), np.int8)) == 0
    assert explained(np.array([0, 1, 2], np.int8), np.array([[1, 1, 1]], np.int8)) == 0


def cohort(rng: random.Random, copies: int = 60) -> tuple[bytes, dict[str, str]]:
    """Sites 1000 (masked, the same as 900), 1100 (masked, like nothing), 1150 (masked, in the panel), 900 and 5000."""
    names = [f"P{n}" for n in range(copies)]
    linked, alone, panel = ([rng.randrange(3) for _ in names] for _ in range(3))
    sites = {900: linked, 1000: linked, 1100: alone, 1150: panel, 500_000: alone}
    head = (
        "##fileformat=VCFv4.2\n##contig=<ID=1,length=999999>\n##FORMAT=<ID=GT,Number=1,Type=String,Description='x'>\n"
    )
    head += "\t".join(["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT", *names]) + "\n"
    rows = [
        "\t".join([f"1\t{at}\t.\tA\tC\t.\t.\t.\tGT", *(CALLS[one] for one in calls)]) + "\n"
        for at, calls in sites.items()
    ]
    return (head + "".join(rows)).encode(), {name: name.lower() for name in names}


def test_linkage_across_the_edge_of_a_mask_is_measured() -> None:
    text, people = cohort(random.Random(5))
    steps = [{"mask": {"bed": "m", "except": "approved-panel"}}]
    plan = plan_from_steps(steps, {"m": b"1\t950\t1200\n9\t1\t5\n", "approved-panel": b"1\t1140\t1160\n"})
    found = masked_imputability(plan, io.BytesIO(text), participants=people)
    assert len(found.r2) == 2
    assert found.r2[0] == pytest.approx(1)
    assert found.r2[1] < 0.3
    said = found.summary()
    assert (said["masked_alleles"], said["masked_alleles_imputable"]) == (2, 1)
    assert said["masked_r2_max"] == pytest.approx(1)
    assert math.isclose(said["masked_r2_mean"], sum(found.r2) / 2)
    # A window wide enough reaches the copy of the second site, half a megabase away.
    assert masked_imputability(plan, io.BytesIO(text), participants=people, window=600_000).r2[1] == pytest.approx(1)


def test_without_a_mask_there_is_nothing_to_guess() -> None:
    text, people = cohort(random.Random(6))
    assert masked_imputability(plan_from_steps([], {}), io.BytesIO(text), participants=people).summary() == {
        "masked_alleles": 0
    }
