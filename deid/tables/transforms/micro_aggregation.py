"""Micro-aggregation: near numbers become their mean.

GB/T 37964-2019, Annex A: randomisation, micro-aggregation (微聚集).

People in the order of their values form groups of at least ``size``; equal values never fall into two groups, so what
is written does not depend on an order among equals (Domingo-Ferrer 2002, one column). Nothing is drawn: means over two
sets that differ by one person give that person's number, so a table released over changing sets needs noise after it.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np

from deid.tables.columnar import Column, Value, recode
from deid.tables.values import plain, read_number

_DIGITS = Decimal("0.000001")


def micro_aggregate(column: Column, size: int) -> Column:
    """Each number as the mean of its group, six decimals; missing ones stay missing and count for no group."""
    counts = np.bincount(column.codes, minlength=len(column.values)).tolist()
    there = [code for code, value in enumerate(column.values) if value is not None]
    numbers = {code: read_number(str(column.values[code])) for code in there}
    groups: list[list[int]] = []
    room = 0
    for code in sorted(there, key=numbers.__getitem__):
        if not groups or room >= size:
            groups.append([])
            room = 0
        groups[-1].append(code)
        room += counts[code]
    if len(groups) > 1 and room < size:
        last = groups.pop()
        groups[-1] += last
    made: list[Value] = list(column.values)
    for group in groups:
        rows = sum(counts[code] for code in group)
        mean = sum((numbers[code] * counts[code] for code in group), Decimal(0)) / rows
        for code in group:
            made[code] = plain(mean.quantize(_DIGITS, ROUND_HALF_EVEN))
    return recode(column.codes, made)
