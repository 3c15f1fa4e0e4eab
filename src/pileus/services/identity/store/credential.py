"""Credentials: EC2 keys, TOTP secrets and whatever else clients keep. What is in them is sealed before it comes here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.identity.delegation_model import credentials

EC2, TOTP = "ec2", "totp"
_GET = select(credentials).where(credentials.c.id == bindparam("id"))
_OF_USER = (
    select(credentials)
    .where(credentials.c.user_id == bindparam("user_id"), credentials.c.type == bindparam("type"))
    .order_by(credentials.c.created_at, credentials.c.id)
)


def ec2_id(access: str) -> str:
    """The id of the credential with this access key."""
    return hashlib.sha256(access.encode()).hexdigest()


def get(tx: Tx, key: str) -> Row[Any] | None:
    return tx.row(_GET, id=key)


def of_user(tx: Tx, user_id: str, kind: str) -> Sequence[Row[Any]]:
    return tx.rows(_OF_USER, user_id=user_id, type=kind)


def insert(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    tx.execute(credentials.insert(), values)
    row = get(tx, values["id"])
    assert row is not None
    return row


def reseal(tx: Tx, key: str, encrypted_blob: str) -> Row[Any]:
    """Sets what is in it."""
    tx.execute(credentials.update().where(credentials.c.id == key).values(encrypted_blob=encrypted_blob))
    row = get(tx, key)
    assert row is not None
    return row


def delete(tx: Tx, key: str) -> None:
    tx.execute(credentials.delete().where(credentials.c.id == key))


def forget(tx: Tx, *, user_ids: Sequence[str] = (), project_id: str | None = None) -> None:
    """Deletes those of users, or for a project, that are gone."""
    if user_ids:
        tx.execute(credentials.delete().where(credentials.c.user_id.in_(user_ids)))
    if project_id is not None:
        tx.execute(credentials.delete().where(credentials.c.project_id == project_id))
