"""The line of logs, one for each year: the first entry of each names the size and root that the one before ended with.

So whoever trusts a later log has every earlier one whole, without its key; and whoever kept an earlier log's key has
the later one's, which the earlier log's last entry names.

    log.end      last entry of a log:  public.next, public.next_key (hex)
    log.begin    first entry of the next:  public.former, public.size, public.root (hex)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from .errors import Contradiction, Finding, Inconclusive
from .note import parse_checkpoint
from .proof import parse_proof
from .tiles import WIDTH, Tile
from .verify import (
    Examined,
    Verdict,
    check_receipt_of_log,
    check_since,
    examine,
    parse_given,
    verdict_of,
    verify_log,
    witnessed,
)

END = "log.end"
BEGIN = "log.begin"


def verify_line(
    folders: Sequence[Path],
    *,
    key: str | None,
    receipts: Sequence[bytes] = (),
    since: bytes | None = None,
    policy: str | None = None,
) -> Verdict:
    """Audit the logs in ``folders``, the oldest first, and that each follows the one before; see ``verify_log``.

    ``key`` may be any key of any of them; what was kept from earlier may be of any of them. The size and the root are
    those of the last one. Of the logs before it, places are named with their folder.
    """
    if len(folders) == 1:
        return verify_log(folders[0], key=key, receipts=receipts, since=since, policy=policy)
    logs: list[Examined] = []
    verdict = Verdict(state="unknown", detail="", key_on_trust=key is None)
    try:
        for number, folder in enumerate(folders, start=1):
            logs.append(_examine(folder, former=number < len(folders)))
        if key is not None and not any(parse_given(key) in log.keys.keys for log in logs):
            raise Contradiction("log.vkey", "is not the key that was given, nor is that of a log before it")
        witnesses = () if policy is None else witnessed(logs[-1], policy)
        for before, after in pairwise(logs):
            _need_link(before, after, folders[logs.index(before)].name)
        for number, receipt in enumerate(receipts, start=1):
            place = f"receipt {number}"
            check_receipt_of_log(_of(logs, receipt, place, proof=True), receipt, place)
        if since is not None:
            check_since(_of(logs, since, "since", proof=False), since)
    except Finding as finding:
        return verdict_of(verdict, finding, logs[-1] if len(logs) == len(folders) else None)
    return verdict_of(verdict, (len(receipts), since is not None, witnesses, len(logs) - 1), logs[-1])


def _examine(folder: Path, *, former: bool) -> Examined:
    try:
        return examine(folder, None)
    except Finding as finding:
        if former:
            raise type(finding)(f"{folder.name}/{finding.place}", finding.detail) from None
        raise


def _need_link(before: Examined, after: Examined, folder: str) -> None:
    """The last entry of the one and the first of the other name each other."""
    head, size = before.checkpoint, before.checkpoint.size
    place = f"{folder}/{_bundle(before, size - 1).path}" if size else f"{folder}/checkpoint"
    said = _said(before, size - 1, END) if size else None
    if said is None:
        raise Contradiction(place, "the log does not end, and yet another follows it")
    first = after.keys.keys[0]
    if (said.get("next"), said.get("next_key")) != (first.name, first.public_key.hex()):
        raise Contradiction(place, "the log ends by naming another log or key than the one that follows")
    begun = _said(after, 0, BEGIN) if after.checkpoint.size else None
    if begun is None or (begun.get("former"), begun.get("size"), begun.get("root")) != (
        head.origin,
        size,
        head.root.hex(),
    ):
        raise Contradiction(
            "tile/entries/000", f"the log begins after another log than the one in {folder}, or another state of it"
        )


def _said(log: Examined, index: int, kind: str) -> dict[str, Any] | None:
    """The open part of that entry, where it is of that kind."""
    bundle = _bundle(log, index)
    entry = log.files.entries(bundle)[index - bundle.first]
    try:
        event = json.loads(entry)
        return dict(event["public"]) if event["type"] == kind else None
    except (ValueError, KeyError, TypeError):
        return None


def _bundle(log: Examined, index: int) -> Tile:
    first = index - index % WIDTH
    return Tile(level=None, index=index // WIDTH, width=min(WIDTH, log.checkpoint.size - first))


def _of(logs: Sequence[Examined], kept: bytes, place: str, *, proof: bool) -> Examined:
    """The log that what was kept is of; the last one where none of these is named."""
    try:
        origin = parse_checkpoint(parse_proof(kept).signed_checkpoint if proof else kept).origin
    except ValueError as error:
        raise Inconclusive(place, str(error)) from None
    return next((log for log in logs if log.checkpoint.origin == origin), logs[-1])
