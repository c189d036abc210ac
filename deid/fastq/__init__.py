"""FASTQ in, safer FASTQ out.

The order: ``plan_from_steps`` reads the recipe's steps, ``core_view`` writes one file and ``core_pair`` the two of a
pair under a key of nobody's, ``copy_view`` and ``copy_pair`` hash the names under one recipient's. Keys are arguments.
"""

from __future__ import annotations

from deid.fastq.core import FastqCounts, FastqOptions, FastqPlan, copy_view, core_view, plan_from_steps
from deid.fastq.errors import FastqError
from deid.fastq.pair import copy_pair, core_pair

__all__ = [
    "FastqCounts",
    "FastqError",
    "FastqOptions",
    "FastqPlan",
    "copy_pair",
    "copy_view",
    "core_pair",
    "core_view",
    "plan_from_steps",
]
