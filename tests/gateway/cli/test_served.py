"""``ledger verify`` of a log that is served: the folder's verdict, whatever the server does."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.cli.session import Gateway
from gateway.demo.server import serving
from gateway.verifier import verify_log
from tests.gateway.verifier.conftest import SignedLog, some_entries
from tests.world import PASSWORD, World, _person


@dataclass
class Web:
    """A web server over a folder; ``answers`` stand before it, by path."""

    folder: Path
    address: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    tokens: list[str | None] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def find(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        if path in self.answers:
            said: tuple[int, bytes] = self.answers[path]
            return said
        file = self.folder / path
        return (200, file.read_bytes()) if file.is_file() else (404, b"")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    made = SignedLog(folder=tmp_path / "log")
    made.rewrite(some_entries(600))
    web = Web(folder=made.folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.tokens.append(self.headers["Authorization"])
            status, body = web.find(self.path.removeprefix("/a/log/"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_given: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web.address = f"http://127.0.0.1:{server.server_port}/a/log/"
    yield web
    server.shutdown()
    server.server_close()


def verify(*words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, ["ledger", "verify", *words, "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, json.loads(done.stdout)


def test_a_served_log_is_proven_as_its_folder_is(web: Web) -> None:
    code, said = verify(web.address)
    ours = verify_log(web.folder, key=None)
    assert (code, said["state"], said["size"], said["root_b64"]) == (0, "proven", 600, ours.root_b64)
    assert not [path for path in web.asked if ".." in path]
    kept = (web.folder / "checkpoint").read_bytes()
    SignedLog(folder=web.folder).grow(some_entries(3, "more"))
    (web.folder.parent / "kept").write_bytes(kept)
    key = (web.folder / "log.vkey").read_text().strip()
    code, said = verify(web.address, "--since", str(web.folder.parent / "kept"), "--key", key)
    assert (code, said["size"], said["key_on_trust"]) == (0, 603, False)
    assert "only appended to since" in said["detail"]


@pytest.mark.parametrize("path", ["tile/0/001", "tile/entries/000", "tile/entries/002.p/88", "checkpoint", "log.vkey"])
def test_a_byte_that_is_changed_or_a_file_that_is_gone_is_named(web: Web, path: str) -> None:
    good = (web.folder / path).read_bytes()
    web.answers[path] = (200, good[:-3] + bytes([good[-3] ^ 1]) + good[-2:])
    code, said = verify(web.address)
    assert (code, said["state"], said["place"]) == (1, "tampered", path)
    web.answers[path] = (404, b"")
    code, said = verify(web.address)
    if path in ("checkpoint", "log.vkey"):
        assert (code, said["state"], said["place"]) == (2, "unknown", path)
    else:
        assert (code, said["state"], said["place"]) == (1, "tampered", path)


def test_a_log_that_grows_while_it_is_fetched_is_proven_for_the_checkpoint_that_was_seen(web: Web) -> None:
    seen = (web.folder / "checkpoint").read_bytes()
    SignedLog(folder=web.folder).grow(some_entries(300, "more"))
    for path in ("tile/0/002.p", "tile/entries/002.p"):  # full by now, so the partial ones may go
        shutil.rmtree(web.folder / path)
    web.answers["checkpoint"] = (200, seen)
    code, said = verify(web.address)
    assert (code, said["state"], said["size"]) == (0, "proven", 600)


def test_a_server_cannot_keep_us_busy_with_sizes(web: Web) -> None:
    web.answers["tile/entries/001"] = (200, bytes(40 << 20))
    code, said = verify(web.address)
    assert (code, said["place"], said["detail"]) == (1, "tile/entries/001", "is longer than its format allows")
    signed = (web.folder / "checkpoint").read_bytes().split(b"\n")
    signed[1] = b"9223372036854775807"
    web.answers["checkpoint"] = (200, b"\n".join(signed))
    web.asked.clear()
    assert verify(web.address)[0] == 1
    assert len(web.asked) < 2000


@pytest.mark.parametrize("status", [301, 403, 500])
def test_any_other_answer_proves_nothing(web: Web, status: int) -> None:
    web.answers["tile/0/001"] = (status, b"")
    code, said = verify(web.address)
    assert (code, said["state"], said["place"]) == (2, "unknown", "tile/0/001")
    assert str(status) in said["detail"]


def test_a_server_that_is_not_there_proves_nothing() -> None:
    code, said = verify("http://127.0.0.1:9/ledger")
    assert (code, said["state"]) == (2, "unknown")


def test_an_auditor_proves_a_gateways_log_from_its_address_and_the_token_goes_nowhere_else(
    world: World, web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _person(world, ("fu", "auditor", world.ids["hospital"], "audit"), "mainland")
    session = tmp_path / "session.json"
    monkeypatch.setenv("TONGGUAN_SESSION_FILE", str(session))
    with serving(world.env) as server:

        def enter(login: str) -> None:
            place = "mainland" if login == "fu" else "hong_kong"
            body = {"login": login, "password": PASSWORD, "place_of_access": place}
            token = Gateway(server).post("/tokens", body)["token"]
            session.write_text(json.dumps({"server": server, "token": token}))

        code, said = verify(f"{server}/ledger")
        assert (code, said["place"]) == (2, "checkpoint.sm3")
        assert "sign in with: tongguan login" in said["detail"]
        enter("researcher")
        code, said = verify(f"{server}/ledger")
        assert (code, said["state"]) == (2, "unknown")
        assert "entries are for auditors" in said["detail"]
        enter("fu")
        code, said = verify(f"{server}/ledger")
        assert (code, said["state"]) == (0, "proven"), said
        assert verify(web.address)[0] == 0
        assert set(web.tokens) == {None}
