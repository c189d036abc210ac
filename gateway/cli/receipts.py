"""Receipts at the keyboard: keep one, check one without the server, sign for what arrived, prove one participant."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.keeping import keep_up, kept_folder, kept_keys
from gateway.cli.research import read_signing
from gateway.cli.session import Gateway, gateway
from gateway.cli.show import AsJson, show
from gateway.errors import BadInput, LedgerUnavailable, Rewritten
from gateway.receipts import arrival_statement
from gateway.verifier.membership import parse_membership, verify_membership
from gateway.verifier.note import VerifierKey, parse_vkey
from gateway.verifier.policy import Policy, parse_policy
from gateway.verifier.proof import parse_proof
from gateway.verifier.receipt import check_receipt, opened_fields
from gateway.verifier.rotation import LogKeys, log_keys, read_log_keys

Entry = Annotated[Path, typer.Option(help="The .entry.json file that was kept with the receipt.")]
Key = Annotated[str | None, typer.Option(help="The log's vkey, or a file that holds it.")]
Witnesses = Annotated[Path | None, typer.Option("--policy", help="A tlog-policy file: whose cosignatures you want.")]


def add_to_release(release: typer.Typer) -> None:
    """The receipts of a release and what its recipient signs."""
    release.command("receipt")(keep_receipt)
    release.command("arrived")(sign_arrival)
    release.command("participant-proof")(prove_participant)


def add_to_ledger(ledger: typer.Typer) -> None:
    """What is checked and kept without trust in the server."""
    ledger.command("check-receipt")(check)
    ledger.command("check-participant")(check_participant)
    ledger.command("keep")(keep)


def keep_receipt(release_id: str, out: Path, as_json: AsJson = False) -> None:
    """Keep the receipt of a release and its entry beside it; both are checked before they are kept."""
    server = gateway()
    folder = kept_folder(server.server)
    keep_up(server, folder)
    receipt = server.find_bytes(f"/releases/{release_id}/receipt")
    if receipt is None:
        raise BadInput("there is no receipt: no such release of yours, or it has no outcome yet")
    kept = server.get(f"/releases/{release_id}/entry")
    try:
        key = kept_keys(folder, parse_proof(receipt).checkpoint.origin)
        if key is None:
            raise ValueError("it is of a log whose key was never kept")
        checked = check_receipt(receipt, entry=base64.b64decode(kept["entry"]), key=key)
        values = opened_fields(base64.b64decode(kept["entry"]), kept["opened"])
    except ValueError as error:
        raise Rewritten(f"the server's receipt does not hold: {error}") from None
    beside = out.with_name(out.name + ".entry.json")
    out.write_bytes(receipt)
    beside.write_text(json.dumps(kept, ensure_ascii=False, indent=1), "utf-8")
    said = f"entry {checked.index} of {checked.origin} ({checked.type}), {len(values)} fields opened"
    lines = [said, f"kept in {out} and {beside}; check them anywhere with: tongguan ledger check-receipt {out}"]
    show({"receipt": str(out), "entry": str(beside), "index": checked.index}, lines, as_json=as_json)


def sign_arrival(
    release_id: str,
    signing: Annotated[Path, typer.Option(help="Your Ed25519 private key (PEM); it stays here.")],
    folder: Annotated[Path, typer.Option(help="Folder that the files were fetched to.")] = Path(),
    passphrase: Annotated[str | None, typer.Option(help="Of the private key.", hide_input=True)] = None,
    as_json: AsJson = False,
) -> None:
    """Sign for the files that arrived, as they lie here; the gateway records it."""
    server = gateway()
    names = [entry["name"] for entry in server.get(f"/releases/{release_id}/files")]
    files = [_arrived(folder / name) for name in names]
    signature = read_signing(signing, passphrase).sign(arrival_statement(release_id, files))
    body = {"files": files, "signature": base64.b64encode(signature).decode()}
    answered = server.post(f"/releases/{release_id}/arrival", body)
    show(answered, [f"{len(files)} files signed for; recorded as entry {answered['entry']}"], as_json=as_json)


def prove_participant(
    release_id: str, participant: Annotated[str, typer.Argument(help="The custodian's own number.")], out: Path
) -> None:
    """For custodians: the file that proves to one participant whether they were in a release."""
    found = gateway().ask_bytes("POST", f"/releases/{release_id}/participant-proof", {"participant": participant})
    out.write_bytes(found)
    print(f"kept in {out}; it opens with: tongguan ledger check-participant {out} --entry ENTRY")


def check(receipt: Path, entry: Entry, key: Key = None, policy: Witnesses = None, as_json: AsJson = False) -> None:
    """Check a kept receipt without any server. Exit 0 holds, 1 does not, 2 could not tell or not enough witnesses."""
    kept = _json(entry)
    found_policy = _policy(policy)
    try:
        found_key = (key is None and _kept(receipt)) or _key(key)
        raw = base64.b64decode(kept["entry"])
        checked = check_receipt(_bytes(receipt), entry=raw, key=found_key, policy=found_policy)
        values = opened_fields(raw, kept["opened"])
    except (ValueError, KeyError) as error:
        raise Rewritten(f"{receipt}: {error}") from None
    names = ", ".join(checked.witnesses) or "no witness that was asked for"
    lines = [f"entry {checked.index} of {checked.origin}: {checked.type}, under a tree of {checked.size}"]
    lines += [f"{'WITNESSED' if checked.witnessed else 'UNWITNESSED'}: cosigned by {names}"]
    lines += [f"  {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in sorted(values.items())]
    body = {"index": checked.index, "type": checked.type, "witnessed": checked.witnessed, "opened": values}
    show(body, lines, as_json=as_json)
    raise typer.Exit(2 if found_policy is not None and not checked.witnessed else 0)


def check_participant(proof: Path, entry: Entry, as_json: AsJson = False) -> None:
    """Read a participant's proof against a release's entry: exit 0 it holds (in or not in), 1 it does not."""
    event = json.loads(base64.b64decode(_json(entry)["entry"]))
    try:
        parsed = parse_membership(_bytes(proof))
        inside = verify_membership(parsed, commitment=bytes.fromhex(event["public"]["permitted_root"]))
    except (ValueError, KeyError) as error:
        raise Rewritten(f"{proof}: {error}") from None
    said = "was in" if inside else "was not in"
    lines = [f"participant {parsed.participant} {said} release {event['public']['release']} ({parsed.size} people)"]
    show({"participant": parsed.participant, "inside": inside, "size": parsed.size}, lines, as_json=as_json)


def keep(as_json: AsJson = False) -> None:
    """Keep the newest checkpoint, once it is shown to continue the one kept before; exit 1 where it does not."""
    server: Gateway = gateway()
    folder = kept_folder(server.server)
    _, head = keep_up(server, folder)
    lines = [f"{head.origin}: {head.size} entries, kept in {folder}"]
    show({"origin": head.origin, "size": head.size, "folder": str(folder)}, lines, as_json=as_json)


def _arrived(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
        return {"name": path.name, "size": path.stat().st_size, "digest": found}
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; sign for files that were fetched, as they were fetched") from None


def _kept(receipt: Path) -> LogKeys | None:
    """The keys kept for the log that the receipt is of."""
    return kept_keys(kept_folder(gateway().server), parse_proof(_bytes(receipt)).checkpoint.origin)


def _key(given: str | None) -> LogKeys:
    """The named key, or the one kept of the server last signed in to, with the rotations that lie beside its file."""
    if given is not None and given.count("+") >= 2:
        return log_keys(_parsed_key(given))
    path = kept_folder(gateway().server) / "log.vkey" if given is None else Path(given)
    first = _parsed_key(_bytes(path).decode("ascii", "replace"))
    try:
        return read_log_keys(first, lambda name: _bytes(path.parent / name) if (path.parent / name).exists() else None)
    except ValueError as error:
        raise BadInput(f"the rotations beside {path}: {error}") from None


def _parsed_key(line: str) -> VerifierKey:
    try:
        return parse_vkey(line.strip())
    except ValueError as error:
        raise BadInput(f"the ledger's key: {error}") from None


def _policy(path: Path | None) -> Policy | None:
    if path is None:
        return None
    try:
        return parse_policy(_bytes(path).decode("utf-8"))
    except ValueError as error:
        raise BadInput(f"{path}: {error}") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LedgerUnavailable(f"{path}: {error.strerror}") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(_bytes(path))
    except ValueError:
        raise BadInput(f"{path}: not the JSON file that was kept with a receipt") from None
    return found
