"""The worker's view of the revocation epoch, never more than a second old.

A withdrawal, a revocation, an ended session or a changed filing raises one number in the database. Every
worker polls it
twice a second and every chunk looks at the polled value: when it moved, the hand-over asks the database again
before the
next chunk; when the poll has had no answer for two seconds, no byte leaves (ARCHITECTURE section 3, step 6).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

POLL_SECONDS = 0.5
SILENCE_SECONDS = 2.0


class EpochGuard:
    """Polls ``read`` in a thread of its own; ``value`` and ``fresh`` cost nothing."""

    def __init__(
        self,
        read: Callable[[], int],
        *,
        every: float = POLL_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._every = every
        self._monotonic = monotonic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="epoch-guard", daemon=True)
        self.value = -1
        self._heard = float("-inf")

    def start(self) -> None:
        """Take a first reading, then go on in the background."""
        self.poll_once()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def fresh(self) -> bool:
        """Whether the last answer is recent enough to let bytes leave."""
        return self._monotonic() - self._heard <= SILENCE_SECONDS

    def poll_once(self) -> None:
        """One reading; a failing database leaves the old value, which then grows stale."""
        asked = self._monotonic()
        try:
            self.value = self._read()
        except Exception:  # noqa: BLE001  whatever went wrong, silence is what stops the bytes
            return
        self._heard = asked

    def _poll(self) -> None:
        while not self._stop.wait(self._every):
            self.poll_once()
