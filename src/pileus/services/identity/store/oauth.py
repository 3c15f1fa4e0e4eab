"""OAuth 1.0a: consumers, request tokens and access tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, Table

from pileus.kernel.db import Tx, rows
from pileus.services.identity.delegation_model import access_tokens, consumers, request_tokens


def _get(tx: Tx, table: Table, key: str | None) -> Row[Any] | None:
    return None if key is None else rows.get(tx, table, key)


def get_consumer(tx: Tx, key: str | None) -> Row[Any] | None:
    return _get(tx, consumers, key)


def get_request_token(tx: Tx, key: str | None) -> Row[Any] | None:
    return _get(tx, request_tokens, key)


def get_access_token(tx: Tx, key: str | None) -> Row[Any] | None:
    return _get(tx, access_tokens, key)


def is_over(row: Row[Any], now: datetime) -> bool:
    return row.expires_at is not None and row.expires_at <= now
