"""Facts of custody: who holds for whom, where the material is from, and the medium of an export.

An owner that asks for its own data back gets neither provision nor open use, so no consent, report or risk is asked;
who it is, the order, the contract and the key are. Source: rule catalogue section 17 (return to owner, transit,
media).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from gateway.filing_facts import standing_filings
from policies.facts import CustodyFacts, MediaFacts

ORIGINS = {"mainland": "mainland", "abroad": "abroad", "overseas": "abroad"}
"""A manifest's words for where the material was collected; any other is unknown."""


def media_facts(rows: Mapping[str, Any], day: date) -> MediaFacts:
    """What the filing of a physical medium for this recipient says (FAQ-5.12)."""
    found = standing_filings(rows, day)("media")
    said = (found[-1]["terms"] or {}) if found else {}
    return MediaFacts(
        address=bool(said.get("address")), medium=bool(said.get("medium")), custody=bool(said.get("custody"))
    )


def custody_facts(rows: Mapping[str, Any], sealed: bool) -> CustodyFacts:
    """``sealed``: whether the copy would be sealed to a registered key of the one who gets it."""
    manifest = rows["dataset"]["manifest"]
    owns = rows["recipient"]["id"] == rows["dataset"]["owner_id"]
    return CustodyFacts(
        recipient_is_owner="yes" if owns else "no",
        sealed=sealed,
        origin=ORIGINS.get(str(manifest.get("origin_of_material")), "unknown"),
        domestic_data_added=str(manifest.get("domestic_data_added", "unknown")),
        returns_to_origin="yes" if owns else "no",
    )
