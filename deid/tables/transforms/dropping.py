"""Dropping: a column does not leave and is not even read.

GB/T 37964-2019, Annex A: suppression (抑制技术).

What a recipe does not name is dropped too: the list of what leaves is a list of what may.
"""

from __future__ import annotations

from collections.abc import Iterable

from deid.columns import ColumnRule


def undropped(rules: Iterable[ColumnRule]) -> list[ColumnRule]:
    """The rules of the columns that leave, in the recipe's order; no other column is read."""
    return [rule for rule in rules if rule.leaves]
