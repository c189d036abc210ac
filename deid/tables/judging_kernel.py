"""Nodes judged by the kernel, where it was compiled and the models are ones it knows; the twin is in ``judging``.

It knows k, distinct and entropy diversity and equal closeness, of any number of columns, without a population.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from deid import native
from deid.tables.classes import Floats, Wanted
from deid.tables.columnar import Codes
from deid.tables.hierarchy import Axis

KINDS = ("distinct", "entropy", "equal")
MOST_CELLS = 1 << 24
_RULE = np.dtype([("column", "<i4"), ("kind", "<i4"), ("limit", "<f8")])


class Found(NamedTuple):
    """Classes; rows that must go here and below; rows left out (-1: too many must go); what each axis loses by both."""

    classes: int
    certain: float
    suppressed: int
    close: bool
    more: Floats
    gone: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The rows of one table of combinations as the kernel reads them."""

    base: Any
    weights: Any
    held: Any


class Kernel:
    """The hierarchies and rules, packed once for all nodes."""

    def __init__(self, axes: Sequence[Axis], wanted: Wanted, whole: Sequence[Floats], limit: int, total: int) -> None:
        blocks = [(axis.codes[level], axis.cost[level]) for axis in axes for level in range(axis.height)]
        self.codes = np.concatenate([codes for codes, _ in blocks]).astype(np.int32)
        self.costs = np.concatenate([cost for _, cost in blocks])
        ends = np.cumsum([0, *(len(codes) for codes, _ in blocks)]).tolist()
        heights = np.cumsum([0, *(axis.height for axis in axes)]).tolist()
        self.at = [
            [(ends[heights[number] + level], len(axis.labels[level])) for level in range(axis.height)]
            for number, axis in enumerate(axes)
        ]
        self.values = np.array([column.count for column in wanted.sensitive], np.int32)
        self.whole = np.concatenate([np.zeros(0), *whole])
        rules = [
            (number, KINDS.index(rule.kind), rule.limit)
            for number, column in enumerate(wanted.sensitive)
            for rule in column.rules
        ]
        self.rules = np.array(rules, _RULE)
        self.k, self.limit, self.total = wanted.k, limit, total

    def judge(self, packed: Packed, node: Sequence[int]) -> Found:
        """What the node leaves out and what that costs."""
        at = np.array([levels[level] for levels, level in zip(self.at, node, strict=True)], np.int64)
        classes, certain, suppressed, close, more, gone = native._judging.judge(
            packed.base,
            packed.weights,
            packed.held,
            at,
            self.codes,
            self.costs,
            self.values,
            self.whole,
            self.rules,
            self.k,
            self.limit,
            self.limit / self.total,
        )
        losses = np.frombuffer(more + gone).reshape(2, -1) / self.total
        return Found(classes, certain, suppressed, bool(close), losses[0], losses[1])


def pack(base: Sequence[Codes], weights: Codes, wanted: Wanted) -> Packed:
    """One table of combinations for the kernel."""
    held = [column.codes for column in wanted.sensitive]
    return Packed(
        base=np.ascontiguousarray(np.stack(base, axis=1), np.int32),
        weights=np.ascontiguousarray(weights, np.int64),
        held=np.array(held, np.int32),
    )


def known(axes: Sequence[Axis], wanted: Wanted, rows: int) -> bool:
    """Whether the kernel is there and can judge this problem."""
    kinds = {rule.kind for column in wanted.sensitive for rule in column.rules}
    room = math.prod(max(len(labels) for labels in axis.labels) for axis in axes)
    cells = max([column.count for column in wanted.sensitive], default=1) * rows
    return (
        native.has_judging
        and wanted.population is None
        and kinds <= set(KINDS)
        and room < 1 << 62
        and cells <= MOST_CELLS
        and rows < 1 << 31
    )
