"""The background hand: carries releases forward, ticks the ledger, closes what has expired.

One thread per process is enough for one machine; two processes do no harm, because every step leaves by a
compare-and-swap. Trouble is never the end: a step that could not be done is tried again at the next round.
"""

from __future__ import annotations

import contextlib
import threading

from gateway.env import Env
from gateway.errors import GatewayError
from gateway.handover import close_expired
from gateway.release import STEPS, advance

ROUND_SECONDS = 0.25
EXPIRY_ROUNDS = 40


class Worker:
    """Runs until told to stop; ``wake`` makes the next round start at once."""

    def __init__(self, env: Env, *, journal: object | None = None) -> None:
        self._env = env
        self._journal = journal
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="release-worker", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the present step, then end."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=60)

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def _run(self) -> None:
        rounds = 0
        while not self._stop.is_set():
            with contextlib.suppress(GatewayError):  # tried again at the next round
                run_round(self._env, expiry=rounds % EXPIRY_ROUNDS == 0)
            rounds += 1
            self._wake.wait(ROUND_SECONDS)
            self._wake.clear()


def run_round(env: Env, *, expiry: bool = True) -> int:
    """One pass over everything that can move; how many releases moved. Trouble stays with the release it met."""
    moved = 0
    waiting = env.uow.read(lambda tx: [row["id"] for row in tx.find("release", state=tuple(STEPS))])
    for release_id in waiting:
        moved += _try(env, release_id)
    if expiry:
        close_expired(env)
    if env.uow.read(lambda tx: bool(tx.find("outbox", position=None))):
        env.ledger.sync()
    return moved


def _try(env: Env, release_id: str) -> int:
    try:
        advance(env, release_id)
    except GatewayError:
        return 0
    return 1
