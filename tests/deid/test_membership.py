"""Membership power of released frequencies, against an attack carried out on simulated people and sums by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deid.membership import Exposure, bound, observed_power, power, scores


def people(rng: np.random.Generator, count: int, frequency: np.ndarray) -> np.ndarray:
    return (rng.random((count, len(frequency), 2)) < frequency[None, :, None]).sum(axis=2).astype(np.int8)


def exposure(dosage: np.ndarray) -> dict[str, float]:
    made = Exposure(people=len(dosage))
    for site in dosage.T:
        made.add(site)
    return made.powers()


@pytest.mark.parametrize(("count", "sites"), [(100, 100), (100, 400), (300, 300)])
def test_the_expected_power_is_that_of_an_attack_carried_out(count: int, sites: int) -> None:
    """The attack by its definition: the pool's frequencies, the true ones, members and strangers, one quantile."""
    members_found, expected = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        frequency = rng.uniform(0.1, 0.5, sites)
        members, strangers = people(rng, count, frequency), people(rng, 4000, frequency)
        pool = members.mean(axis=0) / 2
        usable = (pool > 0) & (pool < 1)
        ratio, other = np.log(pool[usable] / frequency[usable]), np.log((1 - pool[usable]) / (1 - frequency[usable]))
        scored = [(one[:, usable] * ratio + (2 - one[:, usable]) * other).sum(axis=1) for one in (members, strangers)]
        members_found.append((scored[0] > np.sort(scored[1])[int(0.95 * 4000)]).mean())
        expected.append(exposure(members)["lr_power_at_5pct_fpr"])
    assert np.mean(members_found) == pytest.approx(np.mean(expected), abs=0.05)


def test_scores_and_their_power_are_the_definition() -> None:
    rng = np.random.default_rng(3)
    frequency = np.array([0.2, 0.4, 0.0, 0.3])
    released = np.array([0.25, 0.3, 0.1, 0.3])
    dosage = np.array([[0, 1, 2, -1], [2, -1, 0, 0]], np.int8)
    by_hand = [
        2 * math.log(0.75 / 0.8) + math.log(0.3 / 0.4) + math.log(0.7 / 0.6) + 0,
        2 * math.log(0.25 / 0.2) + 0 + 0,
    ]
    assert scores(dosage, released, frequency) == pytest.approx(by_hand)
    others = rng.normal(size=10_000)
    assert observed_power(np.array([5.0, -5.0]), others, 0.05) == 0.5


def test_whoever_carries_what_is_rare_is_told_best() -> None:
    rng = np.random.default_rng(5)
    dosage = people(rng, 200, np.full(300, 0.02))
    dosage[7, :150] = 1
    plain = exposure(np.delete(dosage, 7, axis=0))
    told = exposure(dosage)
    assert told["lr_power_at_5pct_fpr_person_max"] > 0.99
    assert told["lr_power_at_5pct_fpr_person_max"] > plain["lr_power_at_5pct_fpr_person_max"]
    assert told["lr_power_at_0_1pct_fpr_person_max"] <= told["lr_power_at_5pct_fpr_person_max"]


def test_the_bound_is_the_published_one() -> None:
    """Sankararaman 2009: sqrt(m / n) = z of the false-positive rate + z of the power. 1.645 and 1.282 from the table."""
    assert power(1.6449 + 1.2816, 0.05) == pytest.approx(0.9, abs=1e-4)
    assert bound(100, 100)["lr_power_at_5pct_fpr"] == pytest.approx(0.2595, abs=1e-3)  # 1 - Phi(0.645)
    assert bound(0, 100)["lr_power_at_5pct_fpr"] == pytest.approx(0.05)
    assert bound(1300, 10_000)["lr_power_at_5pct_fpr"] < 0.1 < bound(1400, 10_000)["lr_power_at_5pct_fpr"]
    rng = np.random.default_rng(9)
    whole = exposure(people(rng, 400, rng.uniform(0.05, 0.5, 400)))
    assert whole["lr_power_at_5pct_fpr"] == pytest.approx(bound(400, 400)["lr_power_at_5pct_fpr"], abs=0.02)


def test_sites_that_say_nothing_are_not_counted_and_no_site_is_the_false_positive_rate() -> None:
    made = Exposure(people=3)
    for column in ([0, 0, 0], [2, 2, 2], [-1, -1, -1]):
        made.add(np.array(column, np.int8))
    assert made.powers() == {"lr_power_at_5pct_fpr": 0.05, "lr_power_at_0_1pct_fpr": 0.001, "lr_sites": 0}
