"""Add a hospital's dataset: scan, read in the sandbox, check that everything fits together, store, have it confirmed.

Nothing is stored unless everything fits: each file is there and is what it says, each sample of a file stands in the
sheet, each consent belongs to a participant of the sheet. Labels are proposed; a second person confirms them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from gateway.accounts import require
from gateway.dataset_rows import MANIFEST, NewDataset, Source, new_people, store_dataset
from gateway.env import Actor, Env, Objects
from gateway.errors import BadInput, Conflict, NotAllowed, NotFound
from gateway.ports import Row, Tx
from gateway.record import put_fact
from gateway.reference import KIND as REFERENCE
from gateway.vault import open_vault
from policies.labels import propose

SIDE_FILES = (".bai", ".tbi", ".csi", ".crai", ".fai", ".md", ".yaml", ".yml")


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
    people = new_people(env, actor, source)
    dataset_id = env.new_id()

    def work(tx: Tx) -> None:
        owner, holder = (_institution(tx, source.manifest[key]) for key in ("owner", "holder"))
        if owner["id"] != actor.institution_id:
            raise NotAllowed("only the owner's own custodian adds its dataset", rules=("HGR-11",))
        if any(row["slug"] == source.manifest["dataset"] for row in tx.find("dataset", custodian_id=owner["id"])):
            raise Conflict("a dataset of that name is there already")
        objects = [{"id": env.new_id(), **entry} for entry in source.files]
        store_dataset(tx, env, NewDataset(dataset_id, owner, holder, actor, root, source, people, objects))

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
