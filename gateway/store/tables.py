"""Every table, in the order a story meets them.

Two kinds. *Fact* tables hold what decisions rely on; each row carries the salt of its commitment and the ledger entry
it cites, and its ``scope`` names the one thing it is about, so that all facts of a release can be read and compared
with the log. *Plain* tables hold work in progress, personal accounts and the outbox.

Ids are random 128-bit hex. Times are RFC 3339 text in UTC. ``custodian_id`` leads every key that belongs to a hospital.
Nothing is derived from a source id; nothing personal stands in clear outside ``account``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy import UniqueConstraint as Unique

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

FACT_COLUMNS = frozenset({"version", "salt", "entry_id", "leaf_hash"})
"""Columns of a fact row that speak about its leaf, not about the fact, and so stay out of the commitment."""


def _later(column: Column[Any], migration: str) -> Column[Any]:
    """A column that a fact table got by a later migration: rows written before it have leaves that do not name it."""
    column.info["migration"] = migration
    return column


def _id(name: str = "id", *, primary: bool = False) -> Column[str]:
    return Column(name, String(64), primary_key=primary, nullable=False)


def _ref(name: str) -> Column[str]:
    return Column(name, String(64), nullable=True, index=True)


def _text(name: str, *, index: bool = False) -> Column[str]:
    return Column(name, Text, nullable=True, index=index)


def _json(name: str) -> Column[Any]:
    return Column(name, JSON, nullable=True)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, default=0)


def _two_persons() -> tuple[Column[Any], ...]:
    return _ref("proposed_by"), _ref("confirmed_by"), _text("state")


def _fact(name: str, *columns: Column[Any]) -> Table:
    return Table(
        name,
        metadata,
        _id(primary=True),
        _id("custodian_id"),
        Column("scope", String(64), nullable=False, index=True),
        *columns,
        Column("version", Integer, nullable=False),
        Column("salt", LargeBinary, nullable=False),
        _id("entry_id"),
        Column("leaf_hash", LargeBinary, nullable=False),
        info={"fact": True},
    )


def _plain(name: str, *columns: Any) -> Table:
    return Table(name, metadata, *columns)


# People and institutions ------------------------------------------------------------------------------------------
institution = _fact(
    "institution", _json("name"), _text("place"), _text("city"), _text("kind"), _json("control"), *_two_persons()
)
person = _fact(
    "person",
    _ref("institution_id"),
    _text("unit"),
    _text("foreign_individual"),
    _text("natural_person"),
    *_two_persons(),
)
role = _fact("role", _ref("person_id"), _text("role"), _text("unit"), *_two_persons())
recipient_key = _fact(
    "recipient_key", _ref("person_id"), _text("kind"), _text("public_key"), _text("proved_at"), _text("state")
)
account = _plain(
    "account",
    _id(primary=True),
    Column("login", String(128), nullable=False, unique=True),
    _text("name"),
    _text("password_hash"),
    _text("created_at"),
)
session = _plain(
    "session",
    _id(primary=True),
    _ref("person_id"),
    _text("created_at"),
    _text("expires_at"),
    _text("ended_at"),
    _text("place_of_access"),
)
token = _plain(
    "token",
    _id(primary=True),
    _ref("person_id"),
    _ref("session_id"),
    _json("scopes"),
    _text("issued_at"),
    _text("expires_at"),
)
challenge = _plain("challenge", _id(primary=True), _ref("person_id"), _json("body"), _text("expires_at"))

# The rules that judge ----------------------------------------------------------------------------------------------
policy_activation = _fact(
    "policy_activation",
    _text("policy_version"),
    _json("packs"),
    _text("proposed_at"),
    _text("confirmed_at"),
    *_two_persons(),
)
policy_sign_off = _fact(
    "policy_sign_off",
    _text("rule"),
    _text("digest"),
    _ref("person_id"),
    _text("reason"),
    _text("signed_at"),
    _text("state"),
)

# Datasets ---------------------------------------------------------------------------------------------------------
dataset = _fact(
    "dataset",
    _text("slug"),
    _json("title"),
    _ref("owner_id"),
    _ref("holder_id"),
    _text("responsible_person"),
    _json("manifest"),
    _text("content_digest"),
    _text("root"),
    _count("participants"),
    _ref("added_by"),
    _ref("confirmed_by"),
    _text("state"),
)
view = _fact(
    "view",
    _ref("dataset_id"),
    _text("name"),
    _text("kind"),
    _text("tier"),
    _text("recipe"),
    _text("recipe_digest"),
    _json("objects"),
    _json("label"),
    _ref("labelled_by"),
    _ref("confirmed_by"),
    _text("state"),
)
consent_set = _fact("consent_set", _ref("dataset_id"), _text("digest"), _count("rows"))
data_object = _plain(
    "data_object",
    _id(primary=True),
    _id("custodian_id"),
    _ref("dataset_id"),
    _text("path"),
    _text("kind"),
    _text("checksum"),
    _count("size"),
    _count("participants"),
)
participant = _plain(
    "participant",
    _id(primary=True),
    _id("custodian_id"),
    _ref("dataset_id"),
    Column("linkage", String(64), nullable=False, index=True),
)
participant_vault = _plain(
    "participant_vault", _id(primary=True), _id("custodian_id"), Column("blob", LargeBinary, nullable=False)
)
consent = _plain(
    "consent",
    _id(primary=True),
    _id("custodian_id"),
    _ref("dataset_id"),
    _json("terms"),
    _text("withdrawn_recorded_at"),
    Column("salt", LargeBinary, nullable=False),
    Column("row_hash", LargeBinary, nullable=False),
)

# Applications -----------------------------------------------------------------------------------------------------
application = _fact(
    "application",
    _text("number"),
    _ref("applicant_id"),
    _ref("institution_id"),
    _ref("project_id"),
    _json("purpose"),
    _json("evidence"),
    _text("submitted_at"),
)
item = _fact(
    "item",
    _ref("application_id"),
    _ref("dataset_id"),
    _json("views"),
    _ref("package_id"),
    _later(_text("note"), "0004"),
    _text("state"),
)
approval = _fact(
    "approval",
    _ref("item_id"),
    _ref("person_id"),
    _text("unit"),
    _text("act"),
    _text("digest"),
    _text("given_at"),
    _text("state"),
    _later(_ref("giver_id"), "0005"),
    _later(_text("reason"), "0005"),
)
delegation = _fact(
    "delegation",
    _ref("item_id"),
    _ref("giver_id"),
    _ref("to_id"),
    _text("role"),
    _text("first_day"),
    _text("last_day"),
    _text("state"),
)
package = _fact("package", _ref("item_id"), _json("parts"), _text("digest"), _count("people"), _text("frozen_at"))
filing = _fact(
    "filing",
    _ref("dataset_id"),
    _ref("item_id"),
    _text("kind"),
    _text("number"),
    _ref("recipient_id"),
    _ref("recorded_by"),
    _json("terms"),
    _text("state"),
)
access_grant = _fact(
    "access_grant",
    _ref("item_id"),
    _ref("application_id"),
    _ref("dataset_id"),
    _ref("project_id"),
    _ref("recipient_id"),
    _ref("person_id"),
    _ref("encryption_key_id"),
    _ref("signing_key_id"),
    _json("quotas"),
    _text("valid_from"),
    _text("valid_to"),
    _ref("granted_by"),
    _later(_text("granted_as"), "0004"),
    _text("state"),
)

# Releases ---------------------------------------------------------------------------------------------------------
release = _plain(
    "release",
    _id(primary=True),
    _id("custodian_id"),
    _ref("item_id"),
    _ref("dataset_id"),
    _ref("view_id"),
    _ref("requester_id"),
    _ref("grant_id"),
    _text("action"),
    _ref("key_id"),
    _text("place_of_access"),
    Column("state", String(32), nullable=False, index=True),
    _text("outcome"),
    _json("decision"),
    _json("epochs"),
    _count("attempt"),
    _ref("core_view_id"),
    _ref("copy_id"),
    _ref("opened_entry"),
    _ref("closed_entry"),
    _ref("successor_id"),
    _text("trouble"),
    _text("requested_at"),
    _text("updated_at"),
)
core_view = _plain(
    "core_view",
    _id(primary=True),
    _id("custodian_id"),
    _ref("dataset_id"),
    _ref("view_id"),
    _text("permitted_digest"),
    _json("parts"),
    _json("report"),
    _json("risk"),
    Column("partition", LargeBinary),
    Column("state", String(32), nullable=False, index=True),
    _text("assessed_at"),
)
core_member = _plain(
    "core_member",
    Column("core_view_id", String(64), primary_key=True),
    Column("participant_id", String(64), primary_key=True, index=True),
)
copy = _plain(
    "copy",
    _id(primary=True),
    _id("custodian_id"),
    _ref("release_id"),
    _ref("core_view_id"),
    _ref("project_id"),
    _ref("key_id"),
    _json("files"),
    Column("state", String(32), nullable=False, index=True),
    _text("killed_because"),
    _text("expires_at"),
)
counted = _plain(
    "counted",
    _id(primary=True),
    _id("custodian_id"),
    Column("counter", String(64), nullable=False),
    Column("linkage", String(64), nullable=False),
    _ref("release_id"),
    _text("state"),
    Unique("custodian_id", "counter", "linkage"),
    Index("ix_counted_custodian_counter", "custodian_id", "counter"),
)
quota_use = _plain("quota_use", _id(primary=True), _ref("grant_id"), _ref("release_id"), _text("state"))
handover = _plain(
    "handover",
    _id(primary=True),
    _id("custodian_id"),
    _ref("release_id"),
    _ref("copy_id"),
    _ref("person_id"),
    _text("file"),
    _count("charged"),
    _json("spans"),
    _text("opened_at"),
    Column("state", String(32), nullable=False, index=True),
)
notice = _plain("notice", _id(primary=True), _ref("person_id"), _text("kind"), _json("body"), _text("at"))

# Ledger and clockwork ---------------------------------------------------------------------------------------------
outbox = _plain(
    "outbox",
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("entry_id", String(64), nullable=False, unique=True),
    _text("kind"),
    _text("type"),
    _id("custodian_id"),
    _ref("about"),
    Column("body", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Column("position", BigInteger, nullable=True, unique=True),
    _text("at"),
    # The log that the entry belongs to; empty is the first one. Positions count on from log to log.
    _text("origin"),
)
disclosure = _plain(
    "disclosure",
    _id(primary=True),
    _ref("entry_id"),
    _text("field"),
    Column("salt", LargeBinary, nullable=False),
    _json("value"),
)
log_state = _plain(
    "log_state",
    _id(primary=True),
    _count("size"),
    Column("root", LargeBinary, nullable=False),
    _text("updated_at"),
    Column("number", Integer, nullable=True),
    Column("start", BigInteger, nullable=True),
    _text("state"),
)
lease = _plain("lease", _id(primary=True), _text("holder"), _text("until"))
epoch = _plain("epoch", Column("id", String(128), primary_key=True), _count("value"))

FACT_TABLES = tuple(sorted(name for name, table in metadata.tables.items() if table.info.get("fact")))


def fact_columns(table: str) -> tuple[str, ...]:
    """The columns of a fact table that its commitment covers, in order."""
    return tuple(column.name for column in metadata.tables[table].columns if column.name not in FACT_COLUMNS)


def fact_shapes(table: str, row: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """The columns that the leaf of this row may cover: all of them, or, where every column of a later migration is
    empty, those of before it. A value in a column that the leaf does not name fits no shape."""
    columns = [metadata.tables[table].columns[name] for name in fact_columns(table)]
    shapes = [tuple(column.name for column in columns)]
    for migration in sorted({column.info["migration"] for column in columns if "migration" in column.info}):
        later = {column.name for column in columns if column.info.get("migration", "") >= migration}
        if all(row[name] is None for name in later):
            shapes.append(tuple(name for name in shapes[0] if name not in later))
    return tuple(shapes)
