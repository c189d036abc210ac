"""What the log itself says of fact rows: read from the published bundles, never from the database.

An attacker who owns the database can change, remove or roll back a row; this index still knows the newest version and
commitment of every row that was ever recorded, and which rows belong to a scope.
"""

from __future__ import annotations

import base64
import json
import threading

from gateway.ledger.log import read_entries
from gateway.ports import LogFiles
from gateway.verifier import tiles


class FactIndex:
    """Grows with the log; ``refresh`` reads only what is new."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._latest: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._scopes: dict[str, set[tuple[str, str]]] = {}
        self._size = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Entries read so far."""
        return self._size

    def refresh(self, size: int) -> None:
        """Read the entries up to ``size``, the published size."""
        with self._lock:
            while self._size < size:
                n, skip = divmod(self._size, tiles.WIDTH)
                width = min(tiles.WIDTH, size - n * tiles.WIDTH)
                for entry in read_entries(self._files, n, width)[skip:]:
                    self._learn(entry)
                self._size = n * tiles.WIDTH + width

    def latest(self, table: str, row_id: str) -> tuple[int, bytes] | None:
        """(version, commitment root) of the newest fact about that row."""
        return self._latest.get((table, row_id))

    def rows_in(self, scope: str) -> set[tuple[str, str]]:
        """Every row that ever had a fact in that scope."""
        return set(self._scopes.get(scope, ()))

    def _learn(self, entry: bytes) -> None:
        event = json.loads(entry)
        fact = event.get("public", {}).get("fact")
        if fact is None:
            return
        key = (fact["table"], fact["row"])
        known = self._latest.get(key)
        if known is None or known[0] < fact["version"]:
            self._latest[key] = (fact["version"], base64.b64decode(event["personal"]["root"]))
        for scope in fact["scopes"]:
            self._scopes.setdefault(scope, set()).add(key)
