"""Verbs are imported when asked for; help still lists them all."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gateway.cli.app import app

HEAVY = ["fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "httpx2", "authlib", "cedarpy"]
LOADED = """
import json, sys
from typer.testing import CliRunner
from gateway.cli.app import app
done = CliRunner().invoke(app, [*sys.argv[1:], "--help"])
assert done.exit_code == 0, done.output
print(json.dumps(sorted(sys.modules)))
"""


def loaded(*verb: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOADED, *verb], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("kind", ["table", "vcf"])
def test_deid_imports_neither_the_web_nor_the_database(kind: str) -> None:
    assert loaded("deid", kind).isdisjoint(HEAVY)


def test_the_heavy_libraries_are_those_that_serving_needs() -> None:
    """So that the names above cannot go stale unnoticed."""
    assert {"uvicorn", "sqlalchemy", "alembic", "httpx2"} <= loaded("serve")


def test_help_lists_every_verb_and_each_of_them_opens() -> None:
    listed = CliRunner().invoke(app, ["--help"]).output
    for verb in ("init", "serve", "demo", "ledger", "consent", "release", "deid", "crypt4gh", "leakcheck", "report"):
        assert f"│ {verb} " in listed
    for group, verb in (("consent", "withdraw"), ("ledger", "verify"), ("ledger", "keep"), ("release", "receipt")):
        assert f"│ {verb} " in CliRunner().invoke(app, [group, "--help"]).output


def test_a_mistyped_verb_is_told_what_was_meant() -> None:
    result = CliRunner().invoke(app, ["leger"])
    assert result.exit_code == 2
    assert "ledger" in result.output
