"""Source to core view. Parsing happens in children without keys or network.

The core view is a function of (dataset content, recipe closure, permitted set) and carries that as its id; it is
measured and leak-checked on its very bytes, then frozen, encrypted at rest and never handed out. Of reads there is a
file per source with somebody permitted in it, a BAM whatever the source is; which it is stays with it, for a copy of a
CRAM leaves as CRAM. Not here: a recipient's copy (``gateway.sealed_copies``).
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from deid.recipe import Recipe, load_recipe
from gateway.assessing import Assessed, Measuring, assess
from gateway.canonical import digest
from gateway.draws import drawn_for
from gateway.env import Env
from gateway.errors import BadInput
from gateway.evidence import Evidence, gather
from gateway.hashing import HashingReader, HashingWriter, prove_registered
from gateway.keys import Purpose, Scope
from gateway.ports import Row, Tx
from gateway.reference import KIND as REFERENCE
from gateway.reference import REMEDY, opened_reference
from gateway.times import stamp
from gateway.vault import open_vault

ENDINGS = {"vcf": "vcf.gz", "table": "parquet", "matrix": "tsv.gz", "frequencies": "vcf.gz", "reads": "bam"}
"""Kinds that can be released, and how their files end; any other is refused with its name."""
NAME_KEY = 16
"""Bytes of a key that reads are named with."""


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
    reference: Row | None


def prepare_core_view(env: Env, row: Row) -> str:
    """The id of an assessed core view for this row; an equal one is used again. BadInput when the source is unfit."""
    plan = env.uow.read(lambda tx: _plan(tx, env, gather(tx, env, row, measured=False)))
    if env.uow.read(lambda tx: _assessed(tx, plan.core_id)):
        return plan.core_id
    env.staging.shred(plan.core_id)
    sources = _sources(plan)
    with opened_reference(env, plan.dataset["root"], plan.reference) as reference:
        parts, reports = [], []
        for number, source in enumerate(sources, 1):
            name = f"{plan.view['name']}.{number}.{ENDINGS[plan.view['kind']]}"
            part, report = _part(env, _Source(plan=plan, row=source, name=name, reference=reference))
            parts.append(part)
            reports.append(report)
        env.reached("core-made")
        assessed = assess(env, _measuring(plan, reference), parts)
    _freeze(env, plan, parts, reports, assessed)
    return plan.core_id


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
    references = [row for row in found.values() if row["kind"] == REFERENCE and view["kind"] == "reads"]
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
        reference=references[0] if references else None,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One source file on its way into the core view."""

    plan: Plan
    row: Row
    name: str
    reference: Mapping[str, BinaryIO]


def _sources(plan: Plan) -> list[Row]:
    """The files to read: of reads those with somebody permitted, whoever else stands in the dataset.

    Raises BadInput where nobody is, and where the recipe needs a reference that the dataset has not.
    """
    if plan.view["kind"] != "reads":
        return list(plan.objects)
    if plan.reference is None and any("reference-substituted" in step for step in _loaded(plan.recipe).steps):
        raise BadInput(f"{plan.view['name']}: this view needs a reference; {REMEDY}", code="no_reference")
    sources = [source for source in plan.objects if _participants(plan, source)]
    if not sources:
        raise BadInput(f"{plan.view['name']}: nobody permitted has reads in its files", code="no_participants")
    return sources


def _part(env: Env, source: _Source) -> tuple[dict[str, Any], Any]:
    plan, row, people = source.plan, source.row, _participants(source.plan, source.row)
    spec = {**_recipe_spec(plan), "participants": people, **_snapshot(plan, row), **plan.drawn, **_name_key(env, plan)}
    objects = env.objects(plan.dataset["root"])
    with ExitStack() as stack:
        passes = ("source", "again") if _is_read_twice(plan) else ("source",)
        readers = {name: HashingReader(stack.enter_context(objects.open(row["path"]))) for name in passes}
        sink = HashingWriter(stack.enter_context(env.staging.create(plan.core_id, source.name)))
        inputs = cast("Mapping[str, BinaryIO]", {**readers, **source.reference})
        report = _made(env, spec, inputs, cast("BinaryIO", sink))
        for raw in readers.values():
            prove_registered(raw, row["path"], row["checksum"])
    part = {"name": source.name, "digest": sink.hexdigest(), "size": sink.size}
    if plan.view["kind"] == "reads":
        part["people"] = sorted(set(people.values()))
        part["form"] = report["input"]["form"]
    if plan.reference is not None:
        report["reference"] = f"sha256:{plan.reference['checksum']}"
    return part, report


def _made(env: Env, spec: Mapping[str, Any], inputs: Mapping[str, BinaryIO], sink: BinaryIO) -> Any:
    try:
        return env.sandbox("deid.core", spec, inputs=inputs, outputs={"core": sink})
    except BadInput as error:
        if error.code not in {"no_reference", "reference_missing", "reference_differs"}:
            raise
        raise BadInput(f"{error}; {REMEDY}", code=error.code) from None


def _recipe_spec(plan: Plan) -> dict[str, Any]:
    return {"kind": plan.view["kind"], "recipe": plan.recipe["text"], "files": plan.recipe["files"]}


def _is_read_twice(plan: Plan) -> bool:
    """Reads under a mask: which names touch it is known only at the end of the file."""
    return plan.view["kind"] == "reads" and any("mask" in step for step in _loaded(plan.recipe).steps)


def _name_key(env: Env, plan: Plan) -> dict[str, str]:
    """What reads are named with in this core view: the custodian's own key bound to the view, so that a core view made
    anew is the same to the byte."""
    if plan.view["kind"] != "reads":
        return {}
    custodian = plan.dataset["custodian_id"]
    version = env.keys.custodian_version(custodian)
    scope = Scope(custodian=custodian, dataset=plan.dataset["id"], project=None, version=version)
    key = env.keys.derive(Purpose.READ_NAMES, scope)
    return {"key": hmac.digest(key, plan.core_id.encode(), "sha256")[:NAME_KEY].hex()}


def _measuring(plan: Plan, reference: Mapping[str, BinaryIO]) -> Measuring:
    return Measuring(core_id=plan.core_id, spec=_recipe_spec(plan), identifiers=plan.identifiers, reference=reference)


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
            people = {person for part in parts for person in part.get("people", plan.permitted)}
            members = [{"core_view_id": plan.core_id, "participant_id": person} for person in sorted(people)]
            tx.insert("core_member", *members)
        else:
            tx.update("core_view", plan.core_id, **{key: row[key] for key in row if key != "id"})

    env.uow.run(work)
