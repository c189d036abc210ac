"""``tongguan deid table``: de-identify one table without a home; nothing is left behind when it is refused."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from deid.errors import DeidError
from deid.recipe import Recipe, load_recipe
from gateway.errors import BadInput
from gateway.machine import SystemRandomness


def table(
    source: Annotated[Path, typer.Argument(metavar="IN", help="CSV or Parquet.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new file, .parquet or .csv.")],
    recipe: Annotated[Path, typer.Option(help="The recipe; files it names lie beside it.")],
    report: Annotated[Path | None, typer.Option(help="Where the report goes, as JSON.")] = None,
    page: Annotated[Path | None, typer.Option(help="Where the report goes, as one HTML page with pictures.")] = None,
    key: Annotated[Path | None, typer.Option(help="A file of 32 bytes or more; without it names are new.")] = None,
) -> None:
    """De-identify a table: everybody in it stays, under names made from the key."""
    form = out.suffix.removeprefix(".").lower()
    if form not in {"parquet", "csv"}:
        raise BadInput(f"{out}: the name must end in .parquet or .csv")
    for path in (out, report, page):
        if path is not None and path.exists():
            raise BadInput(f"{path}: is there already, and is not written over")
    secret = SystemRandomness().token(32) if key is None else _read(key)
    plan = _recipe(recipe)
    answer = _write(plan, source, out, secret)
    for path, text in ((report, json.dumps(answer, ensure_ascii=False, indent=1)), (page, _page(page, answer))):
        if path is not None:
            path.write_text(text, "utf-8")
    print(f"{answer['output']['records']} rows in {out}, {answer['removed']['suppressed']} suppressed")


def _write(recipe: Recipe, source: Path, out: Path, key: bytes) -> dict[str, Any]:
    """Into a file beside it, renamed when all is well."""
    from deid.tables.standalone import deidentify

    partial = out.with_name(f".{out.name}.partial")
    start = time.monotonic()

    def told(stage: str) -> None:
        sys.stderr.write(f"{time.monotonic() - start:7.1f} s  {stage}\n")
        sys.stderr.flush()

    try:
        with source.open("rb") as opened, partial.open("xb") as sink:
            answer = deidentify(recipe, opened, sink, key=key, form=out.suffix.removeprefix(".").lower(), told=told)
        partial.rename(out)
    except DeidError as error:
        raise BadInput(f"{source}: {error}", code=error.code) from None
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
    return answer | {"seconds": round(time.monotonic() - start, 3)}


def _recipe(path: Path) -> Recipe:
    try:
        return load_recipe(_read(path), files=lambda name: (path.parent / name).read_bytes())
    except DeidError as error:
        raise BadInput(f"{path}: {error}", code=error.code) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None


def _page(path: Path | None, answer: dict[str, Any]) -> str:
    if path is None:
        return ""
    from deid.tables.page import risk_page

    return risk_page(answer)
