"""What every test can rely on: closed network, counted skips, ``--slow``, the fetched data, real databases.

The parts are plugins in ``tests/plugins``: ``network`` (nothing beyond loopback), ``skips`` (only those listed in
CONTRIBUTING), ``postgres`` (``pg_url``, ``database_url``), ``house`` (a gateway with people, data and a grant).
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest_plugins = [
    "tests.plugins.network",
    "tests.plugins.skips",
    "tests.plugins.postgres",
    "tests.plugins.s3",
    "tests.plugins.house",
]

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without ``--slow`` the long tests are left out, not skipped: a skip always means something could not be shown."""
    if config.getoption("--slow"):
        return
    left_out = [item for item in items if item.get_closest_marker("slow")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The fetched public data (GA4GH samples, tlog cases, 1000 Genomes); not part of the project, read in place."""
    folder = Path(os.environ.get("TONGGUAN_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("the shared data folder is not here")
    return folder
