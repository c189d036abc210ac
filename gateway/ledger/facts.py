"""What the ledger says about the rows that decisions rely on, read from the log files and never from the database.

A fact entry names its table, row, version and scopes and carries the root of the row's commitments. The newest version
of a row is the one with the highest version number. ``refresh`` reads only what was added since, and believes it only
when the entries add up to the checkpoint's root: a changed bundle is refused like a changed row. What was read is kept
in sealed pages (``pages``); after a restart they are believed as far as they add up to the signed root as well.
"""

from __future__ import annotations

import base64
import gc
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gateway.errors import LedgerUnavailable
from gateway.ports import LogFiles
from gateway.verifier import merkle
from gateway.verifier.note import Checkpoint
from gateway.verifier.rotation import LogKeys
from gateway.verifier.tiles import WIDTH, Tile

from .log import read_entries
from .pages import PAGE, NoPages, Page, Pages, Peaks
from .receipt import read_checkpoint

Row = tuple[str, str]
"""``(table, row_id)``."""
Said = Sequence[Any]
"""A fact as pages hold it (``Page.rows``): a million of these are read in the time that a start may take."""


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


@dataclass(slots=True)
class _Reading:
    """What has been read of the log up to ``size``; ``open`` rows and ``before`` are of the page not yet kept."""

    size: int
    peaks: Peaks
    page_start: int
    before: Peaks
    rows: list[Said]
    pages: list[Page]

    def close_page(self) -> None:
        """Everything since the last page becomes one."""
        kept = [said for said in self.rows if said[4] >= self.page_start]
        page = Page(start=self.page_start, end=self.size, before=self.before, after=self.peaks.copy(), rows=kept)
        self.pages.append(page)
        self.page_start, self.before = self.size, page.after


class FactIndex:
    """Facts up to the last ``refresh``; with the log's ``keys`` the checkpoint's signature is demanded as well."""

    def __init__(
        self, files: LogFiles, *, keys: Callable[[], LogKeys] | None = None, pages: Pages | None = None
    ) -> None:
        self._files = files
        self._keys = keys
        self._pages = pages or NoPages()
        self._forget()

    def _forget(self) -> None:
        self._peaks: Peaks = []
        self._page: tuple[int, Peaks] = (0, [])
        self._unkept: list[Said] = []
        self._facts: dict[Row, Said] = {}
        self._by_scope: dict[str, set[Row]] = {}
        self.size = 0

    def refresh(self) -> int:
        """Read what the checkpoint has gained; the size reached. On an error nothing is taken in."""
        checkpoint = self._head()
        if checkpoint.size < self.size:
            raise LedgerUnavailable(f"the ledger shrank from {self.size} to {checkpoint.size} entries")
        remembered = self.size == 0 and self._remember(checkpoint.size)
        try:
            return self._read_on(checkpoint)
        except LedgerUnavailable:
            if not remembered:
                raise
            self._forget()  # the pages are of another history, or the log was changed: the log itself tells which
            return self._read_on(checkpoint)

    def _head(self) -> Checkpoint:
        signed, checkpoint = read_checkpoint(self._files)
        if self._keys is not None:
            try:
                self._keys().verify(signed)
            except ValueError as error:
                raise LedgerUnavailable(f"the checkpoint on disk cannot be trusted: {error}") from None
        return checkpoint

    def _remember(self, size: int) -> bool:
        """Take in the kept pages; False where there is none. Pages of a longer log than this one are of another."""
        with _uncollected():
            for page in self._pages.read():
                if page.end > size:
                    self._forget()
                    return False
                for said in page.rows:
                    self._take(said)
                self.size, self._peaks, self._page = page.end, page.after.copy(), (page.end, page.after)
        return self.size > 0

    def _read_on(self, checkpoint: Checkpoint) -> int:
        page_start, before = self._page
        reading = _Reading(self.size, self._peaks.copy(), page_start, before, self._unkept.copy(), [])
        known = len(reading.rows)
        for start, entries in self._added(checkpoint.size):
            _push_all(reading.peaks, [merkle.leaf_hash(entry) for entry in entries])
            reading.rows += [
                _read_fact(index, entry) for index, entry in enumerate(entries, start=start) if b'"fact":{' in entry
            ]
            reading.size = start + len(entries)
            if reading.size - reading.page_start >= PAGE:
                reading.close_page()
        if merkle.fold([peak for _, peak in reading.peaks]) != checkpoint.root:
            raise LedgerUnavailable(
                f"the entry bundles from entry {self.size} on do not add up to the checkpoint of size {checkpoint.size}"
            )
        for said in reading.rows[known:]:
            self._take(said)
        self._peaks, self.size, self._page = reading.peaks, checkpoint.size, (reading.page_start, reading.before)
        self._unkept = [one for one in reading.rows if one[4] >= reading.page_start]
        for page in reading.pages:
            self._pages.keep(page)
        return self.size

    def latest(self, table: str, row_id: str) -> LatestFact | None:
        """The newest fact of a row, or None where the ledger has never heard of it."""
        said = self._facts.get((table, row_id))
        return None if said is None else _unpacked(said)

    def rows_in(self, scope: str) -> set[Row]:
        """Every row whose newest fact belongs to ``scope`` and was not removed: what the database must still hold."""
        return set(self._by_scope.get(scope, ()))

    def rows(self) -> set[Row]:
        """Every row that the database must still hold."""
        return {row for row, said in self._facts.items() if not said[8]}

    def _added(self, size: int) -> Iterator[tuple[int, list[bytes]]]:
        """The entries from the last refresh up to ``size``, one bundle at a time, each with its first position."""
        start = self.size
        while start < size:
            first = start - start % WIDTH
            width = min(WIDTH, size - first)
            entries = read_entries(self._files, Tile(level=None, index=first // WIDTH, width=width))
            yield start, entries[start - first :]
            start = first + width

    def _take(self, said: Said) -> None:
        row = said[0], said[1]
        known = self._facts.get(row)
        if known is not None:
            if known[2] > said[2]:
                return
            for scope in known[7]:
                self._by_scope[scope].discard(row)
        self._facts[row] = said
        for scope in said[7]:
            rows = self._by_scope.setdefault(scope, set())
            if not said[8]:
                rows.add(row)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No collection of cycles: there are none in what pages hold, and looking for them doubles the time of a start."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _read_fact(index: int, entry: bytes) -> Said:
    try:
        event: Mapping[str, Any] = json.loads(entry)
        said = event["public"]["fact"]
        root = base64.b64decode(event["personal"]["root"], validate=True).hex()
        scopes, removed = sorted({str(scope) for scope in said["scopes"]}), bool(said.get("removed", False))
        leaf = merkle.leaf_hash(entry).hex()
        version, entry_id = int(said["version"]), str(event["id"])
        return str(said["table"]), str(said["row"]), version, root, index, leaf, entry_id, scopes, removed
    except (ValueError, KeyError, TypeError):
        raise LedgerUnavailable(f"entry {index} of the ledger calls itself a fact and is none") from None


def _unpacked(said: Said) -> LatestFact:
    _, _, version, root, index, leaf, entry_id, scopes, removed = said
    return LatestFact(
        version=version,
        commitment_root=bytes.fromhex(root),
        leaf_index=index,
        leaf_hash=bytes.fromhex(leaf),
        entry_id=entry_id,
        scopes=frozenset(scopes),
        removed=removed,
    )


def _push_all(peaks: Peaks, leaves: list[bytes]) -> None:
    """Add one bundle's leaves; a whole bundle is a perfect subtree and is added as one."""
    if len(leaves) == WIDTH:
        _push(peaks, merkle.perfect_root(leaves), height=8)
        return
    for leaf in leaves:
        _push(peaks, leaf, height=0)


def _push(peaks: Peaks, value: bytes, *, height: int) -> None:
    """Add a perfect subtree to the right of the peaks of a tree, each with its height."""
    while peaks and peaks[-1][0] == height:
        value = merkle.node_hash(peaks.pop()[1], value)
        height += 1
    peaks.append((height, value))
