"""Aligned reads in, safer aligned reads out: BAM and CRAM.

The order: ``plan_from_steps`` reads the recipe's steps, ``core_view`` writes the permitted participants' reads under
internal codes, ``assess_view`` says what its bytes hold, ``copy_view`` gives the codes one recipient's names. Keys and
names are arguments; nothing is looked up.
"""

from __future__ import annotations

from deid.reads.core import ReadCounts, ReadsOptions, core_view
from deid.reads.errors import ReadsError
from deid.reads.plan import ReadsPlan, plan_from_steps
from deid.reads.recipient import copy_view
from deid.reads.reference import Reference
from deid.reads.survey import ReadsFound, assess_view

__all__ = [
    "ReadCounts",
    "ReadsError",
    "ReadsFound",
    "ReadsOptions",
    "ReadsPlan",
    "Reference",
    "assess_view",
    "copy_view",
    "core_view",
    "plan_from_steps",
]
