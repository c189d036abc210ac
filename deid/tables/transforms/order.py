"""Order: neighbours in an order that has a meaning share a group.

GB/T 37964-2019, Annex A: generalisation (泛化技术).
"""

from __future__ import annotations

from collections.abc import Sequence

from deid.tables.values import UnreadableError


def neighbours(value: str, values: Sequence[str], sizes: Sequence[int]) -> tuple[str, ...]:
    """``first..last`` of each group of neighbours the value lies in, smallest group first. Raises UnreadableError."""
    if value not in values:
        raise UnreadableError("a value of the order in the recipe")
    at = values.index(value)
    lows = [(at // size * size, size) for size in sizes]
    ends = [(values[low], values[min(low + size, len(values)) - 1]) for low, size in lows]
    return tuple(first if first == last else f"{first}..{last}" for first, last in ends)
