"""The schema: one script for a fresh database, one history for an older one, and both say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

from pileus.kernel.clock import SystemClock
from pileus.kernel.db import open_database
from pileus.migrations import lay
from pileus.migrations.generate import ADDRESSES, script


@pytest.mark.parametrize("dialect", ADDRESSES)
def test_the_script_is_what_the_tables_say(dialect: str) -> None:
    said = (lay.HERE / "schema" / f"{dialect}.sql").read_text()
    assert said == script(dialect), "run `python -m pileus.migrations.generate` and write a migration"


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
