"""A whole gateway that can be started anew in a moment: the imports are done once, each start is a fork.

    python -m tests.gateway.kills.server HOME CONTROL DATA

Each line on standard input starts one server (bootstrap, clean-up, worker, uvicorn: what ``tongguan serve`` does) that
listens on both loopback ports, in a process group of its own; its process id is the answer.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from gateway.api.app import create_app
from gateway.bootstrap import open_env
from gateway.settings import Settings


def main(home: str, *ports: str) -> None:
    """Serve starts until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            serve(Path(home), [int(port) for port in ports])
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


def serve(home: Path, ports: list[int]) -> None:
    """Until killed."""
    env, _ = open_env(Settings(home=home), halt=lambda: os._exit(os.EX_IOERR))
    listening = [_listener(port) for port in ports]
    config = uvicorn.Config(create_app(env), log_level="critical", log_config=None, access_log=False)
    uvicorn.Server(config).run(sockets=listening)


def _listener(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.listen(64)
    return made


if __name__ == "__main__":
    main(*sys.argv[1:])
