"""Give an owner back its own data: the originals, sealed to the owner's key, by the same path as any other release.

A sequencing centre that returns what a hospital ordered neither provides it to outside nor opens it
(对外提供或开放使用): no consent, report, label or risk is asked. Who the owner is, the order, the contract and the key
are, and the release is decided, recorded, charged and closed like every other. Material from abroad that goes back
there is transit, with rules of its own.
Source: rule catalogue section 17; 个人信息保护法 21; 促进和规范数据跨境流动规定 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from gateway.accounts import require
from gateway.crypt4gh import read_public_key, seal
from gateway.custody_facts import custody_facts
from gateway.env import Actor, Env
from gateway.errors import BadInput, Conflict, NotFound
from gateway.evidence import Evidence
from gateway.filing_facts import standing_filings
from gateway.hashing import HashingReader, HashingWriter, prove_registered
from gateway.lawbook import SCOPE, in_force
from gateway.party_facts import class_of
from gateway.ports import Row, Tx
from gateway.release_row import COPY_DAYS, new_release
from gateway.thing_facts import dataset_facts
from gateway.times import legal_day, stamp
from policies.consent import Permitted, set_digest
from policies.facts import CustodyFacts, Facts, PersonFacts, RecipientFacts
from policies.vocabulary import Action

RETURNS = frozenset({Action.RETURN_TO_OWNER, Action.TRANSIT})


def is_return(row: Row) -> bool:
    """Whether a release gives an owner its own data."""
    return row["action"] in RETURNS


def request_return(env: Env, actor: Actor, *, dataset_id: str, key_id: str, release_id: str | None = None) -> Row:
    """Ask for the originals of one's own dataset. The id is the idempotency key: asking twice changes nothing."""
    require(actor, "custodian")
    chosen = release_id or env.new_id()

    def work(tx: Tx) -> Row:
        dataset, key = tx.get("dataset", dataset_id), tx.get("recipient_key", key_id)
        if dataset is None or dataset["owner_id"] != actor.institution_id:
            raise NotFound("dataset")
        if key is None or key["person_id"] != actor.person_id or key["kind"] != "encryption":
            raise BadInput("a return is sealed to an encryption key that you registered yourself")
        known = tx.get("release", chosen)
        if known is not None:
            if (known["requester_id"], known["dataset_id"]) != (actor.person_id, dataset_id) or not is_return(known):
                raise Conflict("that release id is taken by another request")
            return known
        row = new_release(
            env,
            actor,
            release_id=chosen,
            dataset={"custodian_id": dataset["custodian_id"], "dataset_id": dataset_id},
            action=_action(tx, actor, dataset),
            key_id=key_id,
        )
        tx.insert("release", row)
        return row

    return env.uow.run(work)


def gather_return(tx: Tx, env: Env, row: Row) -> Evidence:
    """The facts of a return, stored in the same shape as a release's: everybody in the dataset goes home."""
    rows, law = _rows(tx, row), in_force(tx, env)
    recipient, people = (
        rows["recipient"],
        [one for (one,) in tx.pick("participant", ("id",), dataset_id=row["dataset_id"])],
    )
    facts = Facts(
        person=PersonFacts(
            foreign_individual=rows["requester"]["foreign_individual"] or "unknown",
            place_of_access=row["place_of_access"] or "unknown",
        ),
        recipient=RecipientFacts(
            party_class=str(class_of(recipient)),
            place=recipient["place"] or "unknown",
            kind=recipient["kind"] or "unknown",
        ),
        dataset=dataset_facts(rows["dataset"], rows["holder"]),
        custody=_custody(rows, env),
    )
    parties = {recipient["id"], rows["owner"]["id"], rows["dataset"]["holder_id"], row["requester_id"], *rows["filers"]}
    return Evidence(
        facts=facts,
        scopes=tuple(sorted({SCOPE, row["dataset_id"]} | parties)),
        custodian_id=rows["dataset"]["custodian_id"],
        grant_id=None,
        permitted=Permitted(ids=tuple(people), total=len(people), excluded={}, digest=set_digest(people)),
        counters={},
        rows=rows,
        policy=law.policy,
        policy_activated=law.activated,
        action=Action(row["action"]),
    )


def may_still_have(tx: Tx, row: Row) -> bool:
    """Whether the key, the person and the ownership that a return was decided on still stand."""
    rows = _rows(tx, row)
    return _sealed(rows) and rows["recipient"]["id"] == rows["dataset"]["owner_id"]


def copy_originals(env: Env, row: Row) -> str:
    """Seal every registered file of the dataset as it is; the copy's id. BadInput when a source is not the registered
    one, and then nothing of the copy stays."""
    copy_id = env.new_id()
    rows, objects = env.uow.read(lambda tx: (_rows(tx, row), tx.find("data_object", dataset_id=row["dataset_id"])))
    files: list[dict[str, Any]] = []
    try:
        for number, source in enumerate(objects, 1):
            files.append(_seal_original(env, f"{copy_id}-{number}", rows, source, number))
    except BaseException:
        for entry in files:
            env.copies.shred(entry["stored"])
        env.copies.shred(f"{copy_id}-{len(files) + 1}")
        raise
    columns = {
        "id": copy_id,
        "custodian_id": row["custodian_id"],
        "release_id": row["id"],
        "core_view_id": None,
        "project_id": None,
        "key_id": row["key_id"],
        "files": files,
        "state": "sealed",
        "killed_because": None,
        "expires_at": stamp(env.clock.now() + timedelta(days=COPY_DAYS)),
    }
    env.uow.run(lambda tx: tx.insert("copy", columns))
    return copy_id


def _action(tx: Tx, actor: Actor, dataset: Row) -> str:
    """What would leave the mainland, or goes nobody knows where, is asked the stricter rules."""
    owner = tx.get("institution", dataset["owner_id"])
    home = owner is not None and owner["place"] == actor.place_of_access == "mainland"
    return str(Action.RETURN_TO_OWNER if home else Action.TRANSIT)


def _rows(tx: Tx, row: Row) -> dict[str, Any]:
    dataset, requester = tx.get("dataset", row["dataset_id"]), tx.get("person", row["requester_id"])
    key = tx.get("recipient_key", row["key_id"])
    recipient = None if requester is None else tx.get("institution", requester["institution_id"])
    owner = None if dataset is None else tx.get("institution", dataset["owner_id"])
    if dataset is None or requester is None or recipient is None or owner is None or key is None:
        raise NotFound("dataset, person, institution or key")
    found = tx.find("filing", dataset_id=dataset["id"], state="recorded")
    people = tx.find("person", id=sorted({filing["recorded_by"] for filing in found}))
    return {
        "dataset": dataset,
        "requester": requester,
        "recipient": recipient,
        "owner": owner,
        "holder": tx.get("institution", dataset["holder_id"]),
        "key": key,
        "filings": found,
        "filers": {person["id"]: person for person in people},
        **dict.fromkeys(("item", "application", "view", "package", "grant")),
    }


def _custody(rows: Mapping[str, Any], env: Env) -> CustodyFacts:
    on = standing_filings(rows, legal_day(env.clock.now()))
    contracts = on("entrustment")
    return replace(
        custody_facts(rows, _sealed(rows)),
        order=any((contract["terms"] or {}).get("order") for contract in contracts),
        contract=bool(contracts),
        hgr_side_decided=any((f["terms"] or {}).get("outcome") == "may-return" for f in on("transit-decision")),
    )


def _sealed(rows: Mapping[str, Any]) -> bool:
    key, person = rows["key"], rows["requester"]
    own = key["person_id"] == person["id"] and key["kind"] == "encryption"
    return bool(own and key["state"] == "active" and person["state"] == "active")


def _seal_original(env: Env, stored: str, rows: Mapping[str, Any], source: Row, number: int) -> dict[str, Any]:
    """One file, read once, its checksum held against the registered one while it is sealed."""
    custodian = source["custodian_id"]
    with ExitStack() as stack:
        raw = HashingReader(stack.enter_context(env.objects(rows["dataset"]["root"]).open(source["path"])))
        sink = HashingWriter(stack.enter_context(env.copies.create(stored)))
        reader = read_public_key(rows["key"]["public_key"].encode())
        seal(cast("BinaryIO", raw), sink, readers=[reader], session_key=env.random.token(32), random=env.random)
        prove_registered(raw, source["path"], source["checksum"])
    return {
        "name": f"{number:04}-{PurePosixPath(source['path']).name}.c4gh",
        "stored": stored,
        "size": sink.size,
        "etag": sink.hexdigest(),
        "key_version": env.keys.custodian_version(custodian),
    }
