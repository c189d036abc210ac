"""The commands' side of a conversation with a gateway: who is signed in where, and one way to ask.

The token lies in a file that only its owner can read. Every answer that is not what was hoped for becomes one sentence
and an exit code: 1 refused, 2 could not tell or bad use.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from gateway.errors import BadInput, Conflict, NotAllowed, NotSignedIn, Unavailable
from gateway.settings import load_settings

SECONDS = 120
_REFUSED = {403}
_KINDS: dict[int, type[Exception]] = {401: NotSignedIn, 409: Conflict, 503: Unavailable}


class Gateway:
    """One server and, once signed in, one token."""

    def __init__(self, server: str, token: str = "") -> None:
        self.server, self.token = server.rstrip("/"), token
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Any:
        """The JSON answer."""
        return self.ask("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        """The JSON answer; None where there is none."""
        return self.ask("POST", path, body)

    def delete(self, path: str) -> None:
        """Nothing, or an error."""
        self.ask("DELETE", path)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request and its JSON. Raises the gateway's own errors, in the server's words."""
        with _reachable(self.server):
            answer = httpx2.request(method, self.server + path, json=body, headers=self._headers, timeout=SECONDS)
        refuse_trouble(answer)
        return answer.json() if answer.content else None

    def text(self, path: str) -> str:
        """The answer as text."""
        with _reachable(self.server):
            answer = httpx2.get(self.server + path, headers=self._headers, timeout=SECONDS)
        refuse_trouble(answer)
        return answer.text

    def ask_bytes(self, method: str, path: str, body: Any = None) -> bytes:
        """One request and the bytes of its answer."""
        with _reachable(self.server):
            answer = httpx2.request(method, self.server + path, json=body, headers=self._headers, timeout=SECONDS)
        refuse_trouble(answer)
        return answer.content

    def find_bytes(self, path: str) -> bytes | None:
        """The answer's bytes; None where there is no such thing."""
        with _reachable(self.server):
            answer = httpx2.get(self.server + path, headers=self._headers, timeout=SECONDS)
        if answer.status_code == 404:
            return None
        refuse_trouble(answer)
        return answer.content

    @contextmanager
    def stream(self, path: str, headers: dict[str, str]) -> Iterator[httpx2.Response]:
        """A streamed GET, its status not yet judged."""
        sent = {**self._headers, **headers}
        with _reachable(self.server), httpx2.stream("GET", self.server + path, headers=sent, timeout=SECONDS) as answer:
            yield answer


def gateway() -> Gateway:
    """The gateway of the last ``tongguan login``, or the one the settings name, nobody signed in."""
    settings = load_settings()
    known = _read(settings.session_file)
    return Gateway(known.get("server", settings.server), known.get("token", ""))


def sign_in(login: str, password: str, *, server: str | None, place: str | None) -> dict[str, str]:
    """Get a token and keep it in the session file, which nobody else may read."""
    settings = load_settings()
    chosen = server or settings.server
    body = {"login": login, "password": password, "place_of_access": place}
    signed: dict[str, str] = Gateway(chosen).post("/tokens", body)
    path = settings.session_file
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"server": chosen, "login": login, **signed}, file)
    fresh.replace(path)
    return {"server": chosen, "login": login, "expires_at": signed["expires_at"]}


def sign_out() -> None:
    """End the session on the server and forget the token here, also when the server no longer knows it."""
    try:
        gateway().delete("/session")
    except (NotSignedIn, Unavailable):
        pass
    finally:
        load_settings().session_file.unlink(missing_ok=True)


def refuse_trouble(answer: httpx2.Response) -> None:
    """Raise for a problem document, in its own words."""
    if answer.status_code < 400:
        return
    answer.read()
    try:
        body = answer.json()
    except ValueError:
        body = {}
    said = str(body.get("detail") or f"the server answered {answer.status_code}")
    if body.get("places"):
        said += ": " + ", ".join(f"{place['place']} {place['says']}" for place in body["places"])
    if body.get("successor"):
        said += f"; its successor is release {body['successor']}"
    if answer.status_code in _REFUSED:
        raise NotAllowed(said, rules=tuple(body.get("rules", ())))
    if answer.status_code == 401:
        said += "; sign in with: tongguan login"
    raise _KINDS.get(answer.status_code, BadInput)(said)


@contextmanager
def _reachable(server: str) -> Iterator[None]:
    try:
        yield
    except httpx2.TransportError:
        raise Unavailable(f"{server} cannot be reached; is `tongguan serve` running there?") from None


def _read(path: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise BadInput(f"{path}: cannot be read; remove it and sign in again") from None
    return found
