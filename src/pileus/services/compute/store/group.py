"""Server groups."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.compute.model import groups

_FIND = select(groups).where(groups.c.id == bindparam("grp"))
_DELETE = groups.delete().where(groups.c.id == bindparam("grp"))


def find(tx: Tx, group_id: str) -> Row[Any] | None:
    return tx.row(_FIND, grp=group_id)


def insert(tx: Tx, values: dict[str, Any]) -> Row[Any]:
    tx.execute(groups.insert(), values)
    row = find(tx, values["id"])
    assert row is not None
    return row


def delete(tx: Tx, group_id: str) -> None:
    tx.execute(_DELETE, {"grp": group_id})
