"""The line of logs: one origin for each year, each naming the one before, so that a whole year can be retired.

At the turn of the year (Asia/Shanghai) the present log is ended and the next begun. Each step is one transaction or may
be done again, so that a crash anywhere goes on where it stopped:

    1. one transaction: the closing entry, the last of the old log, which names the next one and its key; from here on
       every entry belongs to the next log
    2. the old log is written out, signed, journalled and, where witnesses are wanted, cosigned to its last entry
    3. one transaction: the opening entry, the first of the new log, which names the old one's size and root

Positions count on from log to log. Nothing of the new log is signed before step 3, and nothing leaves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import LedgerUnavailable
from gateway.ledger.embedded import EmbeddedLedger
from gateway.ledger.facts import FactIndex, LatestFact
from gateway.ledger.log import TreeFiles, read_entries
from gateway.ports import Clock, LogFiles, Signer
from gateway.times import legal_day
from gateway.verifier.rotation import LogKeys, Rotation
from gateway.verifier.tiles import WIDTH, Tile

OPEN, ENDED, CLOSED, RETIRED = "open", "ended", "closed", "retired"
FORMER = "former/"
_STEPS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The ``number``-th log; ``start`` is the position of its first entry, None until the one before is closed."""

    number: int
    name: str
    start: int | None
    size: int
    root: bytes
    year: int
    state: str


class Origins(Protocol):
    """The database's side of the line. Each call is one transaction, and does nothing where it was done already."""

    def line(self) -> Sequence[Origin]:
        """Every log that is not retired, the oldest first; the last one takes new entries."""

    def end(self, last: Origin, year: int) -> None:
        """Step 1."""

    def begin_next(self, ended: Origin, size: int) -> None:
        """Step 3; ``size`` is what the signed checkpoint of ``ended`` holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One log of the line, as it is read."""

    origin: str
    start: int
    files: LogFiles
    index: FactIndex


class Chain:
    """Several logs as one sequence of positions; a later log's word on a row counts."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)

    @property
    def first(self) -> int:
        """The position of the oldest entry that is still here."""
        return self.parts[0].start

    @property
    def size(self) -> int:
        """One past the last position that was read."""
        return self.parts[-1].start + self.parts[-1].index.size

    def origin_at(self, position: int) -> str:
        """The log that a position belongs to."""
        return next(part.origin for part in reversed(self.parts) if part.start <= position)

    def is_later(self, position: int) -> bool:
        """Whether the position is of a log after the first one of the line."""
        return next(part.start for part in reversed(self.parts) if part.start <= position) > 0

    def newest(self, table: str, row_id: str) -> LatestFact | None:
        """The newest fact about a row."""
        found = (part.index.latest(table, row_id) for part in reversed(self.parts))
        return next((fact for fact in found if fact is not None), None)

    def latest(self, table: str, row_id: str) -> tuple[int, bytes] | None:
        """(version, commitment root) of the newest fact about that row."""
        fact = self.newest(table, row_id)
        return None if fact is None else (fact.version, fact.commitment_root)

    def rows_in(self, scope: str) -> set[tuple[str, str]]:
        """Every row that the database must hold in that scope."""
        return self._standing(lambda index: index.rows_in(scope))

    def rows(self) -> set[tuple[str, str]]:
        """Every row that the database must hold."""
        return self._standing(lambda index: index.rows())

    def leaves(self) -> Callable[[int], bytes]:
        """The leaf hash at a position, read from the tiles; each tile is read once."""
        trees = [(part.start, TreeFiles(part.files, part.index.size)) for part in reversed(self.parts)]

        def leaf(position: int) -> bytes:
            start, tree = next(one for one in trees if one[0] <= position)
            return tree.leaf(position - start)

        return leaf

    def _standing(self, rows: Callable[[FactIndex], set[tuple[str, str]]]) -> set[tuple[str, str]]:
        """Of each log those rows that no later log speaks of."""
        kept: set[tuple[str, str]] = set()
        for number, part in enumerate(self.parts):
            later = self.parts[number + 1 :]
            kept |= {row for row in rows(part.index) if not any(one.index.latest(*row) for one in later)}
        return kept


class LineOfLogs:
    """``env.Ledger`` over the whole line; ``opened`` gives the ledger of one log and its files."""

    def __init__(self, origins: Origins, opened: Callable[[Origin], tuple[EmbeddedLedger, LogFiles]], clock: Clock):
        self._origins, self._open, self._clock = origins, opened, clock
        self._lock = threading.Lock()
        self._logs: dict[str, tuple[EmbeddedLedger, LogFiles]] = {}
        self._line: tuple[Origin, ...] = ()

    @property
    def origin(self) -> str:
        """The log that new entries go to."""
        return (self._line or self._read())[-1].name

    @property
    def witnessed(self) -> bool:
        """Whether hand-over waits for witnesses."""
        return self._log((self._line or self._read())[0])[0].witnessed

    def sync(self) -> int:
        """See ``env.Ledger``; turns the year where it has turned."""
        _, start, log = self._present()
        return start + log.sync()

    def confirm(self) -> int:
        """See ``env.Ledger``. Former logs were confirmed to their last entry before this one began."""
        _, start, log = self._present()
        return start + log.confirm()

    def keys(self) -> LogKeys:
        """The keys of the present log."""
        return self._present()[2].keys()

    def rotate(self, signer: Signer) -> Rotation:
        """See ``EmbeddedLedger.rotate``, of the present log."""
        return self._present()[2].rotate(signer)

    def facts(self) -> Chain:
        """The facts of all logs, up to the last ``sync``."""
        return self.chain(self._line or self._read())

    def chain(self, line: Sequence[Origin]) -> Chain:
        """The logs of that line, as far as they are begun."""
        begun = [(one, one.start) for one in line if one.start is not None]
        logs = [(one, start, *self._log(one)) for one, start in begun]
        return Chain(
            [Part(origin=one.name, start=at, files=files, index=log.facts().index) for one, at, log, files in logs]
        )

    def receipt(self, position: int) -> bytes:
        """A ``.tlog-proof`` of the log that has the position."""
        for one in reversed(self._line or self._read()):
            if one.start is not None and one.start <= position:
                return self._log(one)[0].receipt(position - one.start)
        raise LedgerUnavailable(f"entry {position} was of a log that is retired")

    def file(self, path: str) -> bytes | None:
        """One file of the present log; ``former/<number>/<path>`` is one of a log before it, ``end`` and
        ``end.tlog-proof`` there its closing entry and the proof of it."""
        line = [one for one in self._line or self._read() if one.start is not None]
        if not path.startswith(FORMER):
            return self._log(line[-1])[0].file(path)
        number, _, rest = path.removeprefix(FORMER).partition("/")
        for one in line[:-1]:
            if str(one.number) == number:
                return self._former(one, rest)
        raise ValueError("no such former log")

    def _former(self, one: Origin, path: str) -> bytes | None:
        """A file of a former log; its closing entry, which says nothing of anybody, is for everybody to read."""
        log, files = self._log(one)
        if path == "end.tlog-proof":
            return log.receipt(one.size - 1)
        if path == "end":
            place = (one.size - 1) % WIDTH
            return read_entries(files, Tile(level=None, index=(one.size - 1) // WIDTH, width=place + 1))[place]
        return log.file(path)

    def _present(self) -> tuple[Origin, int, EmbeddedLedger]:
        """The log that entries go to, begun; where the year has turned, after the turn."""
        for _ in range(_STEPS):
            line = self._read()
            last, year = line[-1], legal_day(self._clock.now()).year
            ended = next((one for one in line if one.state == ENDED), None)
            if ended is None and last.start is not None and last.year >= year:
                return last, last.start, self._log(last)[0]
            with self._lock:
                if ended is not None:
                    self._origins.begin_next(ended, self._log(ended)[0].confirm())
                else:
                    self._origins.end(last, year)
        raise LedgerUnavailable("the year's change of the log did not come to an end; nothing leaves, try again")

    def _read(self) -> tuple[Origin, ...]:
        self._line = tuple(self._origins.line())
        return self._line

    def _log(self, one: Origin) -> tuple[EmbeddedLedger, LogFiles]:
        if one.name not in self._logs:
            self._logs[one.name] = self._open(one)
        log, files = self._logs[one.name]
        if one.state == CLOSED and log.facts().size < one.size:
            log.read_facts()  # another process closed it
        return log, files
