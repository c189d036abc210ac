"""Commands of those who ask: sign in, look, register keys, apply, ask for a release, fetch it."""

from __future__ import annotations

import base64
import io
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.cli.custody import application_lines
from gateway.cli.fetching import fetch_file
from gateway.cli.sealing import read_secret
from gateway.cli.session import Gateway, gateway, sign_in, sign_out
from gateway.cli.show import AsJson, ask_password, decision_lines, read_yaml, show, table
from gateway.crypt4gh import open_sealed, public_of, write_public_key
from gateway.errors import BadInput, NotFound

key = typer.Typer(no_args_is_help=True, help="Register your keys with proof that you hold them.")
release = typer.Typer(no_args_is_help=True, help="Ask for data under a grant.")
Wait = Annotated[bool, typer.Option(help="Stay until it is available or refused.")]
ENDED = {"available", "refused", "failed", "closed"}


def login(
    name: str,
    server: Annotated[str | None, typer.Option(help="The gateway's address.")] = None,
    place: Annotated[str | None, typer.Option(help="Place of access; only a demo home believes it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Sign in; the token is kept in a file that only you can read."""
    signed = sign_in(name, ask_password(name, twice=False), server=server, place=place)
    line = f"signed in at {signed['server']} as {signed['login']} until {signed['expires_at']}"
    show(signed, [line], as_json=as_json)


def logout() -> None:
    """End the session, and forget the token."""
    sign_out()
    print("signed out")


def catalogue(as_json: AsJson = False) -> None:
    """What is here, for anybody; numbers of people are words."""
    found = gateway().get("/catalogue")
    lines = []
    for entry in found:
        use = ", ".join([*entry["data_use"], *entry["diseases"]])
        lines.append(f"{entry['slug']}: {entry['title']['en']} ({entry['people']} people; {use})")
        lines += [f"  {view['name']:24} {view['kind']:8} {view['tier']}" for view in entry["views"]]
    show(found, lines or ["nothing is published here yet"], as_json=as_json)


def apply(file: Path, as_json: AsJson = False) -> None:
    """Apply with a file of purpose, evidence and items (dataset, views); the answer says what is still missing."""
    server = gateway()
    asked = read_yaml(file)
    listed = {entry["slug"]: entry for entry in server.get("/catalogue")}
    items = [_wanted(file, listed, wanted) for wanted in asked.get("items", ())]
    found = server.post("/applications", {**asked, "items": items})
    show(found, application_lines(found), as_json=as_json)


@key.command("register")
def register(
    encryption: Annotated[Path | None, typer.Option(help="Your Crypt4GH private key; it stays here.")] = None,
    signing: Annotated[Path | None, typer.Option(help="Your Ed25519 private key (PEM); it stays here.")] = None,
    passphrase: Annotated[str | None, typer.Option(help="Of the private key.", hide_input=True)] = None,
    as_json: AsJson = False,
) -> None:
    """Prove to the gateway that you hold a key, and register its public half."""
    if (encryption is None) == (signing is None):
        raise BadInput("name one key: --encryption FILE or --signing FILE")
    server = gateway()
    if encryption is not None:
        answered = _prove_encryption(server, read_secret(encryption, passphrase))
    else:
        assert signing is not None  # noqa: S101  one of the two was named above
        answered = _prove_signing(server, read_signing(signing, passphrase))
    show(answered, [f"key {answered['id']} is registered"], as_json=as_json)


@key.command("list")
def keys(as_json: AsJson = False) -> None:
    """My keys."""
    rows = gateway().get("/keys")
    show(rows, table(rows, ("id", "kind", "state", "proved_at")), as_json=as_json)


@release.command("request")
def request(
    item_id: str,
    view: Annotated[str, typer.Argument(help="Id of a view of the item.")],
    wait: Wait = True,
    on_medium: Annotated[bool, typer.Option("--on-medium", help="It leaves on a physical medium.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask for one view of one item. Exit 0 available, 1 refused, with every reason."""
    server = gateway()
    row = server.post("/releases", {"item_id": item_id, "view_id": view, "on_medium": on_medium})
    _stay(server, row, wait=wait, as_json=as_json)


@release.command("return")
def return_own(
    dataset_id: str,
    key_id: Annotated[str | None, typer.Option("--key", help="Your encryption key, of several.")] = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """An owner's custodian asks for the originals of its own dataset. Exit 0 available, 1 refused."""
    server = gateway()
    key_id = key_id or _only_key(server)
    row = server.post("/returns", {"dataset_id": dataset_id, "key_id": key_id})
    _stay(server, row, wait=wait, as_json=as_json)


def _only_key(server: Gateway) -> str:
    mine = [row["id"] for row in server.get("/keys") if (row["kind"], row["state"]) == ("encryption", "active")]
    if len(mine) != 1:
        raise BadInput(f"you have {len(mine)} encryption keys; name one with --key (tongguan key list, key register)")
    return str(mine[0])


def _stay(server: Gateway, row: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    while wait and row["state"] not in ENDED:
        time.sleep(0.2)
        row = server.get(f"/releases/{row['id']}")
    show(row, _release_lines(row), as_json=as_json)
    raise typer.Exit(1 if row["state"] in {"refused", "failed"} else 0)


@release.command("show")
def release_show(release_id: str, as_json: AsJson = False) -> None:
    """One release and where it stands."""
    row = gateway().get(f"/releases/{release_id}")
    show(row, _release_lines(row), as_json=as_json)


@release.command("list")
def releases(as_json: AsJson = False) -> None:
    """My releases."""
    rows = gateway().get("/releases")
    show(rows, table(rows, ("id", "state", "outcome", "view_id", "requested_at")), as_json=as_json)


@release.command("sign-risk")
def sign_risk(release_id: str, as_json: AsJson = False) -> None:
    """A steward answers by name for the measured risk of a held release; the applicant then asks again."""
    found = gateway().post(f"/releases/{release_id}/risk-signature")
    show(found, [f"signed: k {found['k']}, l {found['l']}, judged with {found['tables_held']} more"], as_json=as_json)


def files(release_id: str, as_json: AsJson = False) -> None:
    """The files of an available release."""
    rows = gateway().get(f"/releases/{release_id}/files")
    show(rows, table(rows, ("name", "size", "etag")), as_json=as_json)


def fetch(
    release_id: str,
    out: Annotated[Path, typer.Option(help="Folder to put the files in.")] = Path(),
    resume: Annotated[bool, typer.Option(help="Go on where a fetch broke off.")] = True,
    as_json: AsJson = False,
) -> None:
    """Fetch the sealed files of a release; a broken fetch goes on by itself when it is started again.

    What leaves on a medium is fetched by the custodian, with --out on the medium.
    """
    server = gateway()
    out.mkdir(parents=True, exist_ok=True)
    entries = server.get(f"/releases/{release_id}/files")
    done = [str(fetch_file(server, f"/releases/{release_id}/files", entry, out, resume=resume)) for entry in entries]
    show({"files": done}, done, as_json=as_json)


def _release_lines(row: dict[str, Any]) -> list[str]:
    lines = [f"release {row['id']}: {row['state']}"]
    if row["state"] == "refused":
        lines += decision_lines(row["decision"])
    if row["trouble"]:
        lines.append(row["trouble"])
    if row["successor_id"]:
        lines.append(f"its successor is {row['successor_id']}")
    return lines


def _wanted(file: Path, listed: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    entry = listed.get(wanted.get("dataset", ""))
    if entry is None:
        raise BadInput(f"{file}: items: dataset is not in the catalogue; there are: {', '.join(sorted(listed))}")
    views = {view["name"]: view["id"] for view in entry["views"]}
    unknown = [name for name in wanted.get("views", ()) if name not in views]
    if unknown or not wanted.get("views"):
        raise BadInput(f"{file}: items: views of {entry['slug']} are: {', '.join(sorted(views))}")
    return {"dataset_id": entry["id"], "views": [views[name] for name in wanted["views"]]}


def _prove_encryption(server: Gateway, secret: bytes) -> Any:
    text = write_public_key(public_of(secret)).decode()
    asked = server.post("/keys/challenges", {"kind": "encryption", "public_key": text})
    answer = open_sealed(io.BytesIO(base64.b64decode(asked["data"])), secret).read()
    return server.post("/keys", {"challenge": asked["challenge"], "answer": base64.b64encode(answer).decode()})


def _prove_signing(server: Gateway, secret: Ed25519PrivateKey) -> Any:
    text = base64.b64encode(secret.public_key().public_bytes_raw()).decode()
    asked = server.post("/keys/challenges", {"kind": "signing", "public_key": text})
    answer = secret.sign(base64.b64decode(asked["data"]))
    return server.post("/keys", {"challenge": asked["challenge"], "answer": base64.b64encode(answer).decode()})


def read_signing(path: Path, passphrase: str | None) -> Ed25519PrivateKey:
    """An Ed25519 private key from a PEM file."""
    try:
        secret = load_pem_private_key(path.read_bytes(), passphrase.encode() if passphrase else None)
    except FileNotFoundError:
        raise NotFound(f"file {path}") from None
    except (ValueError, TypeError, OSError):
        raise BadInput(f"{path}: not a readable private key in PEM; openssl genpkey -algorithm ed25519") from None
    if not isinstance(secret, Ed25519PrivateKey):
        raise BadInput(f"{path}: not an Ed25519 key; make one with: openssl genpkey -algorithm ed25519 -out {path}")
    return secret
