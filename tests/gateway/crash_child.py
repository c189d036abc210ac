"""Carry a release forward in a process of its own, and die without warning at a named point."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from gateway.bootstrap import open_env
from gateway.release import advance
from gateway.settings import Settings


def main(home: str, url: str, release_id: str, point: str) -> None:
    """Advance until ``point`` is reached, then SIGKILL oneself."""

    def reached(name: str) -> None:
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    env, _ = open_env(Settings(home=Path(home), database_url=url), reached=reached)
    advance(env, release_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
