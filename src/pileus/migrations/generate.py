"""Writes the scripts that lay a fresh database: `python -m pileus.migrations.generate`."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from sqlalchemy import Table, create_mock_engine

from pileus.app.tables import TABLES_OF
from pileus.kernel.db import metadata
from pileus.migrations.lay import HEAD, HERE

ADDRESSES = {"sqlite": "sqlite://", "postgresql": "postgresql+psycopg://"}


UNRELEASED_FIRST = HEAD == "0001"
"""Until the first release its migration is the schema itself; from then on it stays as it is."""


def script(dialect: str) -> str:
    """What lays a fresh database for `sqlite` or `postgresql`: all tables and indexes, and the revision they are."""
    revision = "CREATE TABLE alembic_version (\n\tversion_num VARCHAR(32) NOT NULL PRIMARY KEY\n)"
    stamp = f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')"
    return _text([*_statements(dialect), revision, stamp])


def declared_tables() -> list[Table]:
    """Those of the product, whatever else is in the metadata."""
    return [each for module in TABLES_OF for each in vars(module).values() if isinstance(each, Table)]


def _statements(dialect: str) -> list[str]:
    statements: list[str] = []

    def collect(statement: Any, *_: Any, **__: Any) -> None:
        statements.append(str(statement.compile(dialect=engine.dialect)).strip())

    engine = create_mock_engine(ADDRESSES[dialect], collect)
    metadata.create_all(engine, tables=declared_tables(), checkfirst=False)
    return _in_order(statements)


def _text(statements: list[str]) -> str:
    lines = (line.rstrip() for line in ";\n\n".join(statements).splitlines())
    return "\n".join(lines) + ";\n"


def _in_order(statements: list[str]) -> list[str]:
    """A table's indexes by name: SQLAlchemy keeps them in a set, in another order every time."""
    runs = groupby(
        statements, key=lambda statement: statement.startswith(("CREATE INDEX", "CREATE UNIQUE INDEX"))
    )
    return [each for is_index, run in runs for each in (sorted(run) if is_index else run)]


def main() -> None:
    (HERE / "schema").mkdir(exist_ok=True)
    for dialect in ADDRESSES:
        (HERE / "schema" / f"{dialect}.sql").write_text(script(dialect))
        if UNRELEASED_FIRST:
            (HERE / "versions" / f"0001_first_light.{dialect}.sql").write_text(_text(_statements(dialect)))


if __name__ == "__main__":
    main()
