"""The rows of a dataset that fits: objects, participants, vault, views with their recipes, consents. One transaction.

Nothing is decided here: what is stored was read and checked by ``gateway.datasets``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deid.defaults import NAMES, default_file, default_recipe, default_text
from gateway.canonical import digest
from gateway.consents import import_rows
from gateway.env import Actor, Env
from gateway.errors import BadInput
from gateway.linkage import linkage_key
from gateway.ports import Row, Tx
from gateway.record import put_fact
from gateway.reference import KIND as REFERENCE
from gateway.vault import close_vault
from policies.labels import propose

MANIFEST = "manifest.yaml"
MADE_FROM = {"frequencies": "vcf"}
"""Kinds that a recipe makes from files of another kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A dataset as read and checked, before anything is stored."""

    manifest: dict[str, Any]
    sheet: list[dict[str, str]]
    consents: list[dict[str, str]]
    identifiers: list[dict[str, str]]
    files: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class NewDataset:
    """A dataset on its way into the database; ``people`` gives each hospital number its participant id."""

    dataset_id: str
    owner: Row
    holder: Row
    actor: Actor
    root: str
    source: Source
    people: Mapping[str, str]
    objects: Sequence[Mapping[str, Any]]


def new_people(env: Env, actor: Actor, source: Source) -> dict[str, str]:
    """Hospital number -> fresh random participant id; the custodian gets a key at the same time."""
    env.keys.add_custodian(actor.institution_id)
    return {row["participant"]: env.new_id() for row in source.sheet}


def store_dataset(tx: Tx, env: Env, new: NewDataset) -> None:
    """Every row of it, and the facts' entries."""
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


def _store_view(tx: Tx, env: Env, new: NewDataset, view: Mapping[str, Any], objects: Sequence[str]) -> None:
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


def _object_row(new: NewDataset, custodian: str, entry: Mapping[str, Any]) -> Row:
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


def _participants(env: Env, new: NewDataset, custodian: str) -> list[Row]:
    named = new.source.manifest.get("identifiers") or {}
    strongest = {row[named["participant"]]: row.get(named.get("strongest", ""), "") for row in new.source.identifiers}
    rows: list[Row] = []
    for source_id, person in new.people.items():
        # Without a strong identifier people of two datasets count as different (ARCHITECTURE section 5).
        identifier = strongest.get(source_id) or f"{new.dataset_id}/{source_id}"
        key = linkage_key(env.keys, custodian, identifier)
        rows.append({"id": person, "custodian_id": custodian, "dataset_id": new.dataset_id, "linkage": key})
    return rows


def _vault(env: Env, new: NewDataset, paths: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
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
