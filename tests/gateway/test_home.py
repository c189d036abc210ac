"""A home is made once, private, and stays what it is; settings are refused by name; databases behave alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from gateway.bootstrap import make_home, open_env
from gateway.errors import BadInput, Conflict, Unavailable
from gateway.events import EventDraft, EventError, opens, row_commitment, seal_event
from gateway.home import database_url as url_of
from gateway.home import read_home
from gateway.settings import Settings, load_settings
from gateway.store.tables import metadata
from gateway.store.transactions import SqlUnitOfWork, open_engine
from tests.world import Random


def test_a_second_init_changes_no_byte_and_modes_are_private(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    first = make_home(settings, demo=True)
    kept = {p: p.read_bytes() for p in (settings.home).rglob("*") if p.is_file() and "sqlite" not in p.name}
    assert make_home(settings, demo=True) == first
    assert all(p.read_bytes() == data for p, data in kept.items())
    for path in [settings.home, *settings.home.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert first.origin.startswith("demo-")


def test_a_demo_home_cannot_be_promoted(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    make_home(settings, demo=True)
    with pytest.raises(BadInput, match="stays what it is"):
        make_home(settings, demo=False)


def test_a_folder_that_is_no_home_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="tongguan init"):
        read_home(Settings(home=tmp_path))
    (tmp_path / "home.json").write_text("{")
    with pytest.raises(BadInput, match=r"home\.json"):
        open_env(Settings(home=tmp_path))


def test_unknown_and_bad_settings_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONGGUAN_PROT", "1")
    with pytest.raises(BadInput, match="TONGGUAN_PROT"):
        load_settings()
    monkeypatch.delenv("TONGGUAN_PROT")
    monkeypatch.setenv("TONGGUAN_PORT", "many")
    with pytest.raises(BadInput, match="port"):
        load_settings()


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text("utf-8")
    for name, field in Settings.model_fields.items():
        assert f"`TONGGUAN_{name.upper()}`" in text
        assert str(field.description) in text


def test_the_migrations_make_exactly_the_tables(tmp_path: Path, database_url: str) -> None:
    settings = Settings(home=tmp_path / "home", database_url=database_url)
    make_home(settings, demo=True)
    engine = create_engine(url_of(settings))
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert found == []


def test_a_closure_that_raises_leaves_nothing(tmp_path: Path, database_url: str) -> None:
    settings = Settings(home=tmp_path / "home", database_url=database_url)
    make_home(settings, demo=True)
    engine = open_engine(url_of(settings))
    uow = SqlUnitOfWork(engine)

    def work(tx: object) -> None:
        tx.insert("epoch", {"id": "half", "value": 1})  # type: ignore[attr-defined]
        raise Conflict("stop")

    with pytest.raises(Conflict):
        uow.run(work)
    assert uow.read(lambda tx: tx.get("epoch", "half")) is None
    with pytest.raises(Conflict, match="never deleted"):
        uow.run(lambda tx: tx.delete("access_grant", id="x"))
    engine.dispose()


def test_a_busy_database_is_unavailable_and_says_nothing_of_the_statement(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    make_home(settings, demo=True)
    engine = open_engine(url_of(settings))
    other = open_engine(url_of(settings))
    with other.connect() as connection, connection.begin():
        with engine.connect() as quick:
            quick.connection.execute("PRAGMA busy_timeout=50")
            quick.rollback() if quick.in_transaction() else None
        with pytest.raises(Unavailable, match="busy") as refused:
            SqlUnitOfWork(engine).run(lambda tx: tx.bump("x"))
    assert "epoch" not in str(refused.value)
    engine.dispose()
    other.dispose()


def draft(**changes: object) -> EventDraft:
    body: dict[str, object] = {
        "id": "0" * 32, "kind": "refuse", "type": "act.refuse", "at": "2026-11-21T00:00:00.000000Z", "origin": "o",
        "custodian": "c", "public": {"act": "a", "about": "b", "rules": []}, "personal": {"person": "p", "n": 3},
    }  # fmt: skip
    return EventDraft(**{**body, **changes})  # type: ignore[arg-type]


def test_equal_values_never_give_equal_commitments_and_sizes_are_bucketed() -> None:
    one, two = seal_event(draft(), Random()), seal_event(draft(), Random())
    fields = [json.loads(sealed.entry)["personal"]["fields"] for sealed in (one, two)]
    assert fields[0]["person"] != fields[1]["person"]
    assert len(one.entry) == len(two.entry) == 1024
    assert len(seal_event(draft(personal={"x": "y" * 3000}), Random()).entry) == 1024
    assert opens(fields[0], "person", one.disclosures["person"])
    assert not opens(fields[0], "person", two.disclosures["person"])
    assert not opens(fields[0], "n", one.disclosures["person"])


def test_a_public_key_that_is_not_listed_and_an_unknown_kind_are_refused() -> None:
    for changes in ({"public": {"name": "x"}}, {"kind": "gossip"}, {"public": {"act": "x" * 70_000}}):
        with pytest.raises(EventError):
            seal_event(draft(**changes), Random())


def test_every_column_counts_in_a_row_commitment() -> None:
    columns, salt = {"a": 1, "b": "x", "c": None}, bytes(16)
    root = row_commitment(columns, salt)
    assert all(row_commitment({**columns, name: "other"}, salt) != root for name in columns)
    assert row_commitment(columns, bytes([1]) * 16) != root
