"""Core view to one recipient's sealed copy: the project's own names, a new data key, sealed once to the grant's key.

The core view is rewritten under the project's pseudonyms into staging and sealed from there; the plain copy is shredded
at once. Of reads there is a file per person: their names are new under the project's key, reads of one place and the
files themselves stand in the order of the new names, and the copy's own bytes are leak-checked before they are sealed.
Where the source is a CRAM the copy is one, written against the dataset's reference, with an index made anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, BinaryIO

from gateway.assessing import leaks_of
from gateway.crypt4gh import read_public_key, seal
from gateway.env import Env
from gateway.errors import BadInput, Conflict, NotFound
from gateway.hashing import HashingWriter
from gateway.keys import Purpose, Scope
from gateway.keys.pseudonyms import pseudonym
from gateway.ports import Row, Tx
from gateway.reference import KIND as REFERENCE
from gateway.reference import opened_reference
from gateway.release_row import COPY_DAYS
from gateway.times import parse, stamp
from gateway.transform import ENDINGS, NAME_KEY
from gateway.vault import open_vault

CRAM = "cram"


def make_copy(env: Env, row: Row) -> str:
    """Write the project's copy, sealed, and its row in state ``sealed``; the copy's id, new on every attempt."""
    copy_id = env.new_id()
    core, grant, key = env.uow.read(lambda tx: _copy_inputs(tx, env, row))
    reader = read_public_key(key["public_key"].encode())
    files = _sealed(env, copy_id, core, reader)
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
    root: str
    reference: Row | None
    name_key: str = field(repr=False)
    identifiers: Sequence[str] = field(repr=False)


def _copy_inputs(tx: Tx, env: Env, row: Row) -> tuple[_Core, Row, Row]:
    core, grant = tx.get("core_view", row["core_view_id"]), tx.get("access_grant", row["grant_id"])
    key = None if grant is None else tx.get("recipient_key", grant["encryption_key_id"])
    if core is None or grant is None or key is None:
        raise NotFound("core view, grant or key")
    if core["state"] != "assessed":
        raise Conflict("the core view is gone; the release starts again")
    view, dataset = tx.get("view", core["view_id"]), tx.get("dataset", row["dataset_id"])
    if view is None or dataset is None:
        raise NotFound("view or dataset")
    references = tx.find("data_object", dataset_id=row["dataset_id"], kind=REFERENCE)
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
        root=dataset["root"],
        reference=references[0] if references and any(map(_is_cram, core["parts"])) else None,
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
        yield part, f"{core.view}.{number}.{CRAM if _is_cram(part) else ENDINGS[core.kind]}"


def _is_cram(part: Mapping[str, Any]) -> bool:
    """Whether a file of a core view was made from a CRAM."""
    return part.get("form") == CRAM


def _copy_spec(core: _Core, part: Mapping[str, Any]) -> dict[str, Any]:
    if core.kind == "reads":
        names = {person: core.names[person] for person in part["people"]}
        options = {"options": {"form": CRAM}} if _is_cram(part) else {}
        return {"kind": core.kind, "names": names, "key": core.name_key, **options}
    return {"kind": core.kind, "names": {} if core.kind == "frequencies" else dict(core.names)}


def _sealed(env: Env, copy_id: str, core: _Core, reader: bytes) -> list[dict[str, Any]]:
    """Every file of the copy, sealed; the index of a CRAM stands behind it."""
    made = []
    with opened_reference(env, core.root, core.reference) as reference:
        for number, (part, name) in enumerate(_in_order(core), 1):
            making = _Making(stored=f"{copy_id}-{number}", core=core, part=part, name=name, reference=reference)
            try:
                _rewrite(env, making)
                made += [_seal(env, making, one, reader) for one in making.names]
            finally:
                env.staging.shred(making.stored)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    """One part of a core view on its way into a copy; ``stored`` owns it in staging."""

    stored: str
    core: _Core
    part: Mapping[str, Any]
    name: str
    reference: Mapping[str, BinaryIO]

    @property
    def names(self) -> Sequence[str]:
        """The file and, behind a CRAM, its index."""
        return (self.name, f"{self.name}.crai") if _is_cram(self.part) else (self.name,)


def _rewrite(env: Env, making: _Making) -> None:
    """The part under the project's names into staging; of reads its own bytes are searched once more."""
    core, part = making.core, making.part
    with ExitStack() as stack:
        source = stack.enter_context(env.staging.open(core.id, part["name"]))
        sinks = [stack.enter_context(env.staging.create(making.stored, name)) for name in making.names]
        outputs = dict(zip(("copy", "index"), sinks, strict=False))
        inputs = {"core": source, **(making.reference if _is_cram(part) else {})}
        env.sandbox("deid.copy", _copy_spec(core, part), inputs=inputs, outputs=outputs)
    for name in making.names:
        if core.kind == "reads" and leaks_of(env, making.stored, name, core.identifiers):
            raise BadInput(f"{name}: the copy holds an identifier of the source or of the house", code="copy_not_clean")


def _seal(env: Env, making: _Making, name: str, reader: bytes) -> dict[str, Any]:
    stored = making.stored if name == making.name else f"{making.stored}-index"
    with env.staging.open(making.stored, name) as plain, env.copies.create(stored) as finished:
        sink = HashingWriter(finished)
        seal(plain, sink, readers=[reader], session_key=env.random.token(32), random=env.random)
    return {
        "name": f"{name}.c4gh",
        "stored": stored,
        "size": sink.size,
        "etag": sink.hexdigest(),
        "key_version": making.core.key_version,
    }
