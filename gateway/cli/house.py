"""The verbs a newcomer meets: make a home, serve it, tell the story."""

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

from gateway.bootstrap import make_home, open_env
from gateway.cli.founding import found_house
from gateway.cli.show import read_yaml
from gateway.errors import BadInput
from gateway.home import read_home
from gateway.logs import configure_logs
from gateway.settings import Settings, home_is_named, load_settings
from gateway.telemetry import send_traces


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


def serve() -> None:
    """Serve the API (its description is at /docs)."""
    _serve(load_settings())


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


def schema(name: str) -> None:
    """Print the JSON Schema of a file or answer: facts, event."""
    from gateway.event_schema import schema as event_schema
    from policies.facts import schema as facts_schema

    known = {"facts": facts_schema, "event": event_schema}
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
