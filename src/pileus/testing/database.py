"""Databases for tests: the declared tables, in a place of their own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import create_mock_engine

from pileus.kernel.clock import Clock
from pileus.kernel.db import Database, metadata, open_database
from pileus.kernel.db.sqlite import SqliteBackend

_SQLITE = "sqlite:///"


def laid(url: str, clock: Clock) -> Database:
    """A new database with the declared tables. On SQLite it is a copy of one that was laid before, at a tenth of the cost."""
    if url.startswith(_SQLITE):
        path = url.removeprefix(_SQLITE)
        Path(path).write_bytes(_image(frozenset(metadata.tables)))
        # Nothing of it outlives a test, so nothing has to survive a power cut.
        return Database(SqliteBackend(path, clock, durable=False), url)
    db = open_database(url, clock)
    fresh_schema(db)
    return db


def fresh_schema(db: Database) -> None:
    """All declared tables, in a database that has none."""
    db.run_script(_script(db.dialect, frozenset(metadata.tables)))


@lru_cache
def _image(tables: frozenset[str]) -> bytes:
    with closing(sqlite3.connect(":memory:")) as conn:
        conn.executescript(_script("sqlite", tables))
        return conn.serialize()


@lru_cache
def _script(dialect: str, tables: frozenset[str]) -> str:
    """`tables`: names of those that are declared by now; a test may declare more."""
    statements: list[str] = []

    def collect(statement: Any, *_: Any, **__: Any) -> None:
        statements.append(str(statement.compile(dialect=engine.dialect)))

    engine = create_mock_engine("sqlite://" if dialect == "sqlite" else "postgresql+psycopg://", collect)
    metadata.create_all(engine, checkfirst=False)
    return ";\n".join(statements) + ";"
