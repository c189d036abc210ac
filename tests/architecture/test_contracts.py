"""Each import contract is seen to break when a violation is planted; only settings reads the environment."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sizes import problems

ROOT = Path(__file__).parents[2]
ROOMS = ("gateway", "policies", "deid", "connectors")
PLANTED = [
    ("deid/planted.py", "import gateway.ports", "one arrow"),
    ("policies/planted.py", "import deid.recipe", "one arrow"),
    ("gateway/record.py", "import gateway.release", "inside gateway"),
    ("gateway/planted.py", "", "inside gateway"),
    ("gateway/release.py", "import connectors.objects", "only bootstrap"),
    ("policies/consent.py", "import cedarpy", "only policies.engine"),
    ("gateway/events.py", "import sqlalchemy", "pure cores"),
    ("gateway/verifier/merkle.py", "import rfc8785", "the verifier"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("tree")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__", "cohort"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    words = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.run(command, cwd=tree, env=words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("path", "line", "contract"), PLANTED, ids=[f"{c}: {p}" for p, _, c in PLANTED])
def test_a_planted_violation_is_caught(tree: Path, path: str, line: str, contract: str) -> None:
    target = tree / path
    before = target.read_text("utf-8") if target.exists() else None
    target.write_text((before or '"""Planted."""\n') + f"\n{line}\n", "utf-8")
    try:
        done = lint(tree)
    finally:
        if before is None:
            target.unlink()
        else:
            target.write_text(before, "utf-8")
    assert done.returncode != 0
    broken = [text for text in done.stdout.replace("\n", " ").split("BROKEN")[:-1] if contract in text]
    assert broken, done.stdout


def test_the_tree_itself_keeps_every_contract(tree: Path) -> None:
    assert lint(tree).returncode == 0


def test_only_settings_reads_the_environment() -> None:
    readers = set()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}:
                    readers.add(path.relative_to(ROOT).as_posix())
    assert readers <= {"gateway/settings.py", "gateway/sandbox/child.py"}


def test_no_file_and_no_function_is_too_long() -> None:
    assert problems(ROOT) == []
