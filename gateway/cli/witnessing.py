"""``tongguan witness``: be a witness, over HTTP or by files, and ask one by file from the log's side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from gateway.bootstrap import open_env
from gateway.cli.ledger import home_logs
from gateway.cli.show import AsJson, show
from gateway.errors import BadInput, LedgerUnavailable
from gateway.house_logs import open_cosigning
from gateway.keys.files import FileSigner
from gateway.ledger import KeptLog
from gateway.ledger.line import ENDED
from gateway.ledger.log import TreeFiles
from gateway.ledger.receipt import read_checkpoint
from gateway.machine import SystemClock
from gateway.settings import Settings, load_settings
from gateway.verifier.note import VerifierKey, parse_vkey
from gateway.verifier.policy import WitnessKey
from gateway.witness import Witness, format_request
from gateway.witness_http import witness_server

witness = typer.Typer(no_args_is_help=True, help="Cosign ledgers, so that nobody can be shown another history.")
Logs = Annotated[list[str], typer.Option("--log", help="vkey of a log to serve, or a file that holds it.")]
KEY, NAME = "witness.pem", "witness.name"


@witness.command("init")
def init(folder: Path, name: Annotated[str, typer.Option(help="Key name, such as ethics.example/w1.")]) -> None:
    """Make a witness's folder and key, and print its public key for the log's policy."""
    if not name or "+" in name or any(character.isspace() for character in name):
        raise BadInput("a witness's name has no space and no plus sign")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = Ed25519PrivateKey.generate()
    pem = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for path, data in ((folder / KEY, pem), (folder / NAME, f"{name}\n".encode())):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise BadInput(f"{path} is there already; a second key would make a second witness") from None
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    print(WitnessKey(name=name, public_key=secret.public_key().public_bytes_raw()))


@witness.command("serve")
def serve(
    folder: Path,
    log: Logs,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8601,
) -> None:
    """Answer add-checkpoint (C2SP tlog-witness) until stopped."""
    made = _witness(folder, log)
    server = witness_server(made, host=host, port=port)
    print(f"{made.key}\nat http://{host}:{server.server_address[1]}/add-checkpoint", flush=True)
    server.serve_forever()


@witness.command("sign")
def sign(
    request: Path, out: Path, folder: Annotated[Path, typer.Option(help="The witness's folder.")], log: Logs
) -> None:
    """Answer one request file, for a witness without a network. Exit 1: refused, with the reason."""
    answer = _witness(folder, log).add_checkpoint(_read(request))
    if answer.status != 200:
        known = f"; ask again with --old {answer.body.decode().strip()}" if answer.status == 409 else ""
        print(f"refused ({answer.status}): {answer.body.decode(errors='replace').strip()}{known}")
        raise typer.Exit(1)
    out.write_bytes(answer.body)
    print(f"cosigned; take {out} back to the log: tongguan witness collect {out}")


@witness.command("request")
def request(
    out: Path, old: Annotated[int, typer.Option(help="The size this witness cosigned last; 0 the first time.")] = 0
) -> None:
    """On the log's machine: write the request for a witness that has no network."""
    settings = load_settings()
    env, engine = open_env(settings)
    try:
        env.ledger.sync()
    except LedgerUnavailable:
        # At the turn of the year the new log waits for this very cosignature.
        if all(one.state != ENDED for one, _ in home_logs(settings)):
            raise
    finally:
        engine.dispose()
    files = _unwitnessed(settings)
    signed, head = read_checkpoint(files)
    if not 0 <= old <= head.size:
        raise BadInput(f"--old must lie between 0 and {head.size}, the size of this log")
    proof = TreeFiles(files, head.size).consistency(old) if 0 < old < head.size else []
    out.write_bytes(format_request(old=old, proof=proof, signed_checkpoint=signed))
    print(f"{out} asks for a cosignature over {head.size} entries; answer it with: tongguan witness sign {out} ANSWER")


@witness.command("collect")
def collect(answer: Path, as_json: AsJson = False) -> None:
    """On the log's machine: take a witness's answer in. Exit 2 while there are still too few."""
    settings = load_settings()
    cosigning = open_cosigning(settings, _unwitnessed(settings), SystemClock())
    if cosigning is None:
        raise BadInput("there is no witness policy; name one in TONGGUAN_WITNESS_POLICY")
    size = cosigning.collect(_read(answer))
    show({"witnessed": size}, [f"{size} entries are cosigned by enough witnesses"], as_json=as_json)


def _unwitnessed(settings: Settings) -> KeptLog:
    """The log to be cosigned: one that is being ended before the one that follows it."""
    logs = home_logs(settings)
    return next((files for one, files in logs if one.state == ENDED), logs[-1][1])


def _witness(folder: Path, logs: list[str]) -> Witness:
    name = _read(folder / NAME).decode().strip()
    secret = load_pem_private_key(_read(folder / KEY), None)
    if not isinstance(secret, Ed25519PrivateKey):
        raise BadInput(f"{folder / KEY}: not an Ed25519 key")
    signer = FileSigner(name, secret.private_bytes_raw())
    keys = [_log_key(line) for line in logs]
    return Witness(signer, keys, root=folder / "logs", clock=SystemClock(), halt=lambda: os._exit(os.EX_IOERR))


def _log_key(given: str) -> VerifierKey:
    line = given if given.count("+") >= 2 else _read(Path(given)).decode("ascii", "replace")
    try:
        return parse_vkey(line.strip())
    except ValueError as error:
        raise BadInput(f"--log: {error}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LedgerUnavailable(f"{path}: {error.strerror}") from None
