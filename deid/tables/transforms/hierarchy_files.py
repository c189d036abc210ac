"""Hierarchy: a value becomes a group of a file in ARX's format.

GB/T 37964-2019, Annex A: generalisation (泛化技术).

The file has one line for each value, ``value;coarser;...;*``, in UTF-8. It is checked to be a tree, since otherwise
climbing would not merge classes and the search would be wrong.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping

from deid.errors import RecipeError
from deid.tables.columnar import Value

Ladder = tuple[Value, ...]


def read_hierarchy(content: bytes, name: str) -> Mapping[str, Ladder]:
    """Value to ladder (the value itself first). Raises RecipeError with the line."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RecipeError(f"hierarchy {name}", "not UTF-8; save it as UTF-8") from None
    ladders: dict[str, Ladder] = {}
    for number, row in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=";"), start=1):
        if not row:
            continue
        if ladders and len(row) != len(next(iter(ladders.values()))):
            raise RecipeError(f"hierarchy {name}, line {number}", "has another number of levels than the first line")
        if row[0] in ladders:
            raise RecipeError(f"hierarchy {name}, line {number}", "this value stands twice")
        ladders[row[0]] = tuple(row)
    if not ladders:
        raise RecipeError(f"hierarchy {name}", "has no line")
    _refuse_crossing(ladders, name)
    return ladders


def _refuse_crossing(ladders: Mapping[str, Ladder], name: str) -> None:
    above: dict[tuple[int, Value], Value] = {}
    for number, ladder in enumerate(ladders.values(), start=1):
        for level, (fine, coarse) in enumerate(itertools.pairwise(ladder)):
            if above.setdefault((level, fine), coarse) != coarse:
                raise RecipeError(
                    f"hierarchy {name}, line {number}",
                    f"one group of level {level} lies in two groups of the next level",
                )
