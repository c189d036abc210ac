"""Person-level matrices (expression, methylation) and cohort frequencies."""

from __future__ import annotations

from deid.matrices.core import MatrixCounts, MatrixPlan, core_matrix, plan_from_steps
from deid.matrices.errors import MatrixError
from deid.matrices.frequencies import FrequencyPlan, check_snapshot, core_frequencies, frequency_plan

__all__ = [
    "FrequencyPlan",
    "MatrixCounts",
    "MatrixError",
    "MatrixPlan",
    "check_snapshot",
    "core_frequencies",
    "core_matrix",
    "frequency_plan",
    "plan_from_steps",
]
