"""FASTQ files: ``plan_from_steps`` reads the recipe, ``core_view`` writes one file, ``core_pair`` the two of a pair."""

from __future__ import annotations

from deid.fastq.core import FastqCounts, FastqOptions, FastqPlan, core_pair, core_view, plan_from_steps
from deid.fastq.errors import FastqError

__all__ = ["FastqCounts", "FastqError", "FastqOptions", "FastqPlan", "core_pair", "core_view", "plan_from_steps"]
