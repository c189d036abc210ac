"""The gate table: the k and l a table of people must reach to leave through a door."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

NEVER = (1 << 31, 1 << 31)


@cache
def _tables() -> dict[str, dict[str, dict[str, int]]]:
    return tomllib.loads((files("policies") / "tables" / "gates.toml").read_text("utf-8"))


def table_limits(tier: str) -> tuple[int, int]:
    """(k, l) wanted; a tier without a row wants what nothing reaches."""
    row = _tables()["table"].get(tier)
    return NEVER if row is None else (row["k"], row["l"])
