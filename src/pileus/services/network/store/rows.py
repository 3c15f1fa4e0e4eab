"""What all tables have in common: rows come, change by one revision at a time, and go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Delete, Insert, Row, Select, Table, Update, bindparam, delete, insert, select, update

from pileus.kernel.db import Tx
from pileus.kernel.ids import new_uuid


@cache
def _get(table: Table) -> Select[Any]:
    return select(table).where(table.c.id == bindparam("key"))


@cache
def _get_many(table: Table) -> Select[Any]:
    return select(table).where(table.c.id.in_(bindparam("keys", expanding=True)))


@cache
def _insert(table: Table) -> Insert:
    return insert(table).returning(*table.c)


@cache
def _delete(table: Table) -> Delete:
    return delete(table).where(table.c.id == bindparam("key"))


@cache
def _update(table: Table, names: tuple[str, ...], revised: bool) -> Update:
    values: dict[str, Any] = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    if revised:
        values["revision_number"] = table.c.revision_number + 1
        values["updated_at"] = bindparam("now", type_=table.c.updated_at.type)
    return update(table).where(table.c.id == bindparam("key")).values(values)


def get(tx: Tx, table: Table, row_id: str) -> Row[Any] | None:
    return tx.row(_get(table), key=row_id)


def get_many(tx: Tx, table: Table, row_ids: Sequence[str]) -> Sequence[Row[Any]]:
    return tx.rows(_get_many(table), keys=list(row_ids)) if row_ids else []


def add(tx: Tx, table: Table, values: Mapping[str, Any]) -> Row[Any]:
    """A new row with its standard attributes; raises Duplicate."""
    standard = {
        "id": new_uuid(),
        "description": "",
        "revision_number": 0,
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    if "tags" in table.c:
        standard["tags"] = []
    return tx.execute(_insert(table), {**standard, **values}).one()


def change(tx: Tx, table: Table, row_id: str, **values: Any) -> None:
    """What a user has changed, or what follows from it: the revision moves on."""
    params = {f"new_{name}": value for name, value in values.items()}
    tx.execute(_update(table, tuple(values), True), {"key": row_id, "now": tx.now, **params})


def note(tx: Tx, table: Table, row_id: str, **values: Any) -> None:
    """What the cloud itself has found out, such as a status; the revision stays."""
    params = {f"new_{name}": value for name, value in values.items()}
    tx.execute(_update(table, tuple(values), False), {"key": row_id, **params})


def remove(tx: Tx, table: Table, row_id: str) -> None:
    """Raises InUse where others refer to it."""
    tx.execute(_delete(table), {"key": row_id})
