"""How many people of the population are alone in it, judged from the classes of a sample: three estimators.

Zayatz (1991) asks how likely a class of one in the sample is one of one in the population, if classes of the population
were as large as the sample's. Pitman (Hoshino 2001) fits Pitman's sampling formula by maximum likelihood and gives the
number of classes of one it expects among ``population`` people. SNB (Chen and Keller-McNulty 1998) takes the size of a
class as one plus a negative binomial number and fits it to the sample's classes of one and two, with Shlosser's
estimate of the number of classes. ``chosen`` follows Dankar and others (2012): Pitman up to a tenth sampled, above it
SNB or Zayatz, whichever is less; where one has no answer, Zayatz. All are estimates: none promises that nobody else is
alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

FEW = 0.1  # the share sampled up to which Pitman's estimate is taken
_WALK, _STEPS = 25, 100


def population_uniques(sizes: Mapping[int, int], population: int) -> dict[str, float]:
    """People alone in a population of this size, by each estimator that has an answer.

    ``sizes`` counts the classes of the sample by their size. Raises ValueError when the sample is larger.
    """
    people = sum(size * count for size, count in sizes.items())
    if population < people:
        raise ValueError("the population is smaller than the sample")
    if not sizes.get(1):
        return {"zayatz": 0.0, "chosen": 0.0}
    found = {"zayatz": zayatz(sizes, population)}
    for name, estimate in (("pitman", pitman(sizes, population)), ("snb", snb(sizes, population))):
        if estimate is not None:
            found[name] = estimate
    if people / population <= FEW:
        chosen = found.get("pitman", found["zayatz"])
    else:
        chosen = min(found.get("snb", math.inf), found["zayatz"])
    return {**{name: round(value, 6) for name, value in found.items()}, "chosen": round(chosen, 6)}


def zayatz(sizes: Mapping[int, int], population: int) -> float:
    """Zayatz 1991: uniques of the sample, times the chance that one is unique in the population, over the share."""
    people, classes = sum(size * count for size, count in sizes.items()), sum(sizes.values())
    once = {size: _drawn_once(size, population, people) for size in sizes}
    chance = sizes[1] * once[1] / sum(count * once[size] for size, count in sizes.items())
    return sizes[1] / classes * chance * classes * population / people


def _drawn_once(size: int, population: int, drawn: int) -> float:
    """The chance that exactly one of a class of the population is drawn without replacement."""
    if size - 1 > population - drawn:
        return 0.0
    of = _choose(population - size, drawn - 1) - _choose(population, drawn)
    return size * math.exp(of)


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def pitman(sizes: Mapping[int, int], population: int) -> float | None:
    """The uniques Pitman's formula expects; None where its likelihood has no maximum inside."""
    fitted = pitman_fit(sizes)
    if fitted is None:
        return None
    alpha, theta = fitted
    # Expected classes of one among so many people (Pitman 1995; Hoshino 2001).
    more = math.lgamma(theta + 1) - math.lgamma(theta + alpha)
    more += math.lgamma(theta + alpha + population - 1) - math.lgamma(theta + population)
    return population * math.exp(more)


def pitman_fit(sizes: Mapping[int, int]) -> tuple[float, float] | None:
    """Alpha and theta of Pitman's formula by maximum likelihood (Hoshino 2001), or None."""
    people, classes = sum(size * count for size, count in sizes.items()), sum(sizes.values())
    if classes in {1, people}:
        return None
    best = max(_pitman_peaks(sizes, people, classes), default=None)
    return None if best is None else best[1:]


def _pitman_peaks(sizes: Mapping[int, int], people: int, classes: int) -> list[tuple[float, float, float]]:
    """Likelihood, alpha and theta where both derivatives vanish."""

    def theta(alpha: float) -> float:
        def slope(log: float) -> float:
            at = math.exp(log) - alpha
            return _climb(at, alpha, classes) - (_psi(at + people) - _psi(at + 1))

        found = [math.exp(log) - alpha for log in _roots(slope, -20.0, math.log(people) + 10, falling=True)]
        return max(found, key=lambda at: _pitman_likelihood(sizes, alpha, at), default=math.nan)

    def slope(alpha: float) -> float:
        at = theta(alpha)
        if math.isnan(at):
            return math.nan
        inside = sum(count * (_psi(size - alpha) - _psi(1 - alpha)) for size, count in sizes.items())
        return (classes - 1) / alpha - at / alpha * _climb(at, alpha, classes) - inside

    places = [(alpha, theta(alpha)) for alpha in _roots(slope, 1e-6, 1 - 1e-6, falling=True)]
    return [(_pitman_likelihood(sizes, alpha, at), alpha, at) for alpha, at in places if not math.isnan(at)]


def _climb(theta: float, alpha: float, classes: int) -> float:
    """The sum of 1 / (theta + i alpha) over i from 1 below the number of classes."""
    return (_psi(theta / alpha + classes) - _psi(theta / alpha + 1)) / alpha


def _pitman_likelihood(sizes: Mapping[int, int], alpha: float, theta: float) -> float:
    people, classes = sum(size * count for size, count in sizes.items()), sum(sizes.values())
    found = (classes - 1) * math.log(alpha)
    found += math.lgamma(theta / alpha + classes) - math.lgamma(theta / alpha + 1)
    found -= math.lgamma(theta + people) - math.lgamma(theta + 1)
    return found + sum(n * (math.lgamma(size - alpha) - math.lgamma(1 - alpha)) for size, n in sizes.items())


def snb(sizes: Mapping[int, int], population: int) -> float | None:
    """Chen and Keller-McNulty 1998; None where no shape gives both the classes of one and of two."""
    people = sum(size * count for size, count in sizes.items())
    share, one, two = people / population, float(sizes[1]), float(sizes.get(2, 0))
    classes = shlosser(sizes, share)
    if share >= 1:
        return one

    def alpha_of(beta: float) -> float | None:
        """The shape that gives the classes of one."""
        lost = (1 - share) * (1 - beta)

        def over(alpha: float) -> float:
            return float(classes * share * (beta / (1 - lost)) ** alpha * (alpha * lost / (1 - lost) + 1) - one)

        logs = _roots(lambda log: over(math.exp(log)), -20.0, 10.0)
        return math.exp(logs[-1]) if logs else None

    def miss(beta: float) -> float:
        alpha, lost = alpha_of(beta), (1 - share) * (1 - beta)
        if alpha is None:
            return math.nan
        part = alpha * beta**alpha * share**2 * (1 - beta) / 2
        return float(classes * part * (1 - lost) ** (-alpha - 2) * (2 - (1 - alpha) * lost) - two)

    logs = _roots(lambda at: miss(math.exp(at)), -14.0, -1e-6)
    alpha = alpha_of(math.exp(logs[-1])) if logs else None
    return None if alpha is None else classes * math.exp(logs[-1] * alpha)


def shlosser(sizes: Mapping[int, int], share: float) -> float:
    """Classes of the population, from the share sampled (Shlosser 1981; Haas and Stokes 1998)."""
    number = np.array(list(sizes), np.float64)
    count = np.array(list(sizes.values()), np.float64)
    unseen = float(((1 - share) ** number * count).sum())
    once = float((number * share * (1 - share) ** (number - 1) * count).sum())
    return float(count.sum()) + sizes.get(1, 0) * unseen / once if once else float(count.sum())


def _psi(x: float) -> float:
    """The derivative of the logarithm of the gamma function (Abramowitz and Stegun 6.3.5, 6.3.18), for x above 0."""
    found = 0.0
    while x < 8:
        found -= 1 / x
        x += 1
    square = 1 / (x * x)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))
    return found + math.log(x) - 1 / (2 * x) - series


def _roots(slope: Callable[[float], float], low: float, high: float, *, falling: bool = False) -> list[float]:
    """Where the function crosses zero (only downwards where ``falling``): met on a coarse walk, then halved."""
    found, before, left = [], math.nan, low
    for place in np.linspace(low, high, _WALK).tolist():
        now = slope(place)
        if (
            not math.isnan(before)
            and not math.isnan(now)
            and (before > 0 >= now or (before <= 0 < now and not falling))
        ):
            found.append(_halve(slope, left, place, before))
        before, left = now, place
    return found


def _halve(slope: Callable[[float], float], low: float, high: float, at_low: float) -> float:
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if high - low <= 1e-12 * max(abs(middle), 1):
            break
        if (slope(middle) < 0) == (at_low < 0):
            low = middle
        else:
            high = middle
    return (low + high) / 2
