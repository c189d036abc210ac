"""The GB/T 42460-2023 level from measured risk: L1 identifies directly, L4 has nothing that identifies.

    L1  direct identifiers are there, or nobody looked
    L2  quasi-identifiers, and the risk is at or over the line; genotypes of people at best
    L3  quasi-identifiers, and the risk is below it
    L4  no identifier of either kind

Class risk is 1/size; a class over tau makes the overall risk 1. Open data is judged by its worst class, controlled and
enclave data by the mean of classes times the context: the likeliest of a deliberate attack, an acquaintance, a breach.
Source: GB/T 42460-2023 6.2, 6.3, D.1.3 to D.1.5; the line on genotypes is our reading of 6.2 with PIPL Art. 73.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured on an output. None where it was not measured."""

    direct_identifiers: bool | None
    quasi_identifiers: bool | None
    genotypes: bool
    max_class_risk: float | None = None
    mean_class_risk: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The recipient: controls and motive and security as high, medium or low; how likely somebody knows a person in it.

    ``acquaintances`` is how many people the recipient's staff know each; ``prevalence`` how frequent the condition is.
    The defaults are the worst.
    """

    controls: str = "low"
    motive: str = "high"
    security: str = "low"
    prevalence: float = 1.0
    acquaintances: int = 150


def level(measured: Measured, tier: str, context: Context) -> str:
    """L1 to L4. What was not measured is L1 for direct identifiers and L2 for the rest."""
    if measured.direct_identifiers is not False:
        return "L1"
    if measured.genotypes:
        return "L2"
    if measured.quasi_identifiers is False:
        return "L4"
    return "L3" if overall_risk(measured, tier, context) < _table()["accept"] else "L2"


def overall_risk(measured: Measured, tier: str, context: Context) -> float:
    """The risk by which a tier is judged, 0 to 1; 1 for what was not measured and for a tier without a tau."""
    worst, mean, tau = measured.max_class_risk, measured.mean_class_risk, _table()["tau"].get(tier)
    if worst is None or mean is None or tau is None or worst > tau:
        return 1.0
    return worst if tier in {"open", "registered"} else mean * context_risk(context)


def context_risk(context: Context) -> float:
    """The likeliest of the three attacks; 1 for a word nobody here knows."""
    known = 1 - (1 - min(max(context.prevalence, 0.0), 1.0)) ** max(context.acquaintances, 0)
    deliberate = _table()["deliberate"].get(context.controls, {}).get(context.motive, 1.0)
    breach = _table()["breach"].get(context.security, 1.0)
    return float(max(known, deliberate, breach))


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((files("policies") / "tables" / "reidentification.toml").read_text("utf-8"))
