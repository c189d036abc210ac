"""The size gate: no file over 500 lines, no function over 60. Run as a script, it prints what is over.

A function counts from ``def`` to its last line, docstring and comments included. Written-down migrations are left out:
they are history, not code to read.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOMS = ("gateway", "policies", "deid", "connectors", "tests")
FILE_LINES = 500
FUNCTION_LINES = 60


def sources(root: Path, *endings: str) -> Iterator[Path]:
    """Our own source files under ``root``, sorted."""
    for room in ROOMS:
        for path in sorted((root / room).rglob("*")):
            if path.suffix in endings and "versions" not in path.parts:
                yield path


def oversized(root: Path) -> list[str]:
    """One sentence for each file and function that is over."""
    found = []
    for path in sources(root, ".py", ".c", ".h"):
        text = path.read_text("utf-8")
        lines = text.count("\n")
        if lines > FILE_LINES:
            found.append(f"{path.relative_to(root)}: {lines} lines, at most {FILE_LINES}")
        if path.suffix == ".py":
            found += [f"{path.relative_to(root)}:{place}" for place in _long_functions(ast.parse(text))]
    return found


def _long_functions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES}"


if __name__ == "__main__":
    over = oversized(Path(__file__).resolve().parents[2])
    sys.stdout.write("".join(f"{line}\n" for line in over))
    sys.exit(1 if over else 0)
