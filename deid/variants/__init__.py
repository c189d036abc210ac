"""Cohort variants in, safer cohort variants out: the core view and one recipient's copy of it.

The order: ``plan_from_steps`` reads the recipe's steps, ``core_view`` writes the permitted participants under internal
codes, ``copy_view`` gives the codes one recipient's names. Limits, keys and names are arguments; nothing is looked up.
"""

from __future__ import annotations

from deid.nouns import TYPE_CHECKING

if TYPE_CHECKING:
    from deid.variants.core import VariantCounts, core_view
    from deid.variants.errors import VariantError
    from deid.variants.plan import VariantPlan, plan_from_steps
    from deid.variants.recipient import CopyCounts, copy_view

__all__ = ["CopyCounts", "VariantCounts", "VariantError", "VariantPlan", "copy_view", "core_view", "plan_from_steps"]
_PLACES = {
    "core": ("VariantCounts", "core_view"),
    "errors": ("VariantError",),
    "plan": ("VariantPlan", "plan_from_steps"),
    "recipient": ("CopyCounts", "copy_view"),
}


def __getattr__(name: str) -> object:
    """Load what is asked for: reads and FASTQ use three small modules of this room and should not pay for the rest."""
    from importlib import import_module

    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"deid.variants.{place}"), name)
    raise AttributeError(name)
