"""Databases for tests: the declared tables, in a place of their own."""

from __future__ import annotations

from typing import Any

from sqlalchemy import create_mock_engine

from pileus.kernel.db import Database, metadata


def fresh_schema(db: Database) -> None:
    """All declared tables, in a database that has none."""
    statements: list[str] = []

    def collect(statement: Any, *_: Any, **__: Any) -> None:
        statements.append(str(statement.compile(dialect=engine.dialect)))

    address = "sqlite://" if db.dialect == "sqlite" else "postgresql+psycopg://"
    engine = create_mock_engine(address, collect)
    metadata.create_all(engine, checkfirst=False)
    db.run_script(";\n".join(statements) + ";")
