"""The schema: one script for a fresh database, one history for an older one, and both say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Index, MetaData, String, Table, create_engine, inspect
from sqlalchemy.pool import NullPool

from pileus.kernel.clock import SystemClock
from pileus.kernel.db import Json, Timestamp, metadata, open_database
from pileus.migrations import lay
from pileus.migrations.generate import ADDRESSES, declared_tables, migration, script


@pytest.mark.parametrize("dialect", ADDRESSES)
def test_the_script_is_what_the_tables_say(dialect: str) -> None:
    said = (lay.HERE / "schema" / f"{dialect}.sql").read_text()
    assert said == script(dialect), (
        "run `python -m pileus.migrations.generate`, and see there about migrations"
    )


def described(url: str) -> dict[str, Any]:
    """Every table with its columns, keys and indexes."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=NullPool)
    found = inspect(engine)
    return {
        table: {
            "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(table)],
            "primary": found.get_pk_constraint(table)["constrained_columns"],
            "foreign": sorted(str(key) for key in found.get_foreign_keys(table)),
            "unique": sorted(str(key["column_names"]) for key in found.get_unique_constraints(table)),
            "indexes": sorted(
                (str(i["name"]), str(i["column_names"]), bool(i["unique"])) for i in found.get_indexes(table)
            ),
        }
        for table in sorted(found.get_table_names())
    }


@pytest.mark.slow
async def test_history_and_script_lay_the_same(tmp_path: Path) -> None:
    fresh, migrated = (f"sqlite:///{tmp_path}/{name}.db" for name in ("fresh", "migrated"))
    db = open_database(fresh, SystemClock())
    try:
        assert await lay.prepare(db) is None
        assert await lay.prepare(db) == lay.HEAD
    finally:
        await db.close()
    lay.migrate(migrated)
    assert described(migrated) == described(fresh)


def test_the_head_is_alembics() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(lay.HERE))
    assert ScriptDirectory.from_config(config).get_heads() == [lay.HEAD]


def declared_with(*more: Any) -> MetaData:
    """The product's tables, and one more of these columns and indexes."""
    tables = MetaData(naming_convention=metadata.naming_convention)
    for table in declared_tables():
        table.to_metadata(tables)
    if more:
        Table("test_new", tables, *more)
    return tables


def test_there_is_nothing_to_migrate() -> None:
    assert migration("Nothing", "0002", "0001", declared_with()) is None


@pytest.mark.slow
def test_a_migration_is_written_from_the_tables(tmp_path: Path) -> None:
    tables = declared_with(
        Column("id", String(36), primary_key=True),
        Column("notes", Json, nullable=False),
        Column("created_at", Timestamp, nullable=False),
        Index(None, "created_at"),
    )
    text = migration("New", "9999", lay.HEAD, tables)
    assert text is not None
    found: dict[str, Any] = {}
    exec(text, found)
    assert (found["revision"], found["down_revision"]) == ("9999", lay.HEAD)
    migrated, declared = (f"sqlite:///{tmp_path}/{name}.db" for name in ("migrated", "declared"))
    lay.migrate(migrated)
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    engine = create_engine(migrated, poolclass=NullPool)
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        found["upgrade"]()
    tables.create_all(create_engine(declared, poolclass=NullPool))
    assert described(migrated)["test_new"] == described(declared)["test_new"]
