"""How the commands print: JSON where it was asked for, else lines that a person reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from deid.errors import RecipeError
from deid.strict import read_yaml as read_strict
from gateway.errors import BadInput

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def show(body: Any, lines: Sequence[str], *, as_json: bool) -> None:
    """Print one answer."""
    print(json.dumps(body, ensure_ascii=False) if as_json else "\n".join(lines))


def ask_password(login: str, *, twice: bool) -> str:
    """Typed, not shown; the question goes to standard error, so that JSON stays alone on standard output."""
    return str(typer.prompt(f"Password for {login}", hide_input=True, confirmation_prompt=twice, err=True))


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> list[str]:
    """Rows as aligned columns under their names; a dash says that there is none."""
    if not rows:
        return ["none"]
    cells = [list(columns), *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def decision_lines(decision: dict[str, Any]) -> list[str]:
    """Permit, or hold or deny with every reason, its law and what to do."""
    lines = [str(decision["decision"])]
    for reason in decision["reasons"]:
        cited = "; ".join(f"{cite['law']} {cite['article']}" for cite in reason["cite"])
        lines.append(f"  {reason['rule']:8} {reason['effect']:5} {reason['title']['en']} [{cited}]")
        lines.append(f"           {reason['remedy']['en']}")
    return lines


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML or JSON file that holds one mapping."""
    try:
        return dict(read_strict(path.read_bytes()))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except RecipeError as error:
        raise BadInput(f"{path}: {error}") from None


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("en") or json.dumps(value, ensure_ascii=False))
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value in (None, "") else str(value)
