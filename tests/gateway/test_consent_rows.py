"""What was proven of consents is kept by the rows' fingerprint: nothing that changes later is ever taken for it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from gateway import consent_rows
from gateway.consent_rows import consents_of, rows_that_differ
from gateway.ports import Tx
from tests.world import World


class _Undone(Exception):
    """Carries an answer out of a transaction that must leave nothing behind."""


def after(world: World, change: str, person: str, ask: Any) -> Any:
    """What ``ask`` answers when the rows were proven and one was then changed by SQL; the change is rolled back."""

    def work(tx: Tx) -> None:
        assert rows_that_differ(tx, world.ids["dataset"]) == []
        done = tx.connection.execute(text(f"{change} where id = :person"), {"person": person})  # type: ignore[attr-defined]
        assert done.rowcount == 1
        raise _Undone(ask(tx))

    with pytest.raises(_Undone) as undone:
        world.env.uow.run(work)
    return undone.value.args[0]


def first_of(world: World) -> str:
    rows = world.env.uow.read(lambda tx: tx.find("consent", dataset_id=world.ids["dataset"]))
    return str(rows[0]["id"])


def test_a_participant_who_is_made_another_to_keep_a_count_low_is_named(world: World) -> None:
    person = first_of(world)
    same = (
        "update participant set linkage = "
        "(select max(others.linkage) from participant as others where others.id <> participant.id)"
    )
    wrong = after(world, same, person, lambda tx: rows_that_differ(tx, world.ids["dataset"]))
    assert wrong == [f"consent:{person}"]
    gone = after(world, "delete from participant", person, lambda tx: rows_that_differ(tx, world.ids["dataset"]))
    assert gone == [f"consent:{person}"]


def test_a_row_from_before_the_token_was_covered_fits_its_own_hash_alone(world: World) -> None:
    rows = world.env.uow.read(lambda tx: tx.find("consent", dataset_id=world.ids["dataset"]))
    old = [
        row | {"row_hash": consent_rows.row_hash(row["id"], row["terms"], row["withdrawn_recorded_at"], row["salt"])}
        for row in rows
    ]
    assert consent_rows._proven(old, {row["id"]: "any" for row in rows}).wrong == ()
    bent = [old[0] | {"terms": old[0]["terms"] | {"places": "mainland;overseas"}}, *old[1:]]
    assert consent_rows._proven(bent, {row["id"]: "any" for row in rows}).wrong == (f"consent:{rows[0]['id']}",)


@pytest.mark.parametrize(
    "change",
    [
        "update consent set terms = '{}'",
        "update consent set terms = '[]'",
        "update consent set withdrawn_recorded_at = '2026-01-01T00:00:00Z'",
        "update consent set salt = row_hash",
        "update consent set row_hash = salt",
    ],
)
def test_a_row_that_changes_after_it_was_proven_is_named(world: World, change: str) -> None:
    person = first_of(world)
    wrong = after(world, change, person, lambda tx: rows_that_differ(tx, world.ids["dataset"]))
    assert wrong == [f"consent:{person}"]


def test_terms_that_are_no_terms_permit_nothing(world: World) -> None:
    person = first_of(world)

    def ask(tx: Tx) -> bool:
        table = consents_of(tx, world.ids["dataset"]).table
        row = table.ids.index(person)
        return any(column.cells[column.codes[row]] for column in table.columns.values())

    assert after(world, "update consent set salt = salt", person, ask)
    assert not after(world, "update consent set terms = '[]'", person, ask)


def test_a_row_that_is_gone_after_the_set_was_proven_is_missed(world: World) -> None:
    wrong = after(world, "delete from consent", first_of(world), lambda tx: rows_that_differ(tx, world.ids["dataset"]))
    assert wrong == [f"consent_set:{world.ids['dataset']}"]


def test_rows_that_did_not_change_are_proven_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(tx: Tx) -> Any:
        return rows_that_differ(tx, world.ids["dataset"]), consents_of(tx, world.ids["dataset"])

    before = world.env.uow.read(ask)
    monkeypatch.setattr(consent_rows, "row_hash", lambda *_: pytest.fail("proven again"))
    assert world.env.uow.read(ask) == before


def test_little_memory_means_proven_again_and_the_same_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent_rows, "PEOPLE_KEPT", 1)
    kept = consent_rows._Kept()
    monkeypatch.setattr(consent_rows, "_KEPT", kept)
    found = world.env.uow.read(lambda tx: consents_of(tx, world.ids["dataset"]))
    kept.put(b"another dataset", found)
    assert list(kept._found) == [b"another dataset"]
    assert world.env.uow.read(lambda tx: consents_of(tx, world.ids["dataset"])).table.ids == found.table.ids


def test_a_fingerprint_tells_every_column_apart(any_world: World) -> None:
    person = first_of(any_world)
    changes = [
        "update consent set salt = row_hash",
        "update consent set row_hash = salt",
        "update consent set withdrawn_recorded_at = ''",
        "update consent set terms = '{}'",
        "update consent set id = 'p'",
    ]
    found = [after(any_world, change, person, lambda tx: tx.fingerprint("consent")) for change in changes]
    found.append(any_world.env.uow.read(lambda tx: tx.fingerprint("consent")))
    assert len(set(found)) == 6
    assert any_world.env.uow.read(lambda tx: tx.fingerprint("consent")) == found[-1]
