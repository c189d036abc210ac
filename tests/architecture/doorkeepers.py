"""What import contracts cannot say: who may name the environment, the clock, chance, the policy engine.

Each rule names the calls that are kept at one door and the files that are that door. Names are followed through the
imports of a file (``from os import environ as e`` is still the environment).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.architecture.sizes import sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One door: dotted names (a trailing dot means everything below) and the only files that may use them."""

    name: str
    kept: tuple[str, ...]
    files: tuple[str, ...]

    def holds(self, dotted: str) -> bool:
        """Whether this name belongs behind the door."""
        return any(dotted == kept or (kept.endswith(".") and f"{dotted}.".startswith(kept)) for kept in self.kept)

    def opens_for(self, file: str) -> bool:
        """Whether this file is the door, or lies in a folder that is."""
        return any(file == door or (door.endswith("/") and file.startswith(door)) for door in self.files)


DOORS = (
    Door(
        name="environment",
        kept=("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv"),
        files=("gateway/settings.py",),
    ),
    Door(
        name="clock",
        kept=(
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
            "datetime.date.today",
            "time.time",
            "time.time_ns",
        ),
        files=("gateway/bootstrap.py", "gateway/machine.py", "gateway/demo/"),
    ),
    Door(
        name="chance",
        kept=("secrets.", "os.urandom", "os.getrandom", "random.", "uuid.uuid1", "uuid.uuid4", "numpy.random."),
        files=(
            "gateway/bootstrap.py",
            "gateway/machine.py",
            "gateway/demo/",  # seeded generators of the made-up cohort
            "gateway/keys/folder.py",  # the name of a temporary file
            "gateway/staging/files.py",  # the same
            "gateway/store/transactions.py",  # jitter of a retry
        ),
    ),
    Door(name="policy engine", kept=("cedarpy.",), files=("policies/engine.py",)),
)


def trespasses(root: Path) -> list[str]:
    """One sentence for each use of a kept name outside its door, in the four rooms."""
    found = []
    for path in sources(root, ".py"):
        file = path.relative_to(root).as_posix()
        if file.startswith("tests/"):
            continue
        for line, dotted in _used(path.read_text("utf-8")):
            found += [
                f"{file}:{line}: {dotted} is kept at the door {door.name!r} ({', '.join(door.files)})"
                for door in DOORS
                if door.holds(dotted) and not door.opens_for(file)
            ]
    return found


@cache
def _used(text: str) -> list[tuple[int, str]]:
    """What a file uses; asked of the same texts again and again by those who change one."""
    return sorted(set(_names(ast.parse(text))))


def foreign_to_verifier(root: Path) -> list[str]:
    """Imports of the verifier that are neither its own, nor the standard library's, nor ``cryptography``."""
    found = []
    for path in sorted((root / "gateway" / "verifier").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for name in _imported(node):
                allowed = name.split(".")[0] in {*sys.stdlib_module_names, "cryptography"}
                if not allowed and f"{name}.".removeprefix("gateway.verifier.") == f"{name}.":
                    found.append(f"{path.relative_to(root)}: {name}")
    return found


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""] if not node.level else [f"gateway.verifier.{node.module or ''}"]
    return []


def _names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported and of every attribute chain that starts at an import."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield node.lineno, f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            dotted = _dotted(node, known)
            if dotted:
                yield node.lineno, dotted


def _dotted(node: ast.expr, known: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value, known)
        return f"{before}.{node.attr}" if before else None
    return None


if __name__ == "__main__":
    top = Path(__file__).resolve().parents[2]
    trouble = trespasses(top) + foreign_to_verifier(top)
    sys.stdout.write("".join(f"{line}\n" for line in trouble))
    sys.exit(1 if trouble else 0)
