"""Register a recipient's keys with proof of possession.

An encryption key (X25519, Crypt4GH) proves itself by opening a nonce that the gateway sealed to it; a signing key
(Ed25519) by signing one. A key nobody can use, or somebody else's key, is never bound to a grant.
"""

from __future__ import annotations

import base64
import io
from datetime import timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.accounts import HOUSE
from gateway.crypt4gh import Crypt4GHError, accept_reader, read_public_key, seal
from gateway.env import Actor, Env
from gateway.errors import BadInput, NotFound
from gateway.identity.tokens import token_digest
from gateway.ports import Tx
from gateway.record import put_fact
from gateway.times import parse, stamp

CONTEXT = b"tongguan key registration\n"
MINUTES = 10


def challenge(env: Env, actor: Actor, *, kind: str, public_key: str) -> dict[str, str]:
    """What the holder must answer: a sealed nonce (encryption) or bytes to sign (signing), base64."""
    nonce = env.random.token(32)
    asked = _sealed(env, public_key, nonce) if kind == "encryption" else _to_sign(public_key, kind, nonce)
    challenge_id = env.new_id()
    body = {"kind": kind, "public_key": public_key, "nonce": token_digest(nonce.hex()), "clear": None}
    if kind == "signing":
        body["clear"] = nonce.hex()
    expires = stamp(env.clock.now() + timedelta(minutes=MINUTES))
    row = {"id": challenge_id, "person_id": actor.person_id, "body": body, "expires_at": expires}
    env.uow.run(lambda tx: tx.insert("challenge", row))
    return {"challenge": challenge_id, "kind": kind, "data": base64.b64encode(asked).decode()}


def register(env: Env, actor: Actor, *, challenge_id: str, answer: str) -> str:
    """Check the answer and record the key; its id. A challenge serves once."""
    key_id = env.new_id()

    def work(tx: Tx) -> str:
        row = tx.get("challenge", challenge_id)
        if row is None or row["person_id"] != actor.person_id or row["body"] is None:
            raise NotFound("challenge")
        tx.delete("challenge", id=challenge_id)
        if parse(row["expires_at"]) <= env.clock.now() or not _answers(row["body"], answer):
            raise BadInput("the answer does not prove that you hold this key; ask for a new challenge")
        columns = {
            "person_id": actor.person_id,
            "kind": row["body"]["kind"],
            "public_key": row["body"]["public_key"],
            "proved_at": stamp(env.clock.now()),
            "state": "active",
        }
        put_fact(tx, env, "recipient_key", key_id, custodian_id=HOUSE, scope=actor.person_id, columns=columns)
        return key_id

    return env.uow.run(work)


def own_keys(env: Env, actor: Actor) -> list[dict[str, Any]]:
    """The actor's keys."""
    rows = env.uow.read(lambda tx: tx.find("recipient_key", person_id=actor.person_id))
    return [{key: row[key] for key in ("id", "kind", "public_key", "proved_at", "state")} for row in rows]


def _sealed(env: Env, public_key: str, nonce: bytes) -> bytes:
    sink = io.BytesIO()
    try:
        reader = accept_reader(read_public_key(public_key.encode()))
        seal(io.BytesIO(nonce), sink, readers=[reader], session_key=env.random.token(32), random=env.random)
    except Crypt4GHError as error:
        raise BadInput(f"the encryption key cannot be used; give the text of a public key file ({error})") from None
    return sink.getvalue()


def _to_sign(public_key: str, kind: str, nonce: bytes) -> bytes:
    if kind != "signing":
        raise BadInput("kind must be encryption or signing")
    _ed25519(public_key)
    return CONTEXT + nonce


def _ed25519(public_key: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
    except ValueError:
        raise BadInput("the signing key cannot be read; give 32 bytes of an Ed25519 public key in base64") from None


def _answers(body: dict[str, Any], answer: str) -> bool:
    try:
        raw = base64.b64decode(answer, validate=True)
    except ValueError:
        return False
    if body["kind"] == "encryption":
        return token_digest(raw.hex()) == str(body["nonce"])
    try:
        _ed25519(body["public_key"]).verify(raw, CONTEXT + bytes.fromhex(body["clear"]))
    except InvalidSignature:
        return False
    return True
