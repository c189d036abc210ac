"""``add-checkpoint`` over HTTP: the asking side's transport, and the door a witness answers at."""

from __future__ import annotations

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

from gateway.errors import GatewayError
from gateway.witness import Answer, Reply, Witness
from gateway.witness.request import MAX_BYTES

SECONDS = 5.0
LARGEST_ANSWER = 64 * 1024
_MONITOR = re.compile(r"/([0-9a-f]{64})/checkpoint")


class HttpPost:
    """``witness.Post`` to one submission prefix."""

    def __init__(self, address: str) -> None:
        self._url = address.rstrip("/") + "/add-checkpoint"

    def __call__(self, body: bytes) -> Reply | None:
        """One request; None for whatever is no answer. Redirects are not followed: the address is the policy's."""
        try:
            with httpx2.stream("POST", self._url, content=body, timeout=SECONDS) as answer:
                received = b""
                for part in answer.iter_bytes():
                    received += part
                    if len(received) > LARGEST_ANSWER:
                        return None
        except httpx2.HTTPError:
            return None
        return Reply(status=answer.status_code, body=received)


def witness_server(witness: Witness, *, host: str, port: int) -> ThreadingHTTPServer:
    """A server for this witness: POST /add-checkpoint, GET /<sha256 of the origin>/checkpoint."""

    class Door(BaseHTTPRequestHandler):
        server_version = "tongguan-witness"
        sys_version = ""
        timeout = 10

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != "/add-checkpoint":
                self._answer(Answer(status=404))
            elif not length.isdecimal() or int(length) > MAX_BYTES:
                self._answer(Answer(status=413 if length.isdecimal() else 411))
            else:
                self._answer(_asked(witness, self.rfile.read(int(length))))

        def do_GET(self) -> None:
            match = _MONITOR.fullmatch(self.path)
            found = None if match is None else witness.latest(match[1])
            self._answer(Answer(status=404) if found is None else Answer(status=200, body=found))

        def log_message(self, *_arguments: object) -> None:
            """A witness keeps no diary of who asked."""

        def _answer(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

    return ThreadingHTTPServer((host, port), Door)


def _asked(witness: Witness, body: bytes) -> Answer:
    try:
        return witness.add_checkpoint(body)
    except GatewayError:
        return Answer(status=503, body=b"this witness cannot be relied on now\n")
