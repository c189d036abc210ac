"""``tongguan ledger``, put together: proving here, receipts and the export from their own modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.bootstrap import open_env
from gateway.cli import receipts, reports
from gateway.cli.ledger import ledger
from gateway.cli.show import AsJson
from gateway.house_logs import begun_logs
from gateway.settings import load_settings
from gateway.verifier.__main__ import main as verify_main

receipts.add_to_ledger(ledger)
ledger.command("export")(reports.export)
ledger.command("follow")(reports.follow_release)
ledger.command("open-counts")(reports.open_for_auditor)
ledger.command("check-counts")(reports.check_counts)


@ledger.command("verify")
def ledger_verify(
    folder: Path,
    key: Annotated[str | None, typer.Option(help="The log's vkey, or a file that holds it.")] = None,
    receipt: Annotated[list[Path] | None, typer.Option(help="A kept .tlog-proof file.")] = None,
    since: Annotated[Path | None, typer.Option(help="A checkpoint kept from an earlier day.")] = None,
    witnesses: Annotated[
        Path | None, typer.Option("--policy", help="A tlog-policy: witnesses that must agree.")
    ] = None,
    former: Annotated[list[Path] | None, typer.Option(help="A log before it, the oldest first.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prove a copy of the ledger: exit 0 proven, 1 tampered (the place is named), 2 could not tell."""
    arguments = [str(folder), *(["--key", key] if key else []), *(["--since", str(since)] if since else [])]
    arguments += ["--policy", str(witnesses)] if witnesses else []
    for path in former or []:
        arguments += ["--former", str(path)]
    for path in receipt or []:
        arguments += ["--receipt", str(path)]
    raise typer.Exit(verify_main([*arguments, *(["--json"] if as_json else [])]))


@ledger.command("status")
def ledger_status(as_json: AsJson = False) -> None:
    """Size, origin and what waits."""
    settings = load_settings()
    env, engine = open_env(settings)
    try:
        size = env.ledger.sync()
        place = env.uow.read(lambda tx: begun_logs(settings, tx))[-1][1].place
    finally:
        engine.dispose()
    body = {"origin": env.ledger.origin, "size": size, "folder": place}
    print(json.dumps(body) if as_json else f"{body['origin']}: {size} entries in {body['folder']}")
