"""Add a hospital's dataset: scan, read in the sandbox, check that everything fits together, store, have it confirmed.

Nothing is stored unless everything fits: each file is there and is what it says, each sample of a file stands in the
sheet, each consent belongs to a participant of the sheet. Labels are proposed; a second person confirms them.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deid.defaults import NAMES, default_file, default_recipe, default_text
from gateway.accounts import require
from gateway.canonical import digest
from gateway.consents import import_rows
from gateway.env import Actor, Env, Objects
from gateway.errors import BadInput, Conflict, NotAllowed, NotFound
from gateway.linkage import linkage_key
from gateway.ports import Row, Tx
from gateway.record import put_fact
from gateway.reference import KIND as REFERENCE
from gateway.vault import close_vault, open_vault
from policies.labels import propose

MANIFEST = "manifest.yaml"
MADE_FROM = {"frequencies": "vcf"}
"""Kinds that a recipe makes from files of another kind."""
SIDE_FILES = (".bai", ".tbi", ".csi", ".crai", ".fai", ".md", ".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A dataset as read and checked, before anything is stored."""

    manifest: dict[str, Any]
    sheet: list[dict[str, str]]
    consents: list[dict[str, str]]
    identifiers: list[dict[str, str]]
    files: list[dict[str, Any]]


def scan(env: Env, actor: Actor, root: str) -> dict[str, Any]:
    """What the files under ``root`` are, by content, with checksums, proposed labels, tiers and recipes."""
    require(actor, "custodian")
    objects = env.objects(root)
    found = []
    for path in objects.list():
        if path.lower().endswith(SIDE_FILES):
            continue
        with objects.open(path) as file:
            sniffed = env.sandbox("connectors.sniff", {"path": path}, inputs={"file": file}, outputs={})
        found.append({"path": path, "checksum": objects.checksum(path), **_summary(sniffed)})
    return {"files": found, "proposals": [_proposal(entry) for entry in found]}


def add(env: Env, actor: Actor, root: str) -> str:
    """Store the dataset described by ``root``/manifest.yaml in state ``draft``; its id."""
    require(actor, "custodian")
    source = read_source(env, root)
    if env.demo and source.manifest.get("synthetic") is not True:
        raise BadInput(
            f"{MANIFEST}: this is a demo home and takes made-up data only: say synthetic: true of such data; "
            "real data needs a home of its own (tongguan init)"
        )
    people = _people(env, actor, source)
    dataset_id = env.new_id()

    def work(tx: Tx) -> None:
        owner, holder = (_institution(tx, source.manifest[key]) for key in ("owner", "holder"))
        if owner["id"] != actor.institution_id:
            raise NotAllowed("only the owner's own custodian adds its dataset", rules=("HGR-11",))
        if any(row["slug"] == source.manifest["dataset"] for row in tx.find("dataset", custodian_id=owner["id"])):
            raise Conflict("a dataset of that name is there already")
        objects = [{"id": env.new_id(), **entry} for entry in source.files]
        _store(tx, env, _New(dataset_id, owner, holder, actor, root, source, people, objects))

    env.uow.run(work)
    return dataset_id


def confirm(env: Env, actor: Actor, dataset_id: str) -> None:
    """A steward of the owner, not the one who added it, confirms the dataset and the labels of its views."""
    require(actor, "steward")

    def work(tx: Tx) -> None:
        dataset = own_dataset(tx, actor, dataset_id)
        if dataset["added_by"] == actor.person_id:
            raise NotAllowed("a second person confirms the labels", rules=("GW-21",))
        if dataset["state"] != "draft":
            raise Conflict(f"the dataset is {dataset['state']}, not a draft")
        done = {"state": "confirmed", "confirmed_by": actor.person_id}
        put_fact(tx, env, "dataset", dataset_id, columns=done)
        for view in tx.find("view", dataset_id=dataset_id):
            put_fact(tx, env, "view", view["id"], columns=done)

    env.uow.run(work)


def catalogue(env: Env) -> list[dict[str, Any]]:
    """Confirmed datasets, for anybody; how many people is a word (invariant 14)."""

    def work(tx: Tx) -> list[dict[str, Any]]:
        return [_listed(tx, row) for row in tx.find("dataset", state="confirmed")]

    return env.uow.read(work)


def show(env: Env, actor: Actor, dataset_id: str) -> dict[str, Any]:
    """One dataset with its views; drafts only for their owner."""

    def work(tx: Tx) -> dict[str, Any]:
        dataset = tx.get("dataset", dataset_id)
        if dataset is None or (dataset["state"] != "confirmed" and dataset["custodian_id"] != actor.institution_id):
            raise NotFound("dataset")
        return _listed(tx, dataset)

    return env.uow.read(work)


def own_dataset(tx: Tx, actor: Actor, dataset_id: str) -> Row:
    """The dataset, if it belongs to the actor's institution."""
    dataset = tx.get("dataset", dataset_id)
    if dataset is None or dataset["custodian_id"] != actor.institution_id:
        raise NotFound("dataset")
    return dataset


def find_participant(tx: Tx, env: Env, dataset: Row, source_id: str) -> str:
    """The gateway's id of a participant by the custodian's own number."""
    for person, entry in open_vault(tx, env, dataset["id"])["people"].items():
        if entry["source"] == source_id:
            return str(person)
    raise NotFound("participant")


def read_source(env: Env, root: str) -> Source:
    """Read manifest, sheet, consent table, identifiers and every file's head in the sandbox, and check the joints."""
    objects = env.objects(root)

    def task(name: str, path: str, **spec: Any) -> Any:
        with objects.open(path) as file:
            return env.sandbox(f"connectors.{name}", {"path": path, **spec}, inputs={"file": file}, outputs={})

    manifest = task("manifest", MANIFEST)
    sheet = task("samples", manifest["samples"])["rows"]
    consents = task("consent", manifest["consent"])["rows"]
    named = manifest.get("identifiers")
    columns = [] if named is None else [named["participant"], *named["columns"]]
    identifiers = [] if named is None else task("columns", named["file"], columns=columns)["rows"]
    files = [_file(objects, entry, task("sniff", entry["path"])) for entry in manifest["files"]]
    source = Source(manifest=manifest, sheet=sheet, consents=consents, identifiers=identifiers, files=files)
    check_joints(source)
    return source


def check_joints(source: Source) -> None:
    """Everything names the same people; otherwise BadInput with the file and row, never the identifier."""
    manifest = source.manifest
    if sum(entry["kind"] == REFERENCE for entry in source.files) > 1:
        raise BadInput(f"{MANIFEST}: files: a dataset has one reference, the one its reads were aligned to")
    known = {row["participant"] for row in source.sheet}
    by_file: dict[str, set[str]] = defaultdict(set)
    for number, row in enumerate(source.sheet, 2):
        if row["sample"] in by_file[row["file"]]:
            raise BadInput(f"{manifest['samples']}: row {number}: this sample stands twice for its file")
        by_file[row["file"]].add(row["sample"])
    for number, row in enumerate(source.consents, 2):
        if row["participant"] not in known:
            raise BadInput(f"{manifest['consent']}: row {number}: a consent for a participant the sample sheet lacks")
    for entry in source.files:
        extra = set(entry["samples"]) - by_file[entry["path"]]
        absent = by_file[entry["path"]] - set(entry["samples"]) if entry["samples"] else set()
        if extra or absent:
            raise BadInput(
                f"{entry['path']}: {len(extra)} samples are not in {manifest['samples']}, and {len(absent)} of its "
                "samples are not in the file"
            )
    stray = by_file.keys() - {entry["path"] for entry in source.files}
    if stray:
        raise BadInput(f"{manifest['samples']}: names a file that the manifest lacks: {sorted(stray)[0]}")


@dataclass(frozen=True, slots=True)
class _New:
    dataset_id: str
    owner: Row
    holder: Row
    actor: Actor
    root: str
    source: Source
    people: Mapping[str, str]
    objects: Sequence[Mapping[str, Any]]


def _file(objects: Objects, entry: Mapping[str, Any], sniffed: Mapping[str, Any]) -> dict[str, Any]:
    path, checksum = entry["path"], objects.checksum(entry["path"])
    # A matrix is a table by its bytes; that its columns are people is what the manifest says.
    matrix = entry["kind"] == "matrix" and sniffed["form"] == "csv"
    if sniffed["kind"] != entry["kind"] and not matrix:
        raise BadInput(f"{path}: the manifest says {entry['kind']}, but the file holds {sniffed['kind']}")
    if entry.get("checksum", checksum) != checksum:
        raise BadInput(f"{path}: the checksum is not the one the manifest gives")
    size = objects.size(path)
    samples = sniffed["columns"][1:] if matrix else sniffed["samples"]
    return {"path": path, "kind": entry["kind"], "checksum": checksum, "size": size, "samples": samples}


def _people(env: Env, actor: Actor, source: Source) -> dict[str, str]:
    """Hospital number -> fresh random participant id; the custodian gets a key at the same time."""
    env.keys.add_custodian(actor.institution_id)
    return {row["participant"]: env.new_id() for row in source.sheet}


def _store(tx: Tx, env: Env, new: _New) -> None:
    custodian = new.owner["id"]
    paths = {entry["path"]: entry for entry in new.objects}
    tx.insert("data_object", *(_object_row(new, custodian, entry) for entry in new.objects))
    tx.insert("participant", *_participants(env, new, custodian))
    tx.insert("participant_vault", close_vault(env, custodian, new.dataset_id, _vault(env, new, paths)))
    content = digest(sorted((entry["path"], entry["checksum"]) for entry in new.objects))
    put_fact(
        tx,
        env,
        "dataset",
        new.dataset_id,
        custodian_id=custodian,
        scope=new.dataset_id,
        columns={
            "slug": new.source.manifest["dataset"],
            "title": new.source.manifest["title"],
            "owner_id": new.owner["id"],
            "holder_id": new.holder["id"],
            "responsible_person": new.source.manifest["responsible_person"],
            "manifest": {k: v for k, v in new.source.manifest.items() if k not in {"files", "views"}},
            "content_digest": content,
            "root": new.root,
            "participants": len(new.people),
            "added_by": new.actor.person_id,
            "state": "draft",
        },
    )
    for view in new.source.manifest["views"]:
        _store_view(tx, env, new, view, [paths[path]["id"] for path in view["files"]])
    terms = [(new.people[row["participant"]], row) for row in new.source.consents]
    rows = [(person, {k: v for k, v in row.items() if k != "participant"}) for person, row in terms]
    import_rows(tx, env, custodian_id=custodian, dataset_id=new.dataset_id, rows=rows)


def _store_view(tx: Tx, env: Env, new: _New, view: Mapping[str, Any], objects: Sequence[str]) -> None:
    kinds = {entry["kind"] for entry in new.objects if entry["id"] in objects}
    if REFERENCE in kinds:
        raise BadInput(f"{MANIFEST}: view {view['name']}: a reference is used to make views and is none")
    if len(kinds) != 1:
        raise BadInput(f"{MANIFEST}: view {view['name']}: its files are of different kinds")
    recipe, recipe_digest, kind = _recipe(view["recipe"], kinds.pop())
    label = propose(kind, assay=new.source.manifest["hgr"].get("category", ""))
    put_fact(
        tx,
        env,
        "view",
        env.new_id(),
        custodian_id=new.owner["id"],
        scope=new.dataset_id,
        columns={
            "dataset_id": new.dataset_id,
            "name": view["name"],
            "kind": kind,
            "tier": view["tier"],
            "recipe": recipe,
            "recipe_digest": recipe_digest,
            "objects": list(objects),
            "label": label,
            "labelled_by": new.actor.person_id,
            "state": "proposed",
        },
    )


def _recipe(name: str, kind: str) -> tuple[str, str, str]:
    """A stored recipe: its text and every file it names, as JSON; the digest of that closure and the code version;
    and the kind of what it makes."""
    if name == "none":
        return json.dumps(None), "", kind
    if name not in NAMES:
        raise BadInput(f"{MANIFEST}: recipe {str(name)[:60]} is not one of {', '.join(NAMES)}, none")
    loaded = default_recipe(name)
    if kind != MADE_FROM.get(loaded.kind, loaded.kind):
        raise BadInput(f"{MANIFEST}: recipe {name} is for {loaded.kind}, the view holds {kind}")
    closure = {file: base64.b64encode(default_file(file)).decode() for file in sorted(loaded.files)}
    return json.dumps({"text": default_text(name).decode(), "files": closure}), loaded.digest, loaded.kind


def _object_row(new: _New, custodian: str, entry: Mapping[str, Any]) -> Row:
    return {
        "id": entry["id"],
        "custodian_id": custodian,
        "dataset_id": new.dataset_id,
        "path": entry["path"],
        "kind": entry["kind"],
        "checksum": entry["checksum"],
        "size": entry["size"],
        "participants": len(entry["samples"]),
    }


def _participants(env: Env, new: _New, custodian: str) -> list[Row]:
    named = new.source.manifest.get("identifiers") or {}
    strongest = {row[named["participant"]]: row.get(named.get("strongest", ""), "") for row in new.source.identifiers}
    rows: list[Row] = []
    for source_id, person in new.people.items():
        # Without a strong identifier people of two datasets count as different (ARCHITECTURE section 5).
        identifier = strongest.get(source_id) or f"{new.dataset_id}/{source_id}"
        key = linkage_key(env.keys, custodian, identifier)
        rows.append({"id": person, "custodian_id": custodian, "dataset_id": new.dataset_id, "linkage": key})
    return rows


def _vault(env: Env, new: _New, paths: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    people: dict[str, dict[str, Any]] = {
        person: {"source": source_id, "secret": env.random.token(32).hex(), "samples": {}}
        for source_id, person in new.people.items()
    }
    for row in new.source.sheet:
        samples = people[new.people[row["participant"]]]["samples"]
        samples.setdefault(paths[row["file"]]["id"], []).append(row["sample"])
    values = {value for row in new.source.identifiers for value in row.values()}
    values |= {row["sample"] for row in new.source.sheet} | set(new.people)
    return {"people": people, "identifiers": sorted(value for value in values if value)}


def _institution(tx: Tx, name: str) -> Row:
    for row in tx.find("institution", state="active"):
        if name in (row["name"] or {}).values():
            return row
    raise BadInput(f"{MANIFEST}: the institution {name[:80]} is not known here; an operator enters it first")


def _summary(sniffed: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "form": sniffed["form"],
        "kind": sniffed["kind"],
        "container": sniffed["container"],
        "samples": len(sniffed["samples"]),
        "columns": sniffed["columns"],
        "findings": sniffed["findings"],
    }


def _proposal(entry: Mapping[str, Any]) -> dict[str, Any]:
    label = propose(entry["kind"])
    recipes = {"vcf": "cohort-vcf-controlled", "table": "phenotype-controlled"}
    return {"path": entry["path"], "label": label, "tier": label["tier"], "recipe": recipes.get(entry["kind"], "none")}


def _listed(tx: Tx, row: Row) -> dict[str, Any]:
    views = tx.find("view", dataset_id=row["id"])
    kept = ("id", "name", "kind", "tier", "label", "state")
    return {
        "id": row["id"],
        "slug": row["slug"],
        "title": row["title"],
        "state": row["state"],
        "data_use": row["manifest"].get("data_use", []),
        "diseases": row["manifest"].get("diseases", []),
        "people": _word(row["participants"]),
        "views": [{key: view[key] for key in kept} for view in views],
    }


def _word(people: int) -> str:
    return "few" if people < 50 else "some" if people < 1000 else "many"
