"""FASTQ in, safer FASTQ out.

The order: ``plan_from_steps`` reads the recipe's steps, ``core_view`` writes one file and ``core_pair`` the two of a
pair under a key of nobody's, ``assess_view`` says what was written holds, ``copy_view`` and ``copy_pair`` hash the
names under one recipient's key. Keys are arguments.
"""

from __future__ import annotations

from deid.fastq.core import FastqCounts, FastqOptions, FastqPlan, copy_view, core_view, plan_from_steps
from deid.fastq.errors import FastqError
from deid.fastq.pair import copy_pair, core_pair
from deid.fastq.survey import FastqFound, assess_view

__all__ = [
    "FastqCounts",
    "FastqError",
    "FastqFound",
    "FastqOptions",
    "FastqPlan",
    "assess_view",
    "copy_pair",
    "copy_view",
    "core_pair",
    "core_view",
    "plan_from_steps",
]
