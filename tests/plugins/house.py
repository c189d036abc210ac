"""A small house with a granted item (``tests.world``), made once for each kind of database; tests work on copies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import make_url

from gateway.settings import Settings
from tests.plugins.postgres import Server
from tests.world import ENGINES, MovableClock, World, make_world, reopened


@pytest.fixture(autouse=True)
def closed_engines() -> Iterator[None]:
    """Databases opened by a test are closed with it."""
    yield
    while ENGINES:
        ENGINES.pop().dispose()


@pytest.fixture(scope="session")
def sqlite_house(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The house on SQLite, not to be changed."""
    return _house(tmp_path_factory.mktemp("house"), "")


@pytest.fixture(scope="session")
def postgresql_house(tmp_path_factory: pytest.TempPathFactory, pg_server: Server) -> Iterator[World]:
    """The house on PostgreSQL, not to be changed."""
    with pg_server.database() as url:
        yield _house(tmp_path_factory.mktemp("house"), url)


@pytest.fixture
def world(sqlite_house: World, tmp_path: Path) -> World:
    """A copy of the house on SQLite."""
    return copied(sqlite_house, tmp_path, "")


@pytest.fixture(params=["sqlite", "postgresql"])
def any_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A copy of the house; the test runs once on SQLite and once on PostgreSQL."""
    house: World = request.getfixturevalue(f"{request.param}_house")
    if request.param == "sqlite":
        yield copied(house, tmp_path, "")
        return
    template = make_url(house.settings.database_url).database
    assert template is not None
    server: Server = request.getfixturevalue("pg_server")
    with server.database(template) as url:
        yield copied(house, tmp_path, url)


def _house(folder: Path, url: str) -> World:
    world = make_world(folder, url)
    world.ids["item"] = world.granted()
    world.env.ledger.sync()
    # PostgreSQL copies only a database that nobody is connected to.
    while ENGINES:
        ENGINES.pop().dispose()
    return world


def copied(house: World, folder: Path, url: str) -> World:
    """The same house in another folder, and another database where it is PostgreSQL's."""
    shutil.copytree(house.settings.home, folder / "home")
    fresh = replace(house, settings=Settings(home=folder / "home", database_url=url), clock=MovableClock())
    return reopened(replace(fresh, ids=dict(house.ids)))
