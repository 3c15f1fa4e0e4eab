"""Bringing a database to the newest schema."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from pileus import __version__
from pileus.kernel.db import Database, Tx

HERE = Path(__file__).parent
HEAD = max(path.name.partition("_")[0] for path in (HERE / "versions").glob("[0-9]*.py"))
"""The newest revision: they are numbered in order. A test holds it equal to Alembic's head."""


def _revision(tx: Tx) -> str | None:
    table = "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
    if tx.dialect == "postgresql":
        table = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'alembic_version'"
    if tx.row(text(table)) is None:
        return None
    found: str | None = tx.scalar(text("SELECT version_num FROM alembic_version"))
    return found


class UnknownSchema(Exception):
    """The database was written by a newer Pileus."""


async def prepare(db: Database) -> str | None:
    """Lays the schema in an empty database, migrates an older one. The revision that was there, None for an empty one."""
    found = await db.read(_revision)
    if found is None:
        db.run_script((HERE / "schema" / f"{db.dialect}.sql").read_text())
    elif found != HEAD:
        _check_known(found)
        migrate(db.url)
    return found


def _check_known(revision: str) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory(str(HERE)).walk_revisions()}
    if revision not in known:
        raise UnknownSchema(
            f"the database has schema {revision}; this Pileus ({__version__}) knows none after {HEAD}. A newer "
            "one wrote it: upgrade, or use another state folder (--state DIR)"
        )


def migrate(url: str, target: str = "head") -> None:
    """Runs the migrations that a database lacks."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["url"] = url
    command.upgrade(config, target)
