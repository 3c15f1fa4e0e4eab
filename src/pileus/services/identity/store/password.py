"""Passwords of users: the present one, those before it, and attempts that failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.identity.model import old_passwords, users

_OLD = (
    select(old_passwords.c.password_hash)
    .where(old_passwords.c.user_id == bindparam("user_id"))
    .order_by(old_passwords.c.seq.desc())
)
_FAILED = (
    users.update()
    .where(users.c.id == bindparam("user"))
    .values(failed_auth_count=users.c.failed_auth_count + 1, failed_auth_at=bindparam("at"))
)
_START_ANEW = (
    users.update().where(users.c.id == bindparam("user")).values(failed_auth_count=0, failed_auth_at=None)
)
_SEEN = users.update().where(users.c.id == bindparam("user")).values(last_active_at=bindparam("at"))


def replace(
    tx: Tx, row: Row[Any], digest: str, expires_at: datetime | None, *, self_service: bool, kept: int
) -> None:
    """Sets a user's password; of those before, `kept` are remembered."""
    if row.password_hash is not None and kept:
        tx.execute(old_passwords.insert(), {"user_id": row.id, "password_hash": row.password_hash})
    stale = tx.scalars(
        select(old_passwords.c.seq)
        .where(old_passwords.c.user_id == row.id)
        .order_by(old_passwords.c.seq.desc())
        .offset(kept)
    )
    if stale:
        tx.execute(old_passwords.delete().where(old_passwords.c.seq.in_(stale)))
    values = {
        "password_hash": digest,
        "password_changed_at": tx.now,
        "password_expires_at": expires_at,
        "password_self_service": self_service,
    }
    tx.execute(users.update().where(users.c.id == row.id).values(**values))


def last(tx: Tx, row: Row[Any], count: int) -> Sequence[str]:
    """The hashes of the user's last `count` passwords, the present one included."""
    known = [row.password_hash] if row.password_hash is not None else []
    return [*known, *tx.scalars(_OLD, user_id=row.id)][:count]


def record_failure(tx: Tx, user_id: str) -> None:
    tx.execute(_FAILED, {"user": user_id, "at": tx.now})


def forget_failures(tx: Tx, user_id: str) -> None:
    tx.execute(_START_ANEW, {"user": user_id})


def record_activity(tx: Tx, user_id: str) -> None:
    tx.execute(_SEEN, {"user": user_id, "at": tx.now})
