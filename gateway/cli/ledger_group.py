"""``tongguan ledger``, put together: proving here, receipts and the export from their own modules."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from gateway.bootstrap import open_env
from gateway.cli import receipts, reports
from gateway.cli.ledger import ledger
from gateway.cli.served import Served, fetch, is_address
from gateway.cli.session import gateway
from gateway.cli.show import AsJson
from gateway.house_logs import begun_logs
from gateway.settings import load_settings
from gateway.verifier.__main__ import main as verify_main
from gateway.verifier.errors import Inconclusive
from gateway.verifier.verify import Verdict

receipts.add_to_ledger(ledger)
ledger.command("export")(reports.export)
ledger.command("follow")(reports.follow_release)
ledger.command("open-counts")(reports.open_for_auditor)
ledger.command("check-counts")(reports.check_counts)


@ledger.command("verify")
def ledger_verify(
    log: Annotated[
        str, typer.Argument(metavar="DIR-OR-URL", help="A copy, or where one is served: https://.../ledger")
    ],
    key: Annotated[str | None, typer.Option(help="The log's vkey, or a file that holds it.")] = None,
    receipt: Annotated[list[Path] | None, typer.Option(help="A kept .tlog-proof file.")] = None,
    since: Annotated[Path | None, typer.Option(help="A checkpoint kept from an earlier day.")] = None,
    witnesses: Annotated[
        Path | None, typer.Option("--policy", help="A tlog-policy: witnesses that must agree.")
    ] = None,
    former: Annotated[list[str] | None, typer.Option(help="A log before it, the oldest first; folder or URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prove the ledger from a copy or a URL: exit 0 proven, 1 tampered (the place is named), 2 could not tell."""
    arguments = [*(["--key", key] if key else []), *(["--since", str(since)] if since else [])]
    arguments += ["--policy", str(witnesses)] if witnesses else []
    for path in receipt or []:
        arguments += ["--receipt", str(path)]
    arguments += ["--json"] if as_json else []
    with TemporaryDirectory(prefix="tongguan-log-") as room:
        try:
            *before, folder = [_local(one, Path(room) / str(n)) for n, one in enumerate([*(former or []), log])]
        except Inconclusive as finding:
            raise typer.Exit(_unknown(finding, as_json=as_json)) from None
        for one in before:
            arguments += ["--former", str(one)]
        raise typer.Exit(verify_main([str(folder), *arguments]))


def _local(given: str, room: Path) -> Path:
    """The folder that was named, or what is served at the address, in ``room``."""
    if not is_address(given):
        return Path(given)
    known, asked = gateway(), f"{given.rstrip('/')}/"
    # A token is for the server that gave it, and for no other.
    served = Served(given, known.token if asked.startswith(f"{known.server}/") else "")
    room.mkdir()
    try:
        with Console(stderr=True).status("fetching the log") as shown:
            fetch(served, room, lambda where: shown.update(f"fetching the log: {where}"))
    finally:
        served.close()
    return room


def _unknown(finding: Inconclusive, *, as_json: bool) -> int:
    verdict = Verdict(state="unknown", place=finding.place, detail=finding.detail)
    said = json.dumps(asdict(verdict)) if as_json else f"UNKNOWN at {finding.place}: {finding.detail}"
    print(said)
    return 2


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
