"""The verbs a newcomer meets."""

from __future__ import annotations

import atexit
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import httpx2
import typer
import uvicorn

from gateway.bootstrap import make_home, open_env, read_home
from gateway.cli import custody, receipts, reports, research
from gateway.cli.deid import deid
from gateway.cli.deid_table import table as deid_table
from gateway.cli.founding import found_house
from gateway.cli.law import policy
from gateway.cli.leaks import leakcheck
from gateway.cli.ledger import ledger
from gateway.cli.sealing import crypt4gh
from gateway.cli.show import AsJson, read_yaml
from gateway.cli.witnessing import witness
from gateway.errors import BadInput
from gateway.logs import configure_logs
from gateway.settings import Settings, home_is_named, load_settings
from gateway.telemetry import send_traces
from gateway.verifier.__main__ import main as verify_main

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tongguan 通关: nothing leaves except through it.")
app.add_typer(ledger, name="ledger")
app.add_typer(witness, name="witness")
app.add_typer(policy, name="policy")
deid.command("table")(deid_table)
for name, group in (
    ("dataset", custody.dataset),
    ("consent", custody.consent),
    ("application", custody.application),
    ("grant", custody.grant),
    ("filing", custody.filing),
    ("institution", custody.institution),
    ("person", custody.person),
    ("key", research.key),
    ("release", research.release),
    ("crypt4gh", crypt4gh),
    ("deid", deid),
):
    app.add_typer(group, name=name)
for verb in (research.login, research.logout, research.catalogue, research.apply, research.files, research.fetch):
    app.command()(verb)
app.command()(leakcheck)
receipts.add_to(research.release, ledger)
ledger.command("export")(reports.export)
ledger.command("follow")(reports.follow_release)
ledger.command("open-counts")(reports.open_for_auditor)
ledger.command("check-counts")(reports.check_counts)
app.add_typer(reports.report, name="report")


@app.command()
def init(
    demo: Annotated[bool, typer.Option(help="Make a demo home; it can never hold real data.")] = False,
    house: Annotated[
        Path | None, typer.Option(help="First institution and its two operators, as docs/first-day.md shows.")
    ] = None,
) -> None:
    """Make the home: folders, keys, database, ledger, first people. A second run changes nothing."""
    settings = load_settings()
    body = None if house is None else read_yaml(house)
    home = make_home(settings, demo=demo)
    print(f"home {home.root}\nledger origin {home.origin}")
    if body is not None:
        print(found_house(settings, house, body))


@app.command()
def serve() -> None:
    """Serve the API (its description is at /docs)."""
    _serve(load_settings())


@app.command()
def demo(
    exit_: Annotated[bool, typer.Option("--exit", help="End after the story instead of serving.")] = False,
) -> None:
    """Tell the whole story on a synthetic cohort; the last line is one JSON object."""
    from gateway.demo.server import serving
    from gateway.demo.story import Story

    settings = _demo_settings()
    make_home(settings, demo=True)
    env, engine = open_env(settings)
    if env.uow.read(lambda tx: bool(tx.find("person"))):
        raise BadInput(f"{settings.home}: the story was told here already; name a fresh folder in TONGGUAN_HOME")
    with serving(env) as base, httpx2.Client(base_url=base, timeout=120) as client:
        cohort = Path(__file__).parent.parent / "demo" / "cohort"
        summary = Story(env, settings, client, cohort).tell(lambda line: print(line, flush=True))
    engine.dispose()
    if not exit_ and summary["ok"]:
        _print_users(settings)
        print(json.dumps(summary), flush=True)
        _serve(settings)
        return
    print(json.dumps(summary), flush=True)
    raise typer.Exit(0 if summary["ok"] else 1)


@ledger.command("verify")
def ledger_verify(
    folder: Path,
    key: Annotated[str | None, typer.Option(help="The log's vkey, or a file that holds it.")] = None,
    receipt: Annotated[list[Path] | None, typer.Option(help="A kept .tlog-proof file.")] = None,
    since: Annotated[Path | None, typer.Option(help="A checkpoint kept from an earlier day.")] = None,
    witnesses: Annotated[
        Path | None, typer.Option("--policy", help="A tlog-policy: witnesses that must agree.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove a copy of the ledger: exit 0 proven, 1 tampered (the place is named), 2 could not tell."""
    arguments = [str(folder), *(["--key", key] if key else []), *(["--since", str(since)] if since else [])]
    arguments += ["--policy", str(witnesses)] if witnesses else []
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
    finally:
        engine.dispose()
    body = {"origin": env.ledger.origin, "size": size, "folder": str(read_home(settings).ledger)}
    print(json.dumps(body) if as_json else f"{body['origin']}: {size} entries in {body['folder']}")


@app.command()
def schema(name: str) -> None:
    """Print the JSON Schema of a file or answer: facts."""
    from policies.facts import schema as facts_schema

    known = {"facts": facts_schema}
    if name not in known:
        raise BadInput(f"no schema {name}; there are: {', '.join(known)}")
    print(json.dumps(known[name](), indent=2, ensure_ascii=False))


def _demo_settings() -> Settings:
    if home_is_named():
        return load_settings()
    home = Path(tempfile.mkdtemp(prefix="tongguan-demo-"))
    print(f"demo home {home}")
    return load_settings(home=home)


def _serve(settings: Settings) -> None:
    from gateway.api.app import create_app

    home = read_home(settings)
    if home.demo and settings.host not in {"127.0.0.1", "::1", "localhost"}:
        raise BadInput("a demo home listens on loopback only")
    configure_logs(settings.log_level, sys.stderr)
    if settings.otlp_endpoint:
        atexit.register(send_traces(settings.otlp_endpoint).shutdown)
    # No clean-up on purpose: after a failed sync nothing this process believes may be written down.
    env, _ = open_env(settings, halt=lambda: os._exit(os.EX_IOERR))
    sys.stdout.flush()
    # No log configuration of the server's own: its lines go through ours, which drops their text.
    uvicorn.run(
        create_app(env),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=settings.proxies or None,
    )


def _print_users(settings: Settings) -> None:
    from gateway.demo.people import PASSWORD, STAFF

    logins = ("first.operator", "second.operator", "researcher", *(login for login, _, _ in STAFF))
    print(f"\nThe API is at http://{settings.host}:{settings.port} (description at /docs).")
    print(f"Users to try: {', '.join(logins)}; password: {PASSWORD}")
