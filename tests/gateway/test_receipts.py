"""What a release leaves in the hands of recipient, custodian, auditor and participant."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.testclient import TestClient

from gateway.api.app import create_app
from gateway.errors import BadInput, Conflict, NotAllowed, NotFound
from gateway.receipts import (
    HELD_BACK,
    arrival_statement,
    outcome_entry,
    outcome_receipt,
    participant_proof,
    record_arrival,
)
from gateway.record import put_fact
from gateway.revocation import withdraw_participant
from gateway.verifier import verify_log
from gateway.verifier.membership import parse_membership, verify_membership
from gateway.verifier.note import VerifierKey, parse_vkey
from gateway.verifier.receipt import check_receipt, opened_fields
from tests.world import PASSWORD, World

SIGNING = Ed25519PrivateKey.from_private_bytes(bytes(32))


def log_key(world: World) -> VerifierKey:
    return parse_vkey((world.settings.home / "ledger" / "log.vkey").read_text("ascii").strip())


def with_signing_key(world: World) -> World:
    """The key bound in the grant is one that we can sign with."""
    text = base64.b64encode(SIGNING.public_key().public_bytes_raw()).decode()
    key = world.ids["signing:researcher"]
    world.env.uow.run(lambda tx: put_fact(tx, world.env, "recipient_key", key, columns={"public_key": text}))
    return world


def arrived(world: World, release: dict[str, Any]) -> list[dict[str, Any]]:
    files = world.row("copy", release["copy_id"])["files"]
    return [{"name": one["name"], "size": one["size"], "digest": one["etag"]} for one in files]


def test_recipient_and_custodian_hold_a_receipt_that_proves_the_release_without_us(any_world: World) -> None:
    release = any_world.release(any_world.ids["item"])
    for who in ("researcher", "custodian"):
        receipt = outcome_receipt(any_world.env, any_world.people[who], release["id"])
        kept = outcome_entry(any_world.env, any_world.people[who], release["id"])
        checked = check_receipt(receipt, entry=base64.b64decode(kept["entry"]), key=log_key(any_world))
        assert (checked.index, checked.type, checked.witnessed) == (kept["position"], "release.open", False)
        assert opened_fields(base64.b64decode(kept["entry"]), kept["opened"])["place_of_access"] == "hong_kong"


def test_a_refusal_has_its_receipt_too(world: World) -> None:
    world.clock.moved += timedelta(days=400)
    refused = world.release(world.ids["item"])
    assert refused["state"] == "refused"
    receipt = outcome_receipt(world.env, world.people["researcher"], refused["id"])
    kept = outcome_entry(world.env, world.people["researcher"], refused["id"])
    entry = base64.b64decode(kept["entry"])
    # 400 days later the log is another year's, with a key of its own name.
    assert check_receipt(receipt, entry=entry, key=world.env.ledger.keys()).type == "release.refuse"


def test_a_receipt_of_another_entry_another_key_or_a_changed_value_does_not_hold(world: World) -> None:
    release = world.release(world.ids["item"])
    receipt = outcome_receipt(world.env, world.people["researcher"], release["id"])
    kept = outcome_entry(world.env, world.people["researcher"], release["id"])
    entry = base64.b64decode(kept["entry"])
    with pytest.raises(ValueError):
        check_receipt(receipt, entry=entry + b" ", key=log_key(world))
    with pytest.raises(ValueError):
        check_receipt(receipt, entry=entry, key=VerifierKey(name=log_key(world).name, public_key=bytes(32)))
    lie = {"place_of_access": {**kept["opened"]["place_of_access"], "value": "mainland"}}
    with pytest.raises(ValueError, match="place_of_access"):
        opened_fields(entry, lie)


def test_each_audience_opens_its_own_fields_and_strangers_nothing(world: World) -> None:
    release = world.release(world.ids["item"])
    seen = {
        who: set(outcome_entry(world.env, world.people[who], release["id"])["opened"])
        for who in ("researcher", "custodian", "steward")
    }
    assert seen["custodian"] == seen["steward"] > seen["researcher"]
    assert seen["custodian"] - seen["researcher"] == HELD_BACK["recipient"] & seen["custodian"]
    assert "permitted_salt" not in seen["researcher"]
    for who in ("rival", "firm"):
        with pytest.raises(NotFound):
            outcome_receipt(world.env, world.people[who], release["id"])
        with pytest.raises(NotFound):
            outcome_entry(world.env, world.people[who], release["id"])


def test_the_recipient_signs_for_what_arrived_and_it_stands_in_the_ledger(any_world: World) -> None:
    world = with_signing_key(any_world)
    release = world.release(world.ids["item"])
    files = arrived(world, release)
    signature = SIGNING.sign(arrival_statement(release["id"], files))
    entry_id = record_arrival(world.env, world.people["researcher"], release["id"], files=files, signature=signature)
    row = next(row for row in world.entries("release.arrived") if row["entry_id"] == entry_id)
    event = json.loads(row["body"])
    assert event["public"]["files"] == [one["digest"] for one in files]
    assert row["position"] is not None
    assert verify_log(world.settings.home / "ledger", key=None).state == "proven"


def test_nobody_signs_for_other_files_with_another_key_or_for_another_person(world: World) -> None:
    with_signing_key(world)
    release = world.release(world.ids["item"])
    files, before = arrived(world, release), len(world.entries("release.arrived"))
    good = SIGNING.sign(arrival_statement(release["id"], files))
    other = [{**files[0], "digest": "0" * 64}, *files[1:]]
    forged = Ed25519PrivateKey.generate().sign(arrival_statement(release["id"], files))
    me = world.people["researcher"]
    with pytest.raises(Conflict):
        record_arrival(world.env, me, release["id"], files=other, signature=good)
    with pytest.raises(BadInput):
        record_arrival(world.env, me, release["id"], files=files, signature=forged)
    with pytest.raises(BadInput):
        record_arrival(world.env, me, release["id"], files=files, signature=SIGNING.sign(b"tongguan arrival\n"))
    with pytest.raises(NotFound):
        record_arrival(world.env, world.people["rival"], release["id"], files=files, signature=good)
    assert len(world.entries("release.arrived")) == before


def test_a_participant_is_shown_that_they_were_in_a_release_or_were_not(any_world: World) -> None:
    world = any_world
    withdraw_participant(world.env, world.people["custodian"], dataset_id=world.ids["dataset"], source_id="HOSP0003")
    release = world.release(world.ids["item"])
    kept = outcome_entry(world.env, world.people["researcher"], release["id"])
    root = bytes.fromhex(json.loads(base64.b64decode(kept["entry"]))["public"]["permitted_root"])
    for number, inside in (("HOSP0003", False), ("HOSP0004", True), ("HOSP0039", True)):
        file = participant_proof(world.env, world.people["custodian"], release["id"], source_id=number)
        proof = parse_membership(file)
        assert verify_membership(proof, commitment=root) is inside
        assert proof.size == 39
    with pytest.raises(NotAllowed):
        participant_proof(world.env, world.people["researcher"], release["id"], source_id="HOSP0004")


@pytest.fixture
def client(world: World) -> Any:
    with TestClient(create_app(world.env), raise_server_exceptions=False) as made:
        yield made


def test_the_log_is_served_whole_to_auditors_and_as_hashes_to_others(client: TestClient, world: World) -> None:
    body = {"login": "researcher", "password": PASSWORD, "place_of_access": "hong_kong"}
    me = {"Authorization": f"Bearer {client.post('/tokens', json=body).json()['token']}"}
    folder: Path = world.settings.home / "ledger"
    for path in ("checkpoint", "log.vkey"):
        assert client.get(f"/ledger/{path}", headers=me).content == (folder / path).read_bytes()
    tile = next(path for path in (folder / "tile" / "0").rglob("*") if path.is_file()).relative_to(folder).as_posix()
    assert client.get(f"/ledger/{tile}", headers=me).content == (folder / tile).read_bytes()
    entries = next(path for path in (folder / "tile" / "entries").rglob("*") if path.is_file())
    assert client.get(f"/ledger/{entries.relative_to(folder).as_posix()}", headers=me).status_code == 403
    for path in (".tmp/lock", "..%2Fhome.json", "tile/0/999", "keys", "tile/0/000.p/0"):
        assert client.get(f"/ledger/{path}", headers=me).status_code == 404
    assert client.get("/ledger/checkpoint").status_code == 401
