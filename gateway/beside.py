"""What the views of one audience give back of each other: alleles left out of variants that another view shows.

Looked at before a copy is made, for each other view the audience already holds of the same people, on the frozen core
views themselves; noted with the core view that is about to leave, where ``gateway.measured`` reads it. What cannot be
looked at any more (the other core view was shredded, what was sent stays sent) is noted as unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from gateway.env import Env
from gateway.evidence import release_rows
from gateway.hashing import HashingReader, prove_registered
from gateway.measured import UNKNOWN, held_cores, revealing
from gateway.ports import Row, Tx
from gateway.vault import open_vault

AT_ONCE = 50
"""Files of the other view given to one child."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One view whose alleles were left out (``hiding``) beside one that may show them, with what it was made from."""

    hiding: Row
    showing: Row
    kind: str
    root: str
    recipe: Mapping[str, Any]
    objects: Sequence[Row]
    people: Mapping[str, Mapping[str, Any]]
    members: Sequence[str]


def look_beside(env: Env, row: Row, core_id: str) -> None:
    """Note, with the core view, how many alleles it and each other view of the audience give back of one another."""
    known = {other: _given_back(env, looks) for other, looks in env.uow.read(lambda tx: _looks(tx, env, row, core_id))}
    if not known:
        return

    def work(tx: Tx) -> None:
        core = tx.get("core_view", core_id)
        if core is not None and core["risk"] is not None:
            beside = {**core["risk"].get("beside", {}), **known}
            tx.update("core_view", core_id, risk={**core["risk"], "beside": beside})

    env.uow.run(work)


def _looks(tx: Tx, env: Env, row: Row, core_id: str) -> list[tuple[str, list[_Look] | None]]:
    """For each other core view that was not looked at yet: both ways round, None where it is gone."""
    core, rows = tx.get("core_view", core_id), release_rows(tx, row)
    if core is None:
        return []
    done = (core["risk"] or {}).get("beside", {})
    others = [other for other in revealing(tx, core, held_cores(tx, rows, core)) if other["id"] not in done]
    found: list[tuple[str, list[_Look] | None]] = []
    for other in others:
        if other["state"] != "assessed":
            found.append((other["id"], None))
            continue
        both = (_look(tx, env, core, other), _look(tx, env, other, core))
        found.append((other["id"], [look for look in both if look is not None]))
    return found


def _look(tx: Tx, env: Env, hiding: Row, showing: Row) -> _Look | None:
    view, other, dataset = (
        tx.get("view", hiding["view_id"]),
        tx.get("view", showing["view_id"]),
        tx.get("dataset", hiding["dataset_id"]),
    )
    if view is None or other is None or dataset is None or view["kind"] != "vcf":
        return None
    found = {row["id"]: row for row in tx.find("data_object", dataset_id=dataset["id"])}
    return _Look(
        hiding=hiding,
        showing=showing,
        kind=other["kind"],
        root=dataset["root"],
        recipe=json.loads(view["recipe"]),
        objects=[found[object_id] for object_id in view["objects"]],
        people=open_vault(tx, env, dataset["id"])["people"],
        members=[member["participant_id"] for member in tx.find("core_member", core_view_id=hiding["id"])],
    )


def _given_back(env: Env, looks: Sequence[_Look] | None) -> int:
    if looks is None:
        return UNKNOWN
    return sum(_seen(env, look, source) for look in looks for source in look.objects)


def _seen(env: Env, look: _Look, source: Row) -> int:
    parts = look.showing["parts"]
    groups = [parts[at : at + AT_ONCE] for at in range(0, len(parts), AT_ONCE)]
    return sum(_of_parts(env, look, source, group) for group in groups)


def _of_parts(env: Env, look: _Look, source: Row, parts: Sequence[Mapping[str, Any]]) -> int:
    samples = {
        sample: person for person in look.members for sample in look.people[person]["samples"].get(source["id"], ())
    }
    spec = {"recipe": look.recipe["text"], "files": look.recipe["files"], "participants": samples, "shows": look.kind}
    with ExitStack() as stack:
        objects = env.objects(look.root)
        readers = {
            name: HashingReader(stack.enter_context(objects.open(source["path"]))) for name in ("source", "again")
        }
        others = {
            f"other{n}": stack.enter_context(env.staging.open(look.showing["id"], part["name"]))
            for n, part in enumerate(parts)
        }
        inputs = cast("Mapping[str, BinaryIO]", {**readers, **others})
        found = env.sandbox("deid.beside", spec, inputs=inputs, outputs={})
        for raw in readers.values():
            prove_registered(raw, source["path"], source["checksum"])
    return int(found["given_back"])
