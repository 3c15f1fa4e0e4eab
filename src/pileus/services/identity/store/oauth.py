"""OAuth 1.0a: consumers, request tokens and access tokens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Table, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.identity.delegation_model import access_tokens, consumers, request_tokens

_GET = {
    table.name: select(table).where(table.c.id == bindparam("id"))
    for table in (consumers, request_tokens, access_tokens)
}


def _get(tx: Tx, table: Table, key: str | None) -> Row[Any] | None:
    return tx.row(_GET[table.name], id=key)


def get_consumer(tx: Tx, key: str | None) -> Row[Any] | None:
    return _get(tx, consumers, key)


def get_request_token(tx: Tx, key: str | None) -> Row[Any] | None:
    return _get(tx, request_tokens, key)


def get_access_token(tx: Tx, key: str | None) -> Row[Any] | None:
    return _get(tx, access_tokens, key)


def insert(tx: Tx, table: Table, values: Mapping[str, Any]) -> Row[Any]:
    tx.execute(table.insert(), values)
    row = _get(tx, table, values["id"])
    assert row is not None
    return row


def change(tx: Tx, table: Table, key: str, values: Mapping[str, Any]) -> Row[Any]:
    if values:
        tx.execute(table.update().where(table.c.id == key).values(**values))
    row = _get(tx, table, key)
    assert row is not None
    return row


def delete(tx: Tx, table: Table, key: str) -> None:
    """A consumer with all its tokens, or a token."""
    tx.execute(table.delete().where(table.c.id == key))


def is_over(row: Row[Any], now: datetime) -> bool:
    return row.expires_at is not None and row.expires_at <= now
