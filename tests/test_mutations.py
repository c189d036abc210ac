"""Every guard is seen to guard: take it out, and the tests that claim to show it must fail.

The lists are ``tests/mutations.toml`` and ``tests/**/mutations/*.toml``; each ``[[mutation]]`` has

    file      the file that holds the guard
    find      the guard, exactly once in the file
    replace   what stands there without it
    tests     pytest arguments (one text or a list) of which at least one test must fail
    guards    what the guard keeps, in a few words (optional)

A mutant is a copy of the tree with an interpreter of its own, whose packages are the copy's even in isolated mode: the
sandbox starts its children so. The copy is first seen to pass the same tests unchanged.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("gateway", "policies", "deid", "connectors", "tests", "docs")
TOP_FILES = ("pyproject.toml", "CONTRIBUTING.md", "README.md", "CHANGELOG.md", "run")
PASSED, FAILED = 0, 1  # pytest's exit codes; anything above is trouble with the run itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One guard taken out."""

    name: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]


def read_mutations() -> list[Mutation]:
    """All lists, in a stable order."""
    found = []
    for path in [ROOT / "tests" / "mutations.toml", *sorted((ROOT / "tests").glob("**/mutations/*.toml"))]:
        for number, entry in enumerate(tomllib.loads(path.read_text("utf-8"))["mutation"], start=1):
            tests = entry["tests"]
            found.append(
                Mutation(
                    name=f"{path.stem}-{number:03}-{Path(entry['file']).stem}",
                    file=entry["file"],
                    find=entry["find"],
                    replace=entry["replace"],
                    tests=tuple([tests] if isinstance(tests, str) else tests),
                )
            )
    return found


MUTATIONS = read_mutations()


@dataclass(frozen=True, slots=True)
class Tree:
    """A copy of the project and the interpreter that sees it."""

    root: Path
    python: Path
    passing: set[tuple[str, ...]]

    def run(self, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        """Run tests of the copy until the first failure."""
        command = [self.python, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", "--timeout=60", *tests]
        shared = os.environ.get("TONGGUAN_SHARED_DATA") or str(ROOT.parent / "shared" / "data")
        environment = {**os.environ, "TONGGUAN_SHARED_DATA": shared, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)


def _link(source: str, target: str) -> None:
    """A second name for the same file where the file system can, else a copy; nothing writes to it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    root = tmp_path_factory.mktemp("mutant")
    for name in ROOMS:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in TOP_FILES:
        shutil.copy(ROOT / name, root)
    # Outside the copy, or its own gates would read the packages in it.
    home = tmp_path_factory.mktemp("interpreter")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    # Inside the interpreter's own folder, for a sandboxed child may read nothing else; without the link to our own tree.
    ours = shutil.ignore_patterns("__editable__*")
    shutil.copytree(sysconfig.get_path("purelib"), packages, copy_function=_link, ignore=ours, dirs_exist_ok=True)
    (packages / "mutant.pth").write_text(f"{root}\n")
    return Tree(root, python, set())


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_finds_its_guard_exactly_once(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text("utf-8").count(mutation.find) == 1, mutation.find
    assert mutation.replace != mutation.find
    for test in mutation.tests:
        assert (ROOT / test.partition("::")[0]).exists(), test


def test_the_copy_is_what_a_mutant_imports_even_in_isolated_mode(tree: Tree) -> None:
    code = "import gateway, deid, pytest; print(gateway.__file__, deid.__file__)"
    done = subprocess.run([tree.python, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(tree.root / room / "__init__.py") for room in ("gateway", "deid")]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_without_its_guard_a_test_fails(tree: Tree, mutation: Mutation) -> None:
    if mutation.tests not in tree.passing:
        unchanged = tree.run(mutation.tests)
        assert unchanged.returncode == PASSED, unchanged.stdout[-3000:]
        tree.passing.add(mutation.tests)
    guarded = tree.root / mutation.file
    before = guarded.read_text("utf-8")
    guarded.write_text(before.replace(mutation.find, mutation.replace, 1), "utf-8")
    try:
        mutant = tree.run(mutation.tests)
    finally:
        guarded.write_text(before, "utf-8")
    assert mutant.returncode == FAILED, f"survived: {mutation}\n{mutant.stdout[-3000:]}{mutant.stderr[-1000:]}"
