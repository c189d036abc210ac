"""One release followed end to end through the log: what it rested on, what was decided, what went, how it ended.

Every line is an entry of the proven log at its place. The facts are those that stood when the release was opened or
refused: the newest version of each row before that entry. What an entry commits to is shown only where it opens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.errors import NotFound
from gateway.ledger_reports import Entry
from gateway.ports import Tx


def follow(tx: Tx, entries: Iterable[Entry], named: str) -> list[dict[str, Any]]:
    """The entries about one release, named by its id or by the id of any of its entries; facts first.

    Raises NotFound where no entry of the log speaks of it.
    """
    kept = list(entries)
    release_id = _release_of(kept, named)
    own = [entry for entry in kept if entry.event["public"].get("release") == release_id]
    outcome = next((one for one in own if one.event["type"] in ("release.open", "release.refuse")), own[0])
    facts = _standing(kept[: outcome.position], _rested_on(tx, release_id))
    lines = [_line(entry, "rested on") for entry in facts]
    later = [_line(entry, "of the release") for entry in own]
    return sorted([*lines, *later], key=lambda line: line["position"])


def _release_of(entries: Sequence[Entry], named: str) -> str:
    for entry in entries:
        said = entry.event["public"].get("release")
        if said is not None and named in (said, entry.event["id"]):
            return str(said)
    raise NotFound("release in the ledger")


def _rested_on(tx: Tx, release_id: str) -> set[tuple[str, str]]:
    """(table, row id) of the facts around this release; scopes are what the decision itself read by."""
    release = tx.get("release", release_id)
    if release is None:
        return set()
    scopes = set(release["epochs"] or ())
    found = {(table, row["id"]) for table in tx.fact_tables() for row in tx.find(table, scope=sorted(scopes))}
    named = (("item", "item_id"), ("dataset", "dataset_id"), ("view", "view_id"), ("access_grant", "grant_id"))
    return found | {(table, str(release[column])) for table, column in named if release[column]}


def _standing(entries: Iterable[Entry], wanted: set[tuple[str, str]]) -> list[Entry]:
    """The newest entry about each wanted row."""
    newest: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        fact: Mapping[str, Any] | None = entry.event["public"].get("fact")
        if fact is not None and (fact["table"], fact["row"]) in wanted:
            newest[fact["table"], fact["row"]] = entry
    return list(newest.values())


def _line(entry: Entry, part: str) -> dict[str, Any]:
    event = entry.event
    said = {key: value for key, value in event["public"].items() if key not in ("release", "permitted_root")}
    return {
        "position": entry.position,
        "at": event["at"],
        "part": part,
        "kind": event["kind"],
        "type": event["type"],
        "entry": event["id"],
        "said": said,
    }
