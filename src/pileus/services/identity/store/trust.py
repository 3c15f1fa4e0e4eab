"""Trusts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.identity.delegation_model import trusts

_GET = select(trusts).where(trusts.c.id == bindparam("id"))
_CONSUME = (
    trusts.update()
    .where(trusts.c.id == bindparam("trust"), trusts.c.remaining_uses > 0)
    .values(remaining_uses=trusts.c.remaining_uses - 1)
)


def get(tx: Tx, key: str | None) -> Row[Any] | None:
    return tx.row(_GET, id=key)


def insert(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    tx.execute(trusts.insert(), values)
    row = get(tx, values["id"])
    assert row is not None
    return row


def delete(tx: Tx, key: str) -> None:
    """With those that were made by it."""
    tx.execute(trusts.delete().where(trusts.c.id == key))


def is_over(row: Row[Any], now: datetime) -> bool:
    """Whether it has expired."""
    return row.expires_at is not None and row.expires_at <= now


def is_used_up(row: Row[Any]) -> bool:
    return row.remaining_uses is not None and row.remaining_uses <= 0


def chain(tx: Tx, row: Row[Any]) -> list[Row[Any]]:
    """The trust, the one that it was made by, and so on to the first."""
    found = [row]
    while found[-1].redelegated_trust_id is not None:
        above = get(tx, found[-1].redelegated_trust_id)
        if above is None:
            break
        found.append(above)
    return found


def consume(tx: Tx, key: str) -> bool:
    """Takes one use; False where none is left."""
    return tx.execute(_CONSUME, {"trust": key}).rowcount > 0
