"""Keypairs: of a user, not of a project."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, bindparam, func, select

from pileus.kernel.db import Tx
from pileus.services.compute.model import keypairs

_FIND = select(keypairs).where(keypairs.c.user_id == bindparam("owner"), keypairs.c.name == bindparam("key"))
_COUNT = select(func.count()).select_from(keypairs).where(keypairs.c.user_id == bindparam("owner"))
_DELETE = keypairs.delete().where(keypairs.c.id == bindparam("number"))


def find(tx: Tx, user_id: str, name: str) -> Row[Any] | None:
    return tx.row(_FIND, owner=user_id, key=name)


def count(tx: Tx, user_id: str) -> int:
    return int(tx.scalar(_COUNT, owner=user_id))


def insert(tx: Tx, values: dict[str, Any]) -> Row[Any]:
    """Raises Duplicate where the user has one of that name."""
    tx.execute(keypairs.insert(), values)
    row = find(tx, values["user_id"], values["name"])
    assert row is not None
    return row


def delete(tx: Tx, number: int) -> None:
    tx.execute(_DELETE, {"number": number})
