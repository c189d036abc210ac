"""Tables of people: read, change, generalise, write, measure. A library of its own; the gateway is one of its users.

    from deid.tables import deidentify, load_recipe

    recipe = load_recipe(text, files=lambda name: (folder / name).read_bytes())
    with open("in.csv", "rb") as source, open("out.parquet", "wb") as sink:
        report = deidentify(recipe, source, sink, key=secret)

``deidentify`` does the whole of it for one table and one key. ``core_table`` and ``copy_table`` are its two halves as
the gateway uses them: permitted people under internal codes, then one recipient's names. ``assess_table`` measures any
Parquet file. Every refusal is a ``DeidError`` with a stable ``code``.
"""

from __future__ import annotations

from typing import Any

_HOMES = {
    "DeidError": "deid.errors",
    "Recipe": "deid.recipe",
    "RiskLimits": "deid.risk",
    "TableOutcome": "deid.tables.core",
    "assess_table": "deid.risk",
    "copy_table": "deid.tables.copying",
    "core_table": "deid.tables.core",
    "deidentify": "deid.tables.standalone",
    "load_recipe": "deid.recipe",
    "propose_columns": "deid.tables.proposing",
    "risk_page": "deid.tables.page",
}
__all__ = [
    "DeidError",
    "Recipe",
    "RiskLimits",
    "TableOutcome",
    "assess_table",
    "copy_table",
    "core_table",
    "deidentify",
    "load_recipe",
    "propose_columns",
    "risk_page",
]


def __getattr__(name: str) -> Any:
    """Each name from where it is written, when it is first asked for: modules below import this package too."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
