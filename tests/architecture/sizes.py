"""Files aim at 150 lines and fail at 500; functions aim at a dozen and fail at 60."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOMS = ("gateway", "policies", "deid", "connectors")
FILE, FUNCTION = 500, 60


def problems(root: Path) -> list[str]:
    """Every file or function that is too long, with its place."""
    found = []
    for path in sorted(p for room in ROOMS for p in (root / room).rglob("*.py") if "migrations" not in p.parts):
        text = path.read_text("utf-8")
        lines = text.count("\n")
        if lines > FILE:
            found.append(f"{path.relative_to(root)}: {lines} lines, at most {FILE}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION:
                    place = f"{path.relative_to(root)}:{node.lineno}"
                    found.append(f"{place}: {node.name} has {length} lines, at most {FUNCTION}")
    return found


if __name__ == "__main__":
    said = problems(Path(__file__).resolve().parents[2])
    sys.stderr.write("".join(line + "\n" for line in said))
    raise SystemExit(bool(said))
