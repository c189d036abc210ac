"""The house keeps its shape: contracts, doors and sizes hold, and each is seen to catch a planted violation."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture.doorkeepers import DOORS, foreign_to_verifier, trespasses
from tests.architecture.sizes import oversized

ROOMS = ("gateway", "policies", "deid", "connectors")

# contract id -> (file, the line that breaks it, what the check must name)
PLANTS = {
    "one-arrow": ("deid/planted.py", "import policies.vocabulary", "deid.planted"),
    "inside-gateway": ("gateway/release.py", "import gateway.worker", "gateway.release"),
    "adapters-by-ports": ("gateway/release.py", "import gateway.store.tables", "gateway.release"),
    "pure-cores": ("gateway/events.py", "import socket", "gateway.events"),
    "pure-policies": ("policies/decide.py", "import duckdb", "policies.decide"),
    "one-doorkeeper": ("gateway/datasets.py", "import connectors.sniff", "gateway.datasets"),
    "verifier-alone": ("gateway/verifier/note.py", "import gateway.errors", "gateway.verifier.note"),
}
MORE_PLANTS = [
    ("one-arrow", "policies/planted.py", "import gateway.errors"),
    ("one-arrow", "connectors/planted.py", "import deid"),
    ("inside-gateway", "gateway/planted.py", ""),  # a module without a layer
    ("pure-cores", "policies/decide.py", "import sqlalchemy"),
    ("pure-cores", "deid/planted.py", "import httpx2"),
    # Not its own import, but one it would drag along.
    ("pure-cores", "gateway/canonical.py", "import fastapi"),
]


@pytest.fixture
def tree(tmp_path: Path, repository: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(
            repository / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "*.gz", "*.bam")
        )
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


def plant(tree: Path, file: str, line: str) -> None:
    """Append a line to a file of the copy; a new file where there is none."""
    path = tree / file
    before = path.read_text("utf-8") if path.exists() else '"""Planted."""\n'
    path.write_text(f"{before}\n{line}\n", "utf-8")


def broken_contracts(tree: Path) -> tuple[set[str], str]:
    """The ids of the contracts that ``lint-imports`` finds broken in a tree, and all it said."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, env={"COLUMNS": "1000"})
    assert "Analyzed" in done.stdout, done.stdout + done.stderr
    names = {contract["name"]: contract["id"] for contract in contracts(tree)}
    said = " ".join(done.stdout.split())
    states = {ident: re.search(rf"{re.escape(name)}\s*(KEPT|BROKEN)", said) for name, ident in names.items()}
    assert all(states.values()), done.stdout
    broken = {ident for ident, state in states.items() if state and state.group(1) == "BROKEN"}
    assert bool(broken) == (done.returncode != 0)
    return broken, done.stdout


def contracts(tree: Path) -> list[dict[str, str]]:
    """The contracts written in ``pyproject.toml``."""
    settings = tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))
    return list(settings["tool"]["importlinter"]["contracts"])


def test_every_contract_has_a_planted_violation(repository: Path) -> None:
    assert {contract["id"] for contract in contracts(repository)} == set(PLANTS)
    assert all("ignore_imports" not in contract for contract in contracts(repository))


def test_the_tree_as_it_is_keeps_every_contract(tree: Path) -> None:
    broken, said = broken_contracts(tree)
    assert not broken, said


@pytest.mark.parametrize("contract", sorted(PLANTS))
def test_a_planted_violation_of_each_contract_is_caught(tree: Path, contract: str) -> None:
    file, line, named = PLANTS[contract]
    plant(tree, file, line)
    broken, said = broken_contracts(tree)
    assert contract in broken
    assert named in said


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "file", "line"), MORE_PLANTS)
def test_further_planted_violations_are_caught(tree: Path, contract: str, file: str, line: str) -> None:
    plant(tree, file, line)
    assert contract in broken_contracts(tree)[0]


def test_environment_clock_chance_and_policy_engine_are_named_at_their_doors_only(repository: Path) -> None:
    assert trespasses(repository) == []


@pytest.mark.parametrize(
    ("door", "line"),
    [
        ("environment", "import os\nos.environ.get('HOME')"),
        ("environment", "from os import environ as e\ne['HOME']"),
        ("environment", "from os import getenv"),
        ("clock", "from datetime import datetime\ndatetime.now()"),
        ("clock", "import datetime as d\nd.date.today()"),
        ("clock", "import time\ntime.time()"),
        ("chance", "from secrets import token_bytes"),
        ("chance", "import random\nrandom.choice([1])"),
        ("chance", "import numpy as np\nnp.random.default_rng()"),
        ("policy engine", "import cedarpy"),
        ("policy engine", "from cedarpy import is_authorized"),
    ],
)
def test_a_use_outside_its_door_is_found(tree: Path, door: str, line: str) -> None:
    assert door in {known.name for known in DOORS}
    plant(tree, "gateway/release.py", line)
    found = trespasses(tree)
    assert found
    assert all(f"door {door!r}" in sentence and sentence.startswith("gateway/release.py:") for sentence in found)


def test_the_verifier_imports_the_standard_library_and_cryptography_alone(repository: Path, tree: Path) -> None:
    assert (repository / "gateway" / "verifier" / "__init__.py").is_file()
    assert foreign_to_verifier(repository) == []
    assert (tree / "gateway" / "__init__.py").read_text().strip() in {"", '"""stub"""'}, (
        "it would run before the verifier"
    )
    plant(tree, "gateway/verifier/note.py", "import rfc8785")
    plant(tree, "gateway/verifier/merkle.py", "from gateway.errors import GatewayError")
    assert foreign_to_verifier(tree) == [
        "gateway/verifier/merkle.py: gateway.errors",
        "gateway/verifier/note.py: rfc8785",
    ]


def test_no_file_is_over_500_lines_and_no_function_over_60(repository: Path) -> None:
    assert oversized(repository) == []


@pytest.mark.parametrize(
    ("body", "over"),
    [
        (lambda: "x = 1\n" * 499, False),
        (lambda: "x = 1\n" * 501, True),
        (lambda: "def f():\n" + "    x = 1\n" * 59, False),
        (lambda: "async def f():\n" + "    x = 1\n" * 60, True),
    ],
)
def test_the_size_gate_sees_what_is_over(tmp_path: Path, body: Callable[[], str], over: bool) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "planted.py").write_text(body())
    assert bool(oversized(tmp_path)) is over
