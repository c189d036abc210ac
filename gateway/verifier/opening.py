"""Count distinct people from an opening, against the log alone: what is proven and what remains the custodian's word.

Proven: the releases are all that the custodian opened, each went to whom it says, and its participants are exactly
those its entry commits to. The number of distinct ids is then a proven upper bound of the number of people. That two
ids of different datasets are one natural person (linkage) only the custodian can know; by it the number can only fall.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .membership import set_commitment
from .receipt import opened_fields

FORMAT = "tongguan.opening/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedPeople:
    """``ids`` is proven, ``linked`` what the custodian's linkage keys make of it, ``largest`` the largest release."""

    releases: int
    ids: int
    linked: int
    largest: int


def check_opening(opening: Mapping[str, Any], entries: Sequence[bytes]) -> CountedPeople:
    """Hold an opening against all entries of a proven log; ``ValueError`` names the position that does not hold."""
    if opening.get("format") != FORMAT:
        raise ValueError("not an opening of this format")
    told = {one["position"]: one for one in opening["releases"]}
    wanted = _opened_by(entries, opening["custodian"])
    if sorted(told) != wanted or len(told) != len(opening["releases"]):
        raise ValueError("the opening does not name every release of this custodian exactly once")
    ids, linkages, sizes = set[str](), dict[str, str](), [0]
    for position in wanted:
        people = _people(entries[position], told[position], opening["recipient"], position)
        for one in people:
            if linkages.setdefault(one["id"], one["linkage"]) != one["linkage"]:
                raise ValueError(f"entry {position}: one participant has two linkage keys")
        ids |= {one["id"] for one in people}
        sizes.append(len(people))
    concerned = sum(told[position]["recipient"]["value"] == opening["recipient"] for position in wanted)
    return CountedPeople(releases=concerned, ids=len(ids), linked=len(set(linkages.values())), largest=max(sizes))


def _opened_by(entries: Sequence[bytes], custodian: str) -> list[int]:
    events = ((position, json.loads(entry)) for position, entry in enumerate(entries) if b'"release.open"' in entry)
    return [
        position for position, event in events if event["type"] == "release.open" and event["custodian"] == custodian
    ]


def _people(entry: bytes, told: Mapping[str, Any], recipient: str, position: int) -> list[Mapping[str, str]]:
    """The participants of one release to that recipient, shown to be those of its entry; none of another's."""
    try:
        opened_fields(entry, {"recipient": told["recipient"]})
        if told["recipient"]["value"] != recipient:
            return []
        people: list[Mapping[str, str]] = list(told["participants"])
        stated = opened_fields(entry, {"people": told["people"]})["people"]
        made = set_commitment([one["id"] for one in people], bytes.fromhex(told["salt"]))
        if made.hex() != json.loads(entry)["public"]["permitted_root"]:
            raise ValueError("its participants are not those the entry commits to")
        if stated != len(people) or len({one["id"] for one in people}) != stated:
            raise ValueError("the number it states is not that of its participants")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"entry {position}: {error}") from None
    return people
