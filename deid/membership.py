"""How well released frequencies tell who was counted: the power of the likelihood-ratio test, and whom it tells best.

The attacker holds one person's genotypes, the released frequencies and the population's true ones, and asks whether the
person was counted. The log likelihood ratio is the strongest test there is for that (Neyman and Pearson); over
independent sites its mean for a member lies sqrt(m / n) standard deviations above its mean for others, with m sites
and n people (Sankararaman, Obozinski, Jordan and Halperin, Nature Genetics 41:965, 2009). Seen from one member the
distance is h / sqrt(m n), with h the sum over the sites of (x - 2p)^2 / 2p(1 - p) for x ALT copies at frequency p: m on
average, more for whoever carries what is rare. Power is the normal tail behind the quantile of the false-positive rate.

Sites are counted as independent and the population's frequencies as known. Linkage and ignorance weaken a real
attacker, so the numbers are an upper estimate. Frequencies here are those of the pool, which is what is released.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from deid.dosages import Dosage

NORMAL = NormalDist()
RATES = {"5pct": 0.05, "0_1pct": 0.001}
"""False-positive rates reported, by the words in a report's keys."""


@dataclass(slots=True, kw_only=True)
class Exposure:
    """What each of ``people`` adds to the released frequencies, gathered site by site in memory for one number each."""

    people: int
    sites: int = 0
    distance: npt.NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.distance = np.zeros(self.people)

    def add(self, dosage: Dosage) -> None:
        """One released ALT allele: copies for each person (0 to 2, -1 not called). Sites without spread add nothing."""
        called = dosage >= 0
        number = int(called.sum())
        frequency = float(dosage[called].sum()) / (2 * number) if number else 0.0
        if not 0 < frequency < 1:
            return
        self.sites += 1
        spread = 2 * frequency * (1 - frequency)
        self.distance[called] += (dosage[called] - 2 * frequency) ** 2 / spread

    def powers(self) -> dict[str, float]:
        """Mean power over the members and that against the most exposed one, at each false-positive rate."""
        if not self.sites:
            return {f"lr_power_at_{name}_fpr": rate for name, rate in RATES.items()} | {"lr_sites": 0}
        shifts = self.distance / math.sqrt(self.sites * self.people)
        found: dict[str, float] = {"lr_sites": self.sites}
        for name, rate in RATES.items():
            powers = [power(float(shift), rate) for shift in shifts]
            found[f"lr_power_at_{name}_fpr"] = sum(powers) / len(powers)
            found[f"lr_power_at_{name}_fpr_person_max"] = max(powers)
        return found


def power(shift: float, rate: float) -> float:
    """Chance that a member ``shift`` standard deviations away is told at this false-positive rate."""
    return NORMAL.cdf(shift - NORMAL.inv_cdf(1 - rate))


def bound(sites: int, people: int) -> Mapping[str, float]:
    """The same from the numbers of sites and people alone: what can be said of a file without genotypes."""
    shift = math.sqrt(sites / people) if people else math.inf
    return {f"lr_power_at_{name}_fpr": power(shift, rate) for name, rate in RATES.items()} | {"lr_sites": sites}


def observed_power(members: npt.NDArray[np.float64], others: npt.NDArray[np.float64], rate: float) -> float:
    """Share of members above the ``1 - rate`` quantile of others' scores: power as it was, not as it is expected."""
    return float((members > np.quantile(others, 1 - rate)).mean())


def scores(
    dosage: Dosage, released: npt.NDArray[np.float64], population: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Log likelihood ratio of each person (people x sites) that the released frequencies rather than the population's
    are theirs; a site where either is 0 or 1 says nothing here, an uncalled genotype nothing at its site."""
    usable = (released > 0) & (released < 1) & (population > 0) & (population < 1)
    alt = np.log(released[usable] / population[usable])
    ref = np.log((1 - released[usable]) / (1 - population[usable]))
    copies = dosage[:, usable].astype(np.float64)
    called = copies >= 0
    made: npt.NDArray[np.float64] = np.where(called, copies * alt + (2 - copies) * ref, 0).sum(axis=1)
    return made
