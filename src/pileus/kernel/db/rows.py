"""What nearly every table needs: one row by its id, a new one, changed columns, gone.

    rows.add(tx, widgets, {"project_id": project_id, "name": name})  # the new row, with an id and its times
    rows.change(tx, widgets, widget_id, name=name)

Statements are built once for each table and set of columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Delete, Insert, Row, Select, Table, Update, bindparam, delete, insert, select, update

from pileus.kernel.db.tx import Tx
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
def _update(table: Table, names: tuple[str, ...], revised: bool) -> Update | None:
    """None where there is nothing to set."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    if revised and "revision_number" in table.c:
        values["revision_number"] = table.c.revision_number + 1
    if revised and "updated_at" in table.c:
        values["updated_at"] = bindparam("now", type_=table.c.updated_at.type)
    return update(table).where(table.c.id == bindparam("key")).values(values) if values else None


def get(tx: Tx, table: Table, row_id: str) -> Row[Any] | None:
    return tx.row(_get(table), key=row_id)


def existing(tx: Tx, table: Table, row_id: str) -> Row[Any]:
    """The row of something that is known to be there, as a strand's own is."""
    row = get(tx, table, row_id)
    assert row is not None, f"{table.name} has no {row_id}"
    return row


def get_many(tx: Tx, table: Table, row_ids: Sequence[str]) -> Sequence[Row[Any]]:
    return tx.rows(_get_many(table), keys=list(row_ids)) if row_ids else []


def add(tx: Tx, table: Table, values: Mapping[str, Any]) -> Row[Any]:
    """A new row. `id`, `created_at` and `updated_at` are filled in where the table has them and `values` has
    not; raises Duplicate."""
    made = {"id": new_uuid(), "created_at": tx.now, "updated_at": tx.now}
    standard = {name: value for name, value in made.items() if name in table.c}
    return tx.execute(_insert(table), {**standard, **values}).one()


def change(tx: Tx, table: Table, row_id: str, **values: Any) -> None:
    """What a user has changed, or what follows from it: `updated_at` and `revision_number` move on, where the
    table has them."""
    _set(tx, table, row_id, values, revised=True)


def note(tx: Tx, table: Table, row_id: str, **values: Any) -> None:
    """What the cloud itself has found out, such as a status; revision and time of change stay."""
    _set(tx, table, row_id, values, revised=False)


def _set(tx: Tx, table: Table, row_id: str, values: Mapping[str, Any], *, revised: bool) -> None:
    statement = _update(table, tuple(values), revised)
    if statement is not None:
        params = {f"new_{name}": value for name, value in values.items()} | (
            {"now": tx.now} if revised else {}
        )
        tx.execute(statement, {"key": row_id, **params})


def remove(tx: Tx, table: Table, row_id: str) -> None:
    """What is not there is no error. Raises InUse where others refer to it."""
    tx.execute(_delete(table), {"key": row_id})
