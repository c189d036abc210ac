"""Verbs are imported when asked for; help still lists them all."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer
from typer.main import get_group
from typer.testing import CliRunner

from gateway.cli.app import app, deid

GROUPS = pytest.mark.parametrize("group", [app, deid], ids=["tongguan", "tongguan deid"])
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


@pytest.mark.parametrize("group", [[], ["deid"]])
def test_help_imports_no_verb_no_web_and_no_database(group: list[str]) -> None:
    there = loaded(*group)
    assert there.isdisjoint([*HEAVY, "pyarrow", "numpy"])
    assert {one for one in there if one.startswith("gateway.cli")} == {
        "gateway.cli",
        "gateway.cli.app",
        "gateway.cli.lazily",
    }


@GROUPS
def test_the_line_help_shows_of_a_verb_is_the_verbs_own(group: typer.Typer) -> None:
    opened = get_group(group)
    for name in opened.list_commands(None):
        own = (opened.get_command(None, name).help or "").split("\n\n")[0]
        assert opened.commands[name].help == " ".join(own.split()), name


@GROUPS
def test_help_leaves_the_verbs_runnable(group: typer.Typer) -> None:
    opened = get_group(group)
    assert CliRunner().invoke(group, ["--help"]).exit_code == 0
    shown = opened.commands["deid" if "deid" in opened.commands else "table"]
    opened.get_help(opened.make_context("tongguan", ["deid"] if group is app else ["table"], resilient_parsing=True))
    assert opened.get_command(None, shown.name) is not shown


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
