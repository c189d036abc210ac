"""Who controls a recipient, and which party class follows (rule catalogue, table 1; 实施细则 Art. 12).

An ownership graph is a mapping: holder or unit -> share of each direct owner, with the place of every ultimate owner.
At least half of the shares in foreign hands, directly or through a chain, or a signed finding of decisive
influence, makes
a unit foreign-controlled. A Hong Kong or Macau institution is foreign until proof of Chinese control is signed off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.vocabulary import PartyClass

FOREIGN_SHARE = 0.5
SARS = frozenset({"hong_kong", "macau"})


def foreign_share(control: Mapping[str, Any]) -> float | None:
    """Share of a unit held from outside the mainland, through chains; None when the graph leaves part unexplained.

    ``control``: {"owners": [{"share": 0..1, "place": ... or "owners": [...]}, ...]}.
    """
    owners = control.get("owners")
    if not owners:
        return None
    total = foreign = 0.0
    for owner in owners:
        share = float(owner.get("share", 0.0))
        total += share
        if "owners" in owner:
            below = foreign_share(owner)
            if below is None:
                return None
            foreign += share * below
        elif owner.get("place") is None:
            return None
        elif owner["place"] != "mainland":
            foreign += share
    return foreign if abs(total - 1.0) < 1e-6 else None


def controlled_from_outside(control: Mapping[str, Any] | None) -> str:
    """yes, no or unknown."""
    if not control:
        return "unknown"
    if control.get("decisive_influence") == "foreign":
        return "yes"
    share = foreign_share(control)
    if share is None:
        return "unknown"
    return "yes" if share >= FOREIGN_SHARE else "no"


def party_class(place: str | None, control: Mapping[str, Any] | None) -> PartyClass:
    """P1 to P5 by place, control and signed proof; UNKNOWN otherwise. P6 and P7 are decided by door and tier."""
    foreign = controlled_from_outside(control)
    if place == "mainland":
        return {"yes": PartyClass.P2, "no": PartyClass.P1}.get(foreign, PartyClass.UNKNOWN)
    if place in SARS:
        proven = foreign == "no" and bool(control) and bool((control or {}).get("proof_signed_off"))
        return PartyClass.P3 if proven else PartyClass.P4
    return PartyClass.P5 if place == "overseas" else PartyClass.UNKNOWN
