"""What the ledger says about the rows that decisions rely on, read from the log files and never from the database.

A fact entry names its table, row, version and scopes and carries the root of the row's commitments. The newest version
of a row is the one with the highest version number. ``refresh`` reads only what was added since, and believes it only
when the entries add up to the checkpoint's root: a changed bundle is refused like a changed row.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import LedgerUnavailable
from gateway.ports import LogFiles
from gateway.verifier import merkle
from gateway.verifier.note import VerifierKey, verify_checkpoint
from gateway.verifier.tiles import WIDTH, Tile

from .log import read_entries
from .receipt import read_checkpoint

Row = tuple[str, str]
"""``(table, row_id)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestFact:
    """The newest leaf of one row; ``removed`` says that the row was taken away on purpose."""

    version: int
    commitment_root: bytes
    leaf_index: int
    leaf_hash: bytes
    entry_id: str
    scopes: frozenset[str]
    removed: bool = False


class FactIndex:
    """Facts up to the last ``refresh``; with a ``key`` the checkpoint's signature is demanded as well."""

    def __init__(self, files: LogFiles, *, key: VerifierKey | None = None) -> None:
        self._files = files
        self._key = key
        self._peaks: list[tuple[int, bytes]] = []
        self._facts: dict[Row, LatestFact] = {}
        self._by_scope: dict[str, set[Row]] = {}
        self.size = 0

    def refresh(self) -> int:
        """Read what the checkpoint has gained; the size reached. On an error nothing is taken in."""
        signed, checkpoint = read_checkpoint(self._files)
        if self._key is not None:
            try:
                verify_checkpoint(signed, self._key)
            except ValueError as error:
                raise LedgerUnavailable(f"the checkpoint on disk cannot be trusted: {error}") from None
        if checkpoint.size < self.size:
            raise LedgerUnavailable(f"the ledger shrank from {self.size} to {checkpoint.size} entries")
        peaks = self._peaks.copy()
        found: list[tuple[Row, LatestFact]] = []
        for start, entries in self._added(checkpoint.size):
            _push_all(peaks, [merkle.leaf_hash(entry) for entry in entries])
            found += [
                _read_fact(index, entry) for index, entry in enumerate(entries, start=start) if b'"fact":{' in entry
            ]
        if merkle.fold([peak for _, peak in peaks]) != checkpoint.root:
            raise LedgerUnavailable(
                f"the entry bundles from entry {self.size} on do not add up to the checkpoint of size {checkpoint.size}"
            )
        self._peaks, self.size = peaks, checkpoint.size
        for row, fact in found:
            self._take(row, fact)
        return self.size

    def latest(self, table: str, row_id: str) -> LatestFact | None:
        """The newest fact of a row, or None where the ledger has never heard of it."""
        return self._facts.get((table, row_id))

    def rows_in(self, scope: str) -> set[Row]:
        """Every row whose newest fact belongs to ``scope`` and was not removed: what the database must still hold."""
        return set(self._by_scope.get(scope, ()))

    def rows(self) -> set[Row]:
        """Every row that the database must still hold."""
        return {row for row, fact in self._facts.items() if not fact.removed}

    def _added(self, size: int) -> Iterator[tuple[int, list[bytes]]]:
        """The entries from the last refresh up to ``size``, one bundle at a time, each with its first position."""
        start = self.size
        while start < size:
            first = start - start % WIDTH
            width = min(WIDTH, size - first)
            entries = read_entries(self._files, Tile(level=None, index=first // WIDTH, width=width))
            yield start, entries[start - first :]
            start = first + width

    def _take(self, row: Row, fact: LatestFact) -> None:
        known = self._facts.get(row)
        if known is not None:
            if known.version > fact.version:
                return
            for scope in known.scopes:
                self._by_scope[scope].discard(row)
        self._facts[row] = fact
        if not fact.removed:
            for scope in fact.scopes:
                self._by_scope.setdefault(scope, set()).add(row)


def _read_fact(index: int, entry: bytes) -> tuple[Row, LatestFact]:
    try:
        event: Mapping[str, Any] = json.loads(entry)
        said = event["public"]["fact"]
        fact = LatestFact(
            version=said["version"],
            commitment_root=base64.b64decode(event["personal"]["root"], validate=True),
            leaf_index=index,
            leaf_hash=merkle.leaf_hash(entry),
            entry_id=event["id"],
            scopes=frozenset(said["scopes"]),
            removed=said.get("removed", False),
        )
        return (said["table"], said["row"]), fact
    except (ValueError, KeyError, TypeError):
        raise LedgerUnavailable(f"entry {index} of the ledger calls itself a fact and is none") from None


def _push_all(peaks: list[tuple[int, bytes]], leaves: list[bytes]) -> None:
    """Add one bundle's leaves; a whole bundle is a perfect subtree and is added as one."""
    if len(leaves) == WIDTH:
        _push(peaks, merkle.perfect_root(leaves), height=8)
        return
    for leaf in leaves:
        _push(peaks, leaf, height=0)


def _push(peaks: list[tuple[int, bytes]], value: bytes, *, height: int) -> None:
    """Add a perfect subtree to the right of the peaks of a tree, each with its height."""
    while peaks and peaks[-1][0] == height:
        value = merkle.node_hash(peaks.pop()[1], value)
        height += 1
    peaks.append((height, value))
