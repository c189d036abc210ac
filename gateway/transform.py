"""Source to core view, core view to one recipient's sealed copy. Parsing happens in children without keys or network.

The core view is a function of (dataset content, recipe closure, permitted set) and carries that as its id; it is
measured and leak-checked on its very bytes, then frozen, encrypted at rest and never handed out. The copy is the core
view under the project's pseudonyms, sealed once with a new data key to the key bound in the grant.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO, cast

from deid.recipe import Recipe, load_recipe
from gateway.canonical import digest
from gateway.crypt4gh import read_public_key, seal
from gateway.draws import drawn_for
from gateway.env import Env
from gateway.errors import BadInput, Conflict, NotFound
from gateway.evidence import Evidence, gather
from gateway.hashing import HashingReader, HashingWriter
from gateway.keys import Purpose, Scope
from gateway.keys.pseudonyms import pseudonym
from gateway.measured import pack_partition
from gateway.ports import Row, Tx
from gateway.release_row import COPY_DAYS
from gateway.times import parse, stamp
from gateway.vault import open_vault

ENDINGS = {"vcf": "vcf.gz", "table": "parquet", "matrix": "tsv.gz", "frequencies": "vcf.gz"}
"""Kinds that can be released, and how their files end; any other is refused with its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a core view is made from."""

    core_id: str
    dataset: Row
    view: Row
    recipe: Mapping[str, Any]
    objects: Sequence[Row]
    permitted: Sequence[str]
    people: Mapping[str, Any]
    identifiers: Sequence[str]
    earlier: Sequence[str] | None
    drawn: Mapping[str, Any]


def prepare_core_view(env: Env, row: Row) -> str:
    """The id of an assessed core view for this row; an equal one is used again. BadInput when the source is unfit."""
    plan = env.uow.read(lambda tx: _plan(tx, env, gather(tx, env, row, measured=False)))
    if env.uow.read(lambda tx: _assessed(tx, plan.core_id)):
        return plan.core_id
    env.staging.shred(plan.core_id)
    parts, reports = [], []
    for number, source in enumerate(plan.objects, 1):
        part, report = _part(env, plan, source, f"{plan.view['name']}.{number}.{ENDINGS[plan.view['kind']]}")
        parts.append(part)
        reports.append(report)
    env.reached("core-made")
    _freeze(env, plan, parts, reports, _assess(env, plan, parts))
    return plan.core_id


def make_copy(env: Env, row: Row) -> str:
    """Write the project's copy, sealed, and its row in state ``sealed``; the copy's id, new on every attempt."""
    copy_id = env.new_id()
    core, grant, key, names = env.uow.read(lambda tx: _copy_inputs(tx, env, row))
    reader = read_public_key(key["public_key"].encode())
    files = [_seal_part(env, f"{copy_id}-{n}", core, part, names, reader) for n, part in enumerate(core["parts"], 1)]
    expires = min(parse(grant["valid_to"]), env.clock.now() + timedelta(days=COPY_DAYS))

    def work(tx: Tx) -> None:
        tx.insert(
            "copy",
            {
                "id": copy_id,
                "custodian_id": row["custodian_id"],
                "release_id": row["id"],
                "core_view_id": core["id"],
                "project_id": grant["project_id"],
                "key_id": key["id"],
                "files": files,
                "state": "sealed",
                "killed_because": None,
                "expires_at": stamp(expires),
            },
        )

    env.uow.run(work)
    return copy_id


def shred_copy(env: Env, copy: Row) -> None:
    """Remove the bytes of a copy that will not be handed over, or not again."""
    for entry in copy["files"]:
        env.copies.shred(entry["stored"])


def view_identity(plan_of: Mapping[str, Any]) -> str:
    """Digest of dataset content, recipe closure and permitted set; leaving one out would let two views share an id."""
    return digest({key: plan_of[key] for key in ("dataset", "content", "view", "recipe", "permitted")})[:48]


def _plan(tx: Tx, env: Env, evidence: Evidence) -> Plan:
    dataset, view = evidence.rows["dataset"], evidence.rows["view"]
    recipe = json.loads(view["recipe"] or "null")
    if recipe is None:
        raise BadInput("this view has no recipe, so nothing can be made of it", code="no_recipe")
    if view["kind"] not in ENDINGS:
        raise BadInput(f"views of kind {view['kind']} cannot be released yet", code="kind_not_released")
    vault = open_vault(tx, env, dataset["id"])
    found = {row["id"]: row for row in tx.find("data_object", dataset_id=dataset["id"])}
    identity = view_identity(
        {
            "dataset": dataset["id"],
            "content": dataset["content_digest"],
            "view": view["id"],
            "recipe": view["recipe_digest"],
            "permitted": evidence.permitted.digest,
        }
    )
    return Plan(
        core_id=identity,
        dataset=dataset,
        view=view,
        recipe=recipe,
        objects=[found[object_id] for object_id in view["objects"]],
        permitted=evidence.permitted.ids,
        people=vault["people"],
        identifiers=vault["identifiers"],
        earlier=_last_snapshot(tx, view, identity),
        drawn=drawn_for(
            _loaded(recipe), evidence.permitted.ids, vault["people"], dataset=dataset["id"], view=view["id"]
        ),
    )


def _last_snapshot(tx: Tx, view: Row, identity: str) -> list[str] | None:
    """Whom the last released state of this view counted: fewer people than a batch may not lie between two of them."""
    released = [row for row in tx.find("release", view_id=view["id"], outcome="permit") if row["core_view_id"]]
    others = sorted((row["requested_at"], row["core_view_id"]) for row in released if row["core_view_id"] != identity)
    if view["kind"] != "frequencies" or not others:
        return None
    return [row["participant_id"] for row in tx.find("core_member", core_view_id=others[-1][1])]


def _snapshot(plan: Plan, source: Row) -> dict[str, Any]:
    """The last snapshot's people by what this file calls them; one it no longer names counts as one who left."""
    if plan.earlier is None:
        return {}
    names = {person: plan.people.get(person, {}).get("samples", {}).get(source["id"]) for person in plan.earlier}
    return {"earlier": [name for person, known in names.items() for name in known or [person]]}


def _loaded(recipe: Mapping[str, Any]) -> Recipe:
    kept = {name: base64.b64decode(body) for name, body in recipe["files"].items()}
    return load_recipe(recipe["text"].encode(), files=kept.__getitem__)


def _assessed(tx: Tx, core_id: str) -> bool:
    core = tx.get("core_view", core_id)
    return core is not None and core["state"] == "assessed"


def _part(env: Env, plan: Plan, source: Row, name: str) -> tuple[dict[str, Any], Any]:
    spec = {
        "kind": plan.view["kind"],
        "recipe": plan.recipe["text"],
        "files": plan.recipe["files"],
        "participants": _participants(plan, source),
        **_snapshot(plan, source),
        **plan.drawn,
    }
    with ExitStack() as stack:
        raw = HashingReader(stack.enter_context(env.objects(plan.dataset["root"]).open(source["path"])))
        sink = HashingWriter(stack.enter_context(env.staging.create(plan.core_id, name)))
        report = env.sandbox(
            "deid.core", spec, inputs={"source": cast("BinaryIO", raw)}, outputs={"core": cast("BinaryIO", sink)}
        )
        raw.drain()
        if raw.hexdigest() != source["checksum"]:
            raise BadInput(f"{source['path']}: the file is not the one that was registered", code="source_changed")
        part = {"name": name, "digest": sink.hexdigest(), "size": sink.size}
    return part, report


def _participants(plan: Plan, source: Row) -> dict[str, str]:
    """What the file calls a permitted person -> internal code; several samples of one person in a file are refused."""
    if plan.view["kind"] == "table":
        return {plan.people[person]["source"]: person for person in plan.permitted}
    named: dict[str, str] = {}
    for person in plan.permitted:
        for sample in plan.people[person]["samples"].get(source["id"], ()):
            named[sample] = person
    if len(set(named.values())) != len(named):
        raise BadInput(f"{source['path']}: a participant has several samples in this file", code="several_samples")
    return named


def _assess(env: Env, plan: Plan, parts: Sequence[Mapping[str, Any]]) -> Assessed:
    spec = {"kind": plan.view["kind"], "recipe": plan.recipe["text"], "files": plan.recipe["files"]}
    measured, findings, partitions = [], 0, []
    for part in parts:
        with env.staging.open(plan.core_id, part["name"]) as core:
            found = env.sandbox("deid.assess", spec, inputs={"core": core}, outputs={})
        if (partition := found.pop("partition", None)) is not None:
            partitions.append(partition)
        measured.append(found)
        looking = {"name": part["name"], "identifiers": list(plan.identifiers)}
        with env.staging.open(plan.core_id, part["name"]) as core:
            findings += len(env.sandbox("deid.leakcheck", looking, inputs={"file": core}, outputs={})["findings"])
    risk = {**worst_of(measured), "clean": not findings, "findings": findings}
    return Assessed(risk=risk, partition=pack_partition(partitions))


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """The risk of a core view over all its files, and its people's classes where it is a table."""

    risk: Mapping[str, Any]
    partition: bytes | None


def worst_of(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One risk for a view of several files: of each number the one that protects least.

    Counts of what gives a person away (``_max``) and everything not named below grow with risk; k, l and the fewest
    people behind a count fall with it.
    Singletons of the same person in two files add up, so ``_max`` of genotypes is summed: an upper bound.
    """
    whole: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            known = whole.get(name)
            if known is None:
                whole[name] = value
            elif isinstance(value, Mapping):
                whole[name] = _worst_genomic(known, value) if name == "genomic" else {**known, **value}
            elif isinstance(value, (int, float)):
                whole[name] = (min if name in {"k", "l", "min_count"} else max)(known, value)
    return whole


def _worst_genomic(known: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    added = {name for name in other if name == "records" or name.endswith("_per_participant_max")}
    numbers = {name: known.get(name, 0) + other[name] for name in added}
    largest = {
        name: max(known.get(name, value), value)
        for name, value in other.items()
        if name not in added and isinstance(value, (int, float))
    }
    rest = {name: value for name, value in other.items() if name not in known}
    return {**known, **rest, **largest, **numbers}


def _freeze(
    env: Env, plan: Plan, parts: Sequence[Mapping[str, Any]], reports: Sequence[Any], assessed: Assessed
) -> None:
    def work(tx: Tx) -> None:
        row = {
            "id": plan.core_id,
            "custodian_id": plan.dataset["custodian_id"],
            "dataset_id": plan.dataset["id"],
            "view_id": plan.view["id"],
            "permitted_digest": digest(sorted(plan.permitted)),
            "parts": list(parts),
            "report": list(reports),
            "risk": dict(assessed.risk),
            "partition": assessed.partition,
            "state": "assessed",
            "assessed_at": stamp(env.clock.now()),
        }
        if tx.get("core_view", plan.core_id) is None:
            tx.insert("core_view", row)
            members = [{"core_view_id": plan.core_id, "participant_id": person} for person in plan.permitted]
            tx.insert("core_member", *members)
        else:
            tx.update("core_view", plan.core_id, **{key: row[key] for key in row if key != "id"})

    env.uow.run(work)


def _copy_inputs(tx: Tx, env: Env, row: Row) -> tuple[Row, Row, Row, dict[str, str]]:
    core, grant = tx.get("core_view", row["core_view_id"]), tx.get("access_grant", row["grant_id"])
    key = None if grant is None else tx.get("recipient_key", grant["encryption_key_id"])
    if core is None or grant is None or key is None:
        raise NotFound("core view, grant or key")
    if core["state"] != "assessed":
        raise Conflict("the core view is gone; the release starts again")
    version = env.keys.custodian_version(row["custodian_id"])
    scope = Scope(
        custodian=row["custodian_id"], dataset=row["dataset_id"], project=grant["project_id"], version=version
    )
    project_key = env.keys.derive(Purpose.PSEUDONYMS, scope)
    people = open_vault(tx, env, row["dataset_id"])["people"]
    members = [m["participant_id"] for m in tx.find("core_member", core_view_id=core["id"])]
    names = {person: pseudonym(project_key, bytes.fromhex(people[person]["secret"])) for person in members}
    view = tx.get("view", core["view_id"])
    if view is None:
        raise NotFound("view")
    return {**core, "key_version": version, "kind": view["kind"]}, grant, key, names


def _seal_part(
    env: Env, stored: str, core: Row, part: Mapping[str, Any], names: Mapping[str, str], reader: bytes
) -> dict[str, Any]:
    """Rewrite one part under the project's names into staging, then seal it; the plain copy is shredded at once."""
    name = f"{part['name']}.c4gh"
    try:
        with env.staging.open(core["id"], part["name"]) as source, env.staging.create(stored, part["name"]) as plain:
            spec = {"kind": core["kind"], "names": {} if core["kind"] == "frequencies" else dict(names)}
            env.sandbox("deid.copy", spec, inputs={"core": source}, outputs={"copy": plain})
        with env.staging.open(stored, part["name"]) as plain, env.copies.create(stored) as finished:
            sink = HashingWriter(finished)
            seal(plain, sink, readers=[reader], session_key=env.random.token(32), random=env.random)
    finally:
        env.staging.shred(stored)
    return {
        "name": name,
        "stored": stored,
        "size": sink.size,
        "etag": sink.hexdigest(),
        "key_version": core["key_version"],
    }
