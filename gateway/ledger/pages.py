"""Sealed pages of the fact index, so that a restart need not read the whole log again.

A page holds what the entries from ``start`` to ``end`` said of facts, and the tree's peaks before and after them. Pages
are a memory of this gateway's own reading, not evidence: each is sealed under the gateway's keys, each must continue
the one before it, and what they add up to must be the signed root. Any page that does not is forgotten with all after
it, and the log itself is read instead. ``ledger verify`` and ``ledger audit`` never look at them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import GatewayError

from .files import DiskLogFiles

PAGE = 16_384
"""Entries in a page: a restart reads at most about this many from the log itself."""
Peaks = list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """``rows`` are (table, row, version, root, index, leaf, entry id, scopes, removed), hashes in hex."""

    start: int
    end: int
    before: Peaks
    after: Peaks
    rows: Sequence[Sequence[Any]]


class Pages(Protocol):
    """Where pages are kept."""

    def read(self) -> Iterator[Page]:
        """All pages from entry 0 on, each continuing the one before; ends before the first that does not."""

    def keep(self, page: Page) -> None:
        """Keep one; where that fails the log is read again at the next start, and nothing else happens."""


class NoPages:
    """Nothing is kept."""

    def read(self) -> Iterator[Page]:
        """None."""
        return iter(())

    def keep(self, page: Page) -> None:
        """Not."""


class SealedPages:
    """Pages in a folder; ``seal`` and ``unseal`` take a context and bytes, as ``gateway.keys`` has them."""

    def __init__(
        self,
        root: Path,
        *,
        origin: str,
        seal: Callable[[str, bytes], bytes],
        unseal: Callable[[str, bytes], bytes],
    ) -> None:
        self._root, self._origin, self._seal, self._unseal = root, origin, seal, unseal
        self._files = DiskLogFiles(root)

    def read(self) -> Iterator[Page]:
        """See ``Pages``."""
        end, after = 0, Peaks()
        with suppress(GatewayError, ValueError, KeyError, TypeError):
            for start, stop in sorted(self._spans()):
                if start != end:
                    return
                page = self._opened(start, stop)
                if page.before != after:
                    return
                end, after = page.end, page.after
                yield page

    def keep(self, page: Page) -> None:
        """See ``Pages``."""
        body = {"before": _hex(page.before), "after": _hex(page.after), "rows": page.rows}
        with suppress(GatewayError, OSError):
            blob = self._seal(self._context(page.start, page.end), json.dumps(body, separators=(",", ":")).encode())
            for start, stop in self._spans():
                if stop > page.start:  # of a history that is no more, or it would stand in the way of this one
                    (self._root / f"{start:012}.{stop:012}").unlink(missing_ok=True)
            self._files.write(f"{page.start:012}.{page.end:012}", blob)

    def _opened(self, start: int, end: int) -> Page:
        blob = self._files.read(f"{start:012}.{end:012}") or b""
        body = json.loads(self._unseal(self._context(start, end), blob))
        return Page(start=start, end=end, before=_peaks(body["before"]), after=_peaks(body["after"]), rows=body["rows"])

    def _spans(self) -> list[tuple[int, int]]:
        names = [path.name.split(".") for path in self._root.iterdir() if path.is_file()]
        return [(int(one[0]), int(one[1])) for one in names if len(one) == 2 and "".join(one).isdecimal()]

    def _context(self, start: int, end: int) -> str:
        return f"{self._origin}/facts/{start}/{end}"


def _hex(peaks: Peaks) -> list[list[Any]]:
    return [[height, value.hex()] for height, value in peaks]


def _peaks(said: list[list[Any]]) -> Peaks:
    return [(int(height), bytes.fromhex(value)) for height, value in said]
