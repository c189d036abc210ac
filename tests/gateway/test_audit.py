"""``ledger audit --db``: whatever is changed in the database behind the gateway's back is found and named."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from typer.testing import CliRunner

from gateway import applications
from gateway.audit import DatabaseAudit
from gateway.cli.app import app
from gateway.record import record_refused_act
from gateway.release import advance, request_release
from gateway.store.tables import FACT_TABLES, fact_columns, metadata
from tests.world import World, audited, make_world

PLAIN = ("outbox", "disclosure", "log_state", "consent")
OWN_TIMES = {
    "log_state": {"updated_at"}, "consent": {"custodian_id"}, "outbox": {"seq", "about"}, "disclosure": {"id"},
}  # fmt: skip
"""Columns that nothing is decided by and that the log does not speak of."""


def audit(world: World) -> DatabaseAudit:
    return audited(world.env, world.settings.home)


def released(world: World) -> str:
    row = request_release(
        world.env, world.people["researcher"], item_id=world.ids["item"], view_id=world.views["variants"]
    )
    return str(advance(world.env, row["id"])["id"])


def execute(world: World, statement: str, **values: Any) -> None:
    """What an insider with the database's password does: no use case, no event."""
    with world.env.uow.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.execute(text(statement), values)


def test_an_honest_house_is_proven(any_world: World) -> None:
    released(any_world)
    found = audit(any_world)
    assert found.wrong == ()
    assert found.rows > 30
    assert found.pending == 0


def test_a_fact_that_is_committed_and_not_published_is_pending_and_not_wrong(world: World) -> None:
    from gateway.record import put_fact

    world.env.ledger.sync()
    person = world.people["researcher"].person_id
    world.env.uow.run(lambda tx: put_fact(tx, world.env, "person", person, columns={"unit": "moved"}))
    found = audit(world)
    assert (found.wrong, found.pending) == ((), 1)
    execute(world, "UPDATE person SET unit = 'elsewhere' WHERE id = :id", id=person)
    assert audit(world).wrong == (f"person:{person}",)


@pytest.mark.parametrize("table", ["access_grant", "approval", "role", "filing"])
def test_a_row_deleted_or_invented_is_named(world: World, table: str) -> None:
    world.env.ledger.sync()
    row = world.env.uow.read(lambda tx: tx.find(table))[0]
    execute(world, insert_with(table, "id"), id=row["id"])
    assert audit(world).wrong == (f"{table}:invented",)
    execute(world, f"DELETE FROM {table} WHERE id IN ('invented', :id)", id=row["id"])  # noqa: S608
    assert audit(world).wrong == (f"{table}:{row['id']}",)


def insert_with(table: str, column: str) -> str:
    """A copy of a row under another id; columns by name, since a migrated table has them in another order."""
    names = [one.name for one in metadata.tables[table].columns]
    values = ", ".join("'invented'" if name == column else name for name in names)
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} WHERE id = :id"  # noqa: S608


def test_a_grant_rolled_back_to_an_earlier_true_version_is_named(world: World) -> None:
    from gateway.revocation import revoke_grant

    world.env.ledger.sync()
    grant = world.ids[f"grant:{world.ids['item']}"]
    before = world.row("access_grant", grant)
    revoke_grant(world.env, world.people["steward"], grant)
    world.env.ledger.sync()
    back = ("state", "version", "salt", "entry_id", "leaf_hash")
    execute(
        world,
        f"UPDATE access_grant SET {', '.join(f'{name} = :{name}' for name in back)} WHERE id = :id",  # noqa: S608
        id=grant,
        **{name: before[name] for name in back},
    )
    assert f"access_grant:{grant}" in audit(world).wrong


def test_a_release_without_its_event_or_an_event_without_its_release_is_named(world: World) -> None:
    release_id = released(world)
    assert audit(world).wrong == ()
    execute(world, "UPDATE release SET opened_entry = 'x' WHERE id = :id", id=release_id)
    assert audit(world).wrong == (f"release:{release_id}",)
    execute(world, "DELETE FROM release WHERE id = :id", id=release_id)
    assert audit(world).wrong == (f"release:{release_id}",)


def test_an_event_taken_out_of_the_middle_of_the_outbox_is_named(world: World) -> None:
    world.env.ledger.sync()
    execute(world, "DELETE FROM outbox WHERE position = 7")
    assert "outbox:position 7" in audit(world).wrong


def test_a_first_log_that_is_said_to_begin_elsewhere_is_named(world: World) -> None:
    world.env.ledger.sync()
    execute(world, "UPDATE log_state SET start = 1")
    assert audit(world).wrong == (f"log_state:{world.env.ledger.origin}",)


def test_a_waiting_entry_that_names_a_log_which_takes_none_is_named(world: World) -> None:
    world.env.ledger.sync()
    world.env.uow.run(
        lambda tx: record_refused_act(tx, world.env, world.people["researcher"], act="test", about="x", rules=())
    )
    assert audit(world).wrong == ()
    waiting = world.env.uow.read(lambda tx: tx.find("outbox", position=None))[0]["entry_id"]
    execute(world, "UPDATE outbox SET origin = 'of.another/year' WHERE position IS NULL")
    assert audit(world).wrong == (f"outbox:{waiting}",)


def test_the_command_proves_finds_and_cannot_tell(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.env.ledger.sync()
    monkeypatch.setenv("TONGGUAN_HOME", str(world.settings.home))
    run = CliRunner()
    proven = run.invoke(app, ["ledger", "audit", "--db", "--json"])
    assert (proven.exit_code, json.loads(proven.stdout)["state"]) == (0, "proven")
    person = world.people["researcher"].person_id
    execute(world, "UPDATE person SET unit = 'elsewhere' WHERE id = :id", id=person)
    found = run.invoke(app, ["ledger", "audit", "--db", "--json"])
    assert (found.exit_code, json.loads(found.stdout)["place"]) == (1, f"person:{person}")
    assert run.invoke(app, ["ledger", "audit"]).exit_code == 0, "the log alone is still whole"
    execute(world, "DROP TABLE person")
    assert run.invoke(app, ["ledger", "audit", "--db"]).exit_code == 2


def tamper_rows(world: World, count: int) -> None:
    """Change one byte of one value of one row, ``count`` times; each change is found and its row named, then undone."""
    chance = random.Random(20261121)
    tables = [table for table in (*FACT_TABLES, *PLAIN) if world.env.uow.read(lambda tx, t=table: tx.find(t))]  # type: ignore[misc]
    done = 0
    while done < count:
        table = chance.choice(tables)
        rows = raw_rows(world, table)
        row = chance.choice(rows)
        column = chance.choice([name for name in row if name not in OWN_TIMES.get(table, set())])
        changed = one_byte_changed(row[column], chance)
        if changed is None:
            continue
        key = "seq" if table == "outbox" else "id"
        where = row[key]
        try:
            execute(world, f"UPDATE {table} SET {column} = :value WHERE {key} = :key", value=changed, key=where)  # noqa: S608
        except IntegrityError:  # the database itself says no
            continue
        found = audit(world).wrong
        assert found, (table, column, row[column], changed)
        if table in FACT_TABLES and column != "id":
            assert f"{table}:{where}" in found
        now = changed if column == key else where
        execute(world, f"UPDATE {table} SET {column} = :value WHERE {key} = :key", value=row[column], key=now)  # noqa: S608
        done += 1
    assert audit(world).wrong == ()


def raw_rows(world: World, table: str) -> list[dict[str, Any]]:
    with world.env.uow.engine.connect() as connection:  # type: ignore[attr-defined]
        return [dict(row) for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()]  # noqa: S608


def one_byte_changed(value: Any, chance: random.Random) -> Any:
    """Another value that differs in one byte; None where there is nothing to change or the meaning would stay."""
    if isinstance(value, bytes | memoryview) and value:
        raw = bytearray(value)
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        return bytes(raw)
    if isinstance(value, str) and value:
        place = chance.randrange(len(value))
        other = chance.choice([letter for letter in "abcdefghij0123456789" if letter != value[place]])
        changed = value[:place] + other + value[place + 1 :]
        return changed if _still_readable(value, changed) else None
    return value + 1 if isinstance(value, int) else None


def _still_readable(value: str, changed: str) -> bool:
    """JSON columns must stay JSON, or the database's own reader stops first; space in JSON means nothing."""
    try:
        before = json.loads(value)
    except ValueError:
        return True
    try:
        return bool(json.loads(changed) != before)
    except ValueError:
        return False


def test_one_byte_changed_anywhere_in_the_rows_is_found(world: World) -> None:
    released(world)
    tamper_rows(world, 50)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_thousand_bytes_changed_in_the_rows_are_all_found(world: World) -> None:
    released(world)
    tamper_rows(world, 2000)


def test_a_row_from_before_a_migration_fits_its_leaf_and_a_value_in_the_later_column_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The item table got ``note`` by migration 0004; a house that upgrades has leaves that do not name it."""
    with monkeypatch.context() as earlier:
        before = {table: tuple(name for name in fact_columns(table) if name != "note") for table in FACT_TABLES}
        earlier.setattr("gateway.store.transactions.fact_columns", before.__getitem__)
        world = make_world(tmp_path)
        world.ids["item"] = world.apply()
    world.env.ledger.sync()
    assert audit(world).wrong == ()
    steward = world.people["steward"]
    assert applications.preview(world.env, steward, world.ids["item"])
    execute(world, "UPDATE item SET note = 'slipped in' WHERE id = :id", id=world.ids["item"])
    assert audit(world).wrong == (f"item:{world.ids['item']}",)
    shown = applications.preview(world.env, steward, world.ids["item"])
    assert all("GW-02" in {reason["rule"] for reason in view["reasons"]} for view in shown.values())
