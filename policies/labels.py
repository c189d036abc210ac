"""Propose labels from what a file is (rule catalogue, section 8); a named person confirms them.

A label says the GB/T 43697 grade, the GB/T 39725 level, the HGR category and sub-type and the default tier. A
kind that is
not in the table gets the strictest: grade G4, level 5, enclave. Statistics stay HGR information.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def table() -> dict[str, dict[str, Any]]:
    """The label table, by kind."""
    text = (files("policies") / "tables" / "labels.toml").read_text("utf-8")
    return {name: dict(row) for name, row in tomllib.loads(text).items() if isinstance(row, dict)}


def propose(kind: str, *, assay: str = "WGS") -> dict[str, Any]:
    """Grade, level, HGR code, tier and reason for a data kind and assay (WGS, WES, array, panel, none)."""
    rows = table()
    row = rows.get(kind, rows["unknown"])
    codes = row["hgr"]
    code = codes.get(assay, "") if isinstance(codes, dict) else codes
    return {
        "grade": row["grade"],
        "level": row["level"],
        "hgr": code,
        "tier": row["tier"],
        "identifiability": row["identifiability"],
        "reason": row["reason"],
    }
