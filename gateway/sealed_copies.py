"""Core view to one recipient's sealed copy: the project's own names, a new data key, sealed once to the grant's key.

The core view is rewritten under the project's pseudonyms into staging and sealed from there; the plain copy is shredded
at once. Of reads there is a file per person: their names are new under the project's key, reads of one place and the
files themselves stand in the order of the new names, and the copy's own bytes are leak-checked before they are sealed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from gateway.assessing import leaks_of
from gateway.crypt4gh import read_public_key, seal
from gateway.env import Env
from gateway.errors import BadInput, Conflict, NotFound
from gateway.hashing import HashingWriter
from gateway.keys import Purpose, Scope
from gateway.keys.pseudonyms import pseudonym
from gateway.ports import Row, Tx
from gateway.release_row import COPY_DAYS
from gateway.times import parse, stamp
from gateway.transform import ENDINGS, NAME_KEY
from gateway.vault import open_vault


def make_copy(env: Env, row: Row) -> str:
    """Write the project's copy, sealed, and its row in state ``sealed``; the copy's id, new on every attempt."""
    copy_id = env.new_id()
    core, grant, key = env.uow.read(lambda tx: _copy_inputs(tx, env, row))
    reader = read_public_key(key["public_key"].encode())
    files = [_seal_part(env, f"{copy_id}-{n}", core, part, reader) for n, part in enumerate(_in_order(core), 1)]
    expires = min(parse(grant["valid_to"]), env.clock.now() + timedelta(days=COPY_DAYS))

    def work(tx: Tx) -> None:
        tx.insert(
            "copy",
            {
                "id": copy_id,
                "custodian_id": row["custodian_id"],
                "release_id": row["id"],
                "core_view_id": core.id,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Core:
    """A core view as one project is given it: its files, the names and the key of its read names, what must be gone."""

    id: str
    kind: str
    view: str
    parts: Sequence[Mapping[str, Any]]
    key_version: int
    names: Mapping[str, str] = field(repr=False)
    name_key: str = field(repr=False)
    identifiers: Sequence[str] = field(repr=False)


def _copy_inputs(tx: Tx, env: Env, row: Row) -> tuple[_Core, Row, Row]:
    core, grant = tx.get("core_view", row["core_view_id"]), tx.get("access_grant", row["grant_id"])
    key = None if grant is None else tx.get("recipient_key", grant["encryption_key_id"])
    if core is None or grant is None or key is None:
        raise NotFound("core view, grant or key")
    if core["state"] != "assessed":
        raise Conflict("the core view is gone; the release starts again")
    view = tx.get("view", core["view_id"])
    if view is None:
        raise NotFound("view")
    version = env.keys.custodian_version(row["custodian_id"])
    scope = Scope(
        custodian=row["custodian_id"], dataset=row["dataset_id"], project=grant["project_id"], version=version
    )
    project_key = env.keys.derive(Purpose.PSEUDONYMS, scope)
    vault = open_vault(tx, env, row["dataset_id"])
    people = vault["people"]
    members = [m["participant_id"] for m in tx.find("core_member", core_view_id=core["id"])]
    made = _Core(
        id=core["id"],
        kind=view["kind"],
        view=view["name"],
        parts=core["parts"],
        key_version=version,
        names={person: pseudonym(project_key, bytes.fromhex(people[person]["secret"])) for person in members},
        name_key=env.keys.derive(Purpose.READ_NAMES, scope)[:NAME_KEY].hex(),
        identifiers=[*vault["identifiers"], *members],
    )
    return made, grant, key


def _in_order(core: _Core) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The files with the names they leave under. Of reads, by the new names of whom they hold: the source's order,
    which every recipient would share, says who is who."""
    if core.kind != "reads":
        yield from ((part, part["name"]) for part in core.parts)
        return
    ordered = sorted(core.parts, key=lambda part: sorted(core.names[person] for person in part["people"]))
    for number, part in enumerate(ordered, 1):
        yield part, f"{core.view}.{number}.{ENDINGS[core.kind]}"


def _copy_spec(core: _Core, part: Mapping[str, Any]) -> dict[str, Any]:
    if core.kind == "reads":
        names = {person: core.names[person] for person in part["people"]}
        return {"kind": core.kind, "names": names, "key": core.name_key}
    return {"kind": core.kind, "names": {} if core.kind == "frequencies" else dict(core.names)}


def _seal_part(
    env: Env, stored: str, core: _Core, renamed: tuple[Mapping[str, Any], str], reader: bytes
) -> dict[str, Any]:
    """Rewrite one part under the project's names into staging, then seal it; the plain copy is shredded at once."""
    part, name = renamed
    try:
        with env.staging.open(core.id, part["name"]) as source, env.staging.create(stored, name) as plain:
            env.sandbox("deid.copy", _copy_spec(core, part), inputs={"core": source}, outputs={"copy": plain})
        if core.kind == "reads" and leaks_of(env, stored, name, core.identifiers):
            raise BadInput(f"{name}: the copy holds an identifier of the source or of the house", code="copy_not_clean")
        with env.staging.open(stored, name) as plain, env.copies.create(stored) as finished:
            sink = HashingWriter(finished)
            seal(plain, sink, readers=[reader], session_key=env.random.token(32), random=env.random)
    finally:
        env.staging.shred(stored)
    return {
        "name": f"{name}.c4gh",
        "stored": stored,
        "size": sink.size,
        "etag": sink.hexdigest(),
        "key_version": core.key_version,
    }
