"""``tongguan leakcheck``: look into files for identifiers of a source. For people who hold the source anyway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from deid.errors import DeidError
from deid.leakcheck import as_json as findings_as_json
from deid.leakcheck import check
from gateway.cli.show import AsJson, show
from gateway.errors import BadInput


def leakcheck(
    paths: list[Path],
    against: Annotated[Path, typer.Option(help="Text file with one identifier of the source per line.")],
    values: Annotated[bool, typer.Option("--values", help="Print what was found, and not only where.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open files down to the bytes and look for identifiers: exit 0 clean, 1 found, 2 could not tell."""
    needles = _needles(against)
    found = []
    for path in _files(paths):
        try:
            leaks = check(path, name=path.name, source_identifiers=needles, show_values=values)
        except (DeidError, OSError) as error:
            raise BadInput(f"{path}: {error}") from None
        found += [{"path": str(path), **finding} for finding in findings_as_json(leaks)]
    lines = [" ".join(str(part) for part in finding.values()) for finding in found]
    show({"findings": found}, lines or ["clean"], as_json=as_json)
    raise typer.Exit(1 if found else 0)


def _needles(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BadInput(f"{path}: not readable as UTF-8 text") from None
    needles = [line.strip() for line in lines if line.strip()]
    if not needles:
        raise BadInput(f"{path}: holds no identifier, so nothing could be found")
    return needles


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(inner for inner in path.rglob("*") if inner.is_file())
        else:
            yield path
