"""What all tables have in common: rows come, change by one revision at a time, and go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, Table

from pileus.kernel.db import Tx, rows
from pileus.kernel.db.rows import change, get, get_many, note, remove

__all__ = ["add", "change", "get", "get_many", "note", "remove"]


def add(tx: Tx, table: Table, values: Mapping[str, Any]) -> Row[Any]:
    """A new row with its standard attributes; raises Duplicate."""
    standard: dict[str, Any] = {"description": "", "revision_number": 0}
    if "tags" in table.c:
        standard["tags"] = []
    return rows.add(tx, table, {**standard, **values})
