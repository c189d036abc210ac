"""What a command needs of this machine without opening a home: clock, random numbers, the sandbox's tasks."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from gateway.errors import Unavailable

MAX_JUMP = 120.0
"""Seconds by which the clock may leave the pace of the machine; as far as it may stand from a witness's."""

TASKS = {
    "connectors.sniff": "connectors.sniff:sniff",
    "connectors.manifest": "connectors.manifest:read_manifest",
    "connectors.samples": "connectors.sheets:read_samples",
    "connectors.consent": "connectors.sheets:read_consent",
    "connectors.columns": "connectors.sheets:read_columns",
    "deid.core": "deid.run:core",
    "deid.index_reference": "deid.run:index_reference",
    "deid.beside": "deid.run:beside",
    "deid.copy": "deid.run:copy",
    "deid.assess": "deid.run:assess",
    "deid.leakcheck": "deid.run:leakcheck",
}


def _since_boot() -> float:
    """Seconds that nobody can set; where the system counts them, those asleep too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class SystemClock:
    """The machine's clock, as long as it keeps the machine's pace: set by hand it would end or revive a right.

    A clock that stood wrong already at the start is for the last entry (too early) and for the witnesses (too late).
    """

    def __init__(self, wall: Callable[[], float] = time.time, pace: Callable[[], float] = _since_boot) -> None:
        self._wall, self._pace = wall, pace
        self._offset = wall() - pace()

    def now(self) -> datetime:
        """Now, in UTC. Raises Unavailable where the clock was set since this process began."""
        wall = self._wall()
        if abs(wall - self._pace() - self._offset) > MAX_JUMP:
            raise Unavailable(
                f"the clock was set by more than {MAX_JUMP:.0f} s while the gateway ran; nothing leaves: set it right, "
                "or restart the gateway if it is right now"
            )
        return datetime.fromtimestamp(wall, UTC)


class SystemRandomness:
    """The operating system's random numbers."""

    def token(self, size: int) -> bytes:
        """``size`` bytes."""
        return secrets.token_bytes(size)
