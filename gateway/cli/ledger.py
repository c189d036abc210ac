"""``tongguan ledger`` and ``tongguan witness``: prove, audit, read. Exit 0 proven, 1 found, 2 could not tell."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from gateway.audit import audit_chain
from gateway.bootstrap import open_env
from gateway.errors import BadInput, GatewayError
from gateway.home import database_url, read_home
from gateway.house_logs import begun_logs, line_seed, log_files, open_journal, open_keys, wanted_lines
from gateway.journal import replay
from gateway.key_rotation import rotate_line_key, rotate_log_key
from gateway.keys.further import further_line
from gateway.ledger import DiskLogFiles, FactIndex, KeptLog, verifier_key
from gateway.ledger.line import Chain, LineOfLogs, Origin, Part
from gateway.log_retirement import retire
from gateway.machine import SystemRandomness
from gateway.origins import line_of, next_name
from gateway.settings import Settings, load_settings
from gateway.store.transactions import SqlUnitOfWork, open_engine
from gateway.verifier.further import parse_sm2_key, verify_sm2_line
from gateway.verifier.note import parse_vkey
from gateway.verifier.rotation import read_log_keys
from gateway.verifier.succession import verify_line

ledger = typer.Typer(no_args_is_help=True, help="Prove and read the ledger.")


class FurtherLine(StrEnum):
    """A signature line beside the log's own."""

    ML_DSA = "ml-dsa"
    SM2 = "sm2"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@ledger.command("audit")
def ledger_audit(
    db: Annotated[bool, typer.Option("--db", help="Also hold every row of the database against the log.")] = False,
    key: Annotated[str | None, typer.Option(help="The log's vkey; without it log.vkey is taken on trust.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prove this home's log and, with --db, that the database says the same."""
    settings = load_settings()
    logs = [(one, files.folder()) for one, files in home_logs(settings)]
    verdict = verify_line([folder for _, folder in logs], key=key)
    body: dict[str, Any] = {"state": verdict.state, "place": verdict.place, "detail": verdict.detail}
    if verdict.state == "proven" and db:
        body = _audit_rows(logs, database_url(settings), body)
    code = {"proven": 0, "tampered": 1}.get(body["state"], 2)
    show(body, [f"{body['state'].upper()}: {body['detail']}", *body.get("wrong", [])], as_json=as_json)
    raise typer.Exit(code)


def home_logs(settings: Settings) -> list[tuple[Origin, KeptLog]]:
    """The logs of this home and their files."""
    engine = open_engine(database_url(settings))
    try:
        return SqlUnitOfWork(engine).read(lambda tx: begun_logs(settings, tx))
    finally:
        engine.dispose()


def _audit_rows(logs: list[tuple[Origin, Path]], url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The verdict over the rows; what cannot be read is no verdict."""
    engine = open_engine(url)
    try:
        chain = Chain([_part(one, folder) for one, folder in logs])
        found = SqlUnitOfWork(engine).read(lambda tx: audit_chain(tx, chain))
    except (GatewayError, OSError, ValueError) as error:
        return {**body, "state": "unknown", "place": "database", "detail": str(error)}
    finally:
        engine.dispose()
    said = f"{found.rows} fact rows and {found.entries} entries compared, {found.pending} not published yet"
    if found.wrong:
        said = f"{len(found.wrong)} places of the database are not what the log says; {said}"
    state = "tampered" if found.wrong else "proven"
    return {**body, **asdict(found), "state": state, "place": next(iter(found.wrong), None), "detail": said}


def _part(one: Origin, folder: Path) -> Part:
    """One log, its facts read."""
    files = DiskLogFiles(folder)
    line = (folder / "log.vkey").read_text("ascii").strip()
    index = FactIndex(files, keys=lambda: read_log_keys(parse_vkey(line), files.read))
    index.refresh()
    return Part(origin=one.name, start=one.start or 0, files=files, index=index)


@ledger.command("rotate")
def ledger_rotate(
    line: Annotated[FurtherLine | None, typer.Option(help="Not the log's own key: that of this further line.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replace the key that signs the log; old and new sign for it. The server may run on. Exit 0 done, 2 it cannot."""
    env, engine = open_env(load_settings())
    try:
        if line is not None:
            old, new = rotate_line_key(env, line.value)
            body: dict[str, Any] = {"line": line.value, "old": old, "new": new}
            said = [f"the {line.value} line is signed by {new} from the next checkpoint on", f"before: {old}"]
        else:
            made = rotate_log_key(env)
            body = {"number": made.number, "size": made.size, "old": str(made.old), "new": str(made.new)}
            said = [f"from {made.size} entries on the log is signed by {made.new}", f"before: {made.old}"]
    finally:
        engine.dispose()
    show(body, said, as_json=as_json)


@ledger.command("next-key")
def ledger_next_key(as_json: AsJson = False) -> None:
    """The key that next year's log would begin with: for witnesses, who are to know it before the year turns."""
    settings = load_settings()
    env, engine = open_env(settings)
    try:
        last = env.uow.read(line_of)[-1]
        name = next_name(last.name, last.year + 1)
        line = str(verifier_key(next(env.keys.ledger_signers(name))))
    finally:
        engine.dispose()
    show({"origin": name, "vkey": line}, [line], as_json=as_json)


@ledger.command("retire")
def ledger_retire(origin: str, as_json: AsJson = False) -> None:
    """Remove the oldest former log, whole, once its retention is over. Exit 0 done, 1 a row differs, 2 not yet."""
    settings = load_settings()
    home = read_home(settings)
    env, engine = open_env(settings)

    def remove(one: Origin) -> None:
        log_files(settings, home, one).remove()
        if home.facts(one.number).exists():
            shutil.rmtree(home.facts(one.number))
        journal = open_journal(settings, home, env.keys, SqlUnitOfWork(engine))
        if journal is not None:
            journal.forget((one.start or 0) + one.size)

    try:
        years = settings.ledger_retention_years
        done = retire(env, origin, years=years, chain=cast("LineOfLogs", env.ledger).facts, remove=remove)
    finally:
        engine.dispose()
    said = f"{done.name}: {done.entries} entries are gone; {done.restated} rows were stated anew in the present log"
    show(asdict(done), [said], as_json=as_json)


@ledger.command("further-keys")
def ledger_further_keys(as_json: AsJson = False) -> None:
    """The public keys of the further signature lines that the settings want: hand them to whoever shall check them."""
    settings = load_settings()
    random = SystemRandomness()
    held, origin = open_keys(settings, random), home_logs(settings)[-1][0].name
    kinds = wanted_lines(settings)
    keys = [str(further_line(kind, origin, line_seed(held, kind), random.token)[0]) for kind in kinds]
    show(keys, keys or ["there are none; name them in TONGGUAN_FURTHER_LINES"], as_json=as_json)


@ledger.command("check-sm2")
def ledger_check_sm2(
    signed: Annotated[Path, typer.Argument(help="A checkpoint.")],
    key: Annotated[str, typer.Option(help="The SM2 key.")],
) -> None:
    """Check the SM2 line of a checkpoint. Exit 0 good, 1 not; it proves nothing without the log's own key."""
    try:
        verify_sm2_line(signed.read_bytes(), parse_sm2_key(key.strip()))
    except (OSError, ValueError) as error:
        print(f"{signed}: {error}")
        raise typer.Exit(1) from None
    print(f"{signed}: the SM2 line is good")


@ledger.command("replay")
def ledger_replay(as_json: AsJson = False) -> None:
    """After a restore: bring the database up to the journal, end every token and copy. Exit 0 done, 2 it cannot."""
    settings = load_settings()
    env, engine = open_env(settings)
    try:
        journal = open_journal(settings, read_home(settings), env.keys, SqlUnitOfWork(engine))
        if journal is None:
            raise BadInput("there is no journal; name its folder in TONGGUAN_JOURNAL")
        done = replay(env, journal)
        env.staging.clean(set())
        env.ledger.confirm()
    finally:
        engine.dispose()
    said = f"{done.entries} entries and {done.rows} rows replayed, {done.closed} open releases closed as lost"
    show({"entries": done.entries, "rows": done.rows, "closed": done.closed}, [said], as_json=as_json)


def show(body: Any, lines: list[str], *, as_json: bool) -> None:
    """One JSON value or plain lines."""
    print(json.dumps(body, ensure_ascii=False) if as_json else "\n".join(lines))
