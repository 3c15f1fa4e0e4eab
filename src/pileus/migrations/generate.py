"""Writes what follows from the declared tables: `python -m pileus.migrations.generate [NAME]`.

The scripts that lay a fresh database, always. With a NAME also a migration `versions/NNNN_NAME.py` with all that
the history lacks: read it, as no program knows what a new column holds in old rows.
Until the first release there is nothing to migrate from: without a NAME the first migration is written anew.
"""

from __future__ import annotations

import re
import sys
import tempfile
from itertools import groupby
from typing import Any

from sqlalchemy import MetaData, Table, create_engine, create_mock_engine
from sqlalchemy.pool import NullPool

from pileus.app.tables import TABLES_OF
from pileus.kernel.db import metadata
from pileus.migrations.lay import HEAD, HERE, migrate

ADDRESSES = {"sqlite": "sqlite://", "postgresql": "postgresql+psycopg://"}
FIRST = "0001"
MIGRATION = '''"""{title}.

Revision ID: {revision}
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
{own}
revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    {body}
'''


def script(dialect: str, head: str = HEAD) -> str:
    """What lays a fresh database for `sqlite` or `postgresql`: all tables and indexes, and the revision they are."""
    revision = "CREATE TABLE alembic_version (\n\tversion_num VARCHAR(32) NOT NULL PRIMARY KEY\n)"
    stamp = f"INSERT INTO alembic_version (version_num) VALUES ('{head}')"
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


def migration(title: str, revision: str, before: str, tables: MetaData) -> str | None:
    """What brings a database from the newest migration to these tables, as the text of a migration; None where
    that is nothing."""
    from alembic.autogenerate import produce_migrations, render_python_code
    from alembic.migration import MigrationContext

    own_types = set()

    def own_type(kind: str, value: Any, context: Any) -> Any:
        if kind != "type" or not type(value).__module__.startswith("pileus.kernel.db"):
            return False
        own_types.add(type(value).__name__)
        return f"{type(value).__name__}()"

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/history.db"
        migrate(url)
        with create_engine(url, poolclass=NullPool).connect() as connection:
            found = produce_migrations(MigrationContext.configure(connection), tables)
    if found.upgrade_ops is None or found.upgrade_ops.is_empty():
        return None
    code = render_python_code(found.upgrade_ops, render_as_batch=True, render_item=own_type)
    body = "\n".join(line for line in code.splitlines() if not line.lstrip().startswith("# ###")).strip()
    own = f"\nfrom pileus.kernel.db import {', '.join(sorted(own_types))}\n" if own_types else ""
    return MIGRATION.format(title=title, revision=revision, before=before, own=own, body=body)


def main(*names: str) -> None:
    head = HEAD
    if names:
        head = f"{int(HEAD) + 1:04}"
        if len(names) != 1 or not re.fullmatch("[a-z0-9_]+", names[0]):
            sys.exit("usage: python -m pileus.migrations.generate [NAME]; NAME is like console_snapshots")
        text = migration(names[0].replace("_", " ").capitalize(), head, HEAD, metadata)
        if text is None:
            sys.exit(f"The tables are those of {HEAD}: there is nothing to migrate.")
        path = HERE / "versions" / f"{head}_{names[0]}.py"
        path.write_text(text)
        print(f"{path}: read it, complete it where rows are there already, and format it")
    (HERE / "schema").mkdir(exist_ok=True)
    for dialect in ADDRESSES:
        (HERE / "schema" / f"{dialect}.sql").write_text(script(dialect, head))
        if head == FIRST:
            (HERE / "versions" / f"{FIRST}_first_light.{dialect}.sql").write_text(_text(_statements(dialect)))


if __name__ == "__main__":
    main(*sys.argv[1:])
