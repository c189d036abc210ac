"""The migrations make the tables that the code expects, on both databases."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from gateway.bootstrap import migrate
from gateway.settings import Settings
from gateway.store.tables import metadata
from gateway.store.transactions import open_engine


def test_migrations_are_in_step_with_the_tables(database_url: str, tmp_path: Path) -> None:
    migrate(Settings(home=tmp_path, database_url=database_url))
    engine = open_engine(database_url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
    engine.dispose()
    assert differences == []
    assert metadata.tables
