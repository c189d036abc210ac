"""Distinct people already provided, by counter; one custodian never sees another's."""

from __future__ import annotations

from gateway.ports import Tx

RESERVED, COUNTED = "reserved", "counted"


def known_people(tx: Tx, custodian_id: str, counter: str, *, but: str | None = None) -> set[str]:
    """Linkage keys already counted or reserved, leaving out one release's own reservations."""
    rows = tx.find("counted", custodian_id=custodian_id, counter=counter)
    return {row["linkage"] for row in rows if row["release_id"] != but or row["state"] == COUNTED}
