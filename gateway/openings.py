"""What an auditor is given to count distinct people by themselves: the sets of participants under the log's entries.

For every release that a custodian opened there is its recipient, opened from the entry; for those to the recipient in
question also the participants' random ids, the salt of their set, and the custodian's linkage keys. The log shows that
no release is missing, that no recipient is another, and that no participant was left out or put in
(``gateway.verifier.opening``). The file names nobody; it is for the auditor all the same, and for nobody else.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from gateway.errors import NotFound
from gateway.ledger_reports import Entry
from gateway.ports import Tx
from gateway.verifier.opening import FORMAT


def open_counts(tx: Tx, entries: Iterable[Entry], *, custodian: str, recipient: str) -> dict[str, Any]:
    """The opening of one custodian's releases to one recipient. Raises NotFound where a salt was erased or is gone."""
    releases = []
    for entry in entries:
        if entry.event["type"] != "release.open" or entry.event["custodian"] != custodian:
            continue
        kept = {row["field"]: row for row in tx.find("disclosure", entry_id=entry.event["id"])}
        if "recipient" not in kept:
            raise NotFound("opening: the salt of a recipient was erased")
        said: dict[str, Any] = {"position": entry.position, "recipient": _opened(kept["recipient"])}
        if kept["recipient"]["value"] == recipient:
            said |= _people(tx, entry, kept)
        releases.append(said)
    return {"format": FORMAT, "custodian": custodian, "recipient": recipient, "releases": releases}


def _people(tx: Tx, entry: Entry, kept: dict[str, Any]) -> dict[str, Any]:
    if "permitted_salt" not in kept or "people" not in kept:
        raise NotFound("opening: the salt of a set of participants was erased")
    members = tx.find("core_member", core_view_id=entry.event["public"]["view_identity"])
    people = tx.find("participant", id=[row["participant_id"] for row in members])
    linkage = {row["id"]: row["linkage"] for row in people}
    return {
        "people": _opened(kept["people"]),
        "salt": kept["permitted_salt"]["value"],
        "participants": [
            {"id": one, "linkage": linkage.get(one, one)} for one in sorted(row["participant_id"] for row in members)
        ],
    }


def _opened(row: Any) -> dict[str, Any]:
    return {"salt": base64.b64encode(bytes(row["salt"])).decode(), "value": row["value"]}
