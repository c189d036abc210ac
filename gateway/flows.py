"""Real-time flows: what a project was given so far and is about to be given, against what was filed (FAQ-5.7a).

The backup that a flow stands under states the whole project's forecast in a unit. Each release of the project counts,
also one that carries the same people again; a unit that cannot be counted, or a package that does not exist yet, is
unknown, and unknown holds. An overrun is refused before it happens: the filing is changed first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from gateway.filing_facts import standing_filings
from gateway.ports import Row, Tx

UNKNOWN = -1


def flow_counts(tx: Tx, rows: Mapping[str, Any], row: Row, day: date) -> dict[str, int]:
    """``forecast_volume`` (given so far and now) and ``filed_volume`` of the facts, in the filed unit."""
    filed = [f["terms"] for f in standing_filings(rows, day)("backup") if "forecast_records" in (f["terms"] or {})]
    units = {terms.get("unit") for terms in filed}
    count = UNITS.get(units.pop()) if len(units) == 1 else None
    core_id = row["core_view_id"] or _packaged(rows, row["view_id"])
    if count is None or core_id is None:
        return {"forecast_volume": UNKNOWN, "filed_volume": UNKNOWN}
    given = [each["core_view_id"] for each in tx.find("release", item_id=row["item_id"], outcome="permit")
             if each["id"] != row["id"]]  # fmt: skip
    return {
        "forecast_volume": sum(count(tx, core) for core in (*given, core_id)),
        "filed_volume": min(int(terms["forecast_records"]) for terms in filed),
    }


def _packaged(rows: Mapping[str, Any], view_id: str) -> str | None:
    parts = (rows["package"] or {}).get("parts", ())
    return next((str(part["core"]) for part in parts if part["view"] == view_id), None)


def _people(tx: Tx, core_id: str) -> int:
    return len(tx.find("core_member", core_view_id=core_id))


def _bytes(tx: Tx, core_id: str) -> int:
    return sum(int(part["size"]) for core in tx.find("core_view", id=core_id) for part in core["parts"])


UNITS: Mapping[Any, Callable[[Tx, str], int]] = {"people": _people, "bytes": _bytes}
"""Units in which a flow can be counted here."""
