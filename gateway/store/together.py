"""Group commit: transactions that wait for the same lock share one sync of the disk.

SQLite lets one transaction write at a time and each commit costs a sync. While one is being synced the others queue;
whoever is first in the queue then runs all that wait, one after the other in the order they came, and commits once.
Nobody is answered before that commit is durable. Where anything in a group fails nothing of it was written, and each
is run alone, as the promise of ``UnitOfWork`` allows: one that fails never takes another with it.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.errors import Unavailable

T = TypeVar("T")

GROUP = 64
"""At most so many share a commit: the last one waits for the work of all before it."""


@dataclass(slots=True, eq=False)
class _Turn:
    """One waiting transaction; ``run`` is its work in its own context (trace), given the open transaction."""

    run: Callable[[Any], Any]
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    done: bool = False
    value: Any = None
    error: Exception | None = None

    def result(self) -> Any:
        """What the work gave, or what it raised."""
        if self.error is not None:
            raise self.error
        if not self.done:
            raise Unavailable("the transaction was cut short before it was written; nothing was changed, try again")
        return self.value


class Together:
    """``commit`` runs a list of closures in one transaction and makes it durable, or raises and has changed nothing."""

    def __init__(self, commit: Callable[[list[Callable[[Any], Any]]], list[Any]]) -> None:
        self._commit = commit
        self._lock = threading.Lock()
        self._waiting: list[_Turn] = []
        self._led = False
        self._leader: int | None = None

    def run(self, work: Callable[[Any], T]) -> T:
        """The result of ``work``, durable; what it raises is raised here, and then nothing of it was written."""
        if self._leader == threading.get_ident():
            raise RuntimeError("a transaction inside a transaction would wait for itself")
        context = contextvars.copy_context()
        turn = _Turn(lambda tx: context.run(work, tx))
        with self._lock:
            self._waiting.append(turn)
            turn.leads, self._led = not self._led, True
        if not turn.leads:
            turn.woken.wait()
        if turn.leads:
            try:
                self._lead()
            finally:
                self._hand_over()
        value: T = turn.result()
        return value

    def _lead(self) -> None:
        """Write the group; every turn of it has its result, or is left to say that it was cut short."""
        with self._lock:
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
        self._leader = threading.get_ident()
        try:
            if len(group) > 1:
                # Whatever went wrong is found again, and told to whom it belongs, when each is run alone.
                with suppress(Exception):
                    values = self._commit([one.run for one in group])
                    for one, value in zip(group, values, strict=True):
                        one.value, one.done = value, True
            for one in group:
                if not one.done:
                    self._alone(one)
        finally:
            self._leader = None
            for one in group:
                one.woken.set()

    def _alone(self, turn: _Turn) -> None:
        try:
            turn.value = self._commit([turn.run])[0]
            turn.done = True
        except Exception as error:  # noqa: BLE001  raised again in the thread whose work it was
            turn.error = error

    def _hand_over(self) -> None:
        """The next in the queue leads; where none waits, the next that comes."""
        with self._lock:
            self._led = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].woken.set()
