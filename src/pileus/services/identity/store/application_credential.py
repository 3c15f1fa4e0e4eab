"""Application credentials and the access rules of users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, select

from pileus.kernel.db import Tx
from pileus.services.identity.delegation_model import access_rules, application_credentials

_GET = select(application_credentials).where(application_credentials.c.id == bindparam("id"))
_BY_NAME = select(application_credentials).where(
    application_credentials.c.user_id == bindparam("user_id"),
    application_credentials.c.name == bindparam("name"),
)
_COUNT = select(func.count()).where(application_credentials.c.user_id == bindparam("user_id"))
_RULES = select(access_rules).where(access_rules.c.id.in_(bindparam("ids", expanding=True)))
_RULE_LIKE = select(access_rules).where(
    access_rules.c.user_id == bindparam("user_id"),
    access_rules.c.service == bindparam("service"),
    access_rules.c.path == bindparam("path"),
    access_rules.c.method == bindparam("method"),
)
_OF_USER = select(application_credentials).where(application_credentials.c.user_id == bindparam("user_id"))


def get(tx: Tx, key: str | None) -> Row[Any] | None:
    return tx.row(_GET, id=key)


def by_name(tx: Tx, user_id: str, name: str) -> Row[Any] | None:
    return tx.row(_BY_NAME, user_id=user_id, name=name)


def count(tx: Tx, user_id: str) -> int:
    return int(tx.scalar(_COUNT, user_id=user_id))


def insert(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    tx.execute(application_credentials.insert(), values)
    row = get(tx, values["id"])
    assert row is not None
    return row


def delete(tx: Tx, key: str) -> None:
    tx.execute(application_credentials.delete().where(application_credentials.c.id == key))


def forget(tx: Tx, user_id: str, project_id: str | None = None) -> None:
    """Deletes those of a user, or of a user for a project."""
    gone = application_credentials.delete().where(application_credentials.c.user_id == user_id)
    if project_id is not None:
        gone = gone.where(application_credentials.c.project_id == project_id)
    tx.execute(gone)


def is_over(row: Row[Any], now: datetime) -> bool:
    return row.expires_at is not None and row.expires_at <= now


# Access rules


def rules_of(tx: Tx, row: Row[Any]) -> Sequence[Row[Any]] | None:
    """None where there are none to keep to."""
    return None if row.access_rule_ids is None else rules(tx, row.access_rule_ids)


def rules(tx: Tx, ids: Sequence[str]) -> Sequence[Row[Any]]:
    """In the order of `ids`."""
    found = {row.id: row for row in tx.rows(_RULES, ids=list(ids))}
    return [found[each] for each in ids if each in found]


def rule_like(tx: Tx, user_id: str, rule: Mapping[str, str]) -> Row[Any] | None:
    """The user's rule of the same service, path and method."""
    return tx.row(_RULE_LIKE, user_id=user_id, **rule)


def insert_rule(tx: Tx, values: Mapping[str, Any]) -> None:
    tx.execute(access_rules.insert(), values)


def delete_rule(tx: Tx, key: str) -> None:
    tx.execute(access_rules.delete().where(access_rules.c.id == key))


def is_used(tx: Tx, rule: Row[Any]) -> bool:
    """Whether an application credential has this rule."""
    return any(rule.id in (each.access_rule_ids or ()) for each in tx.rows(_OF_USER, user_id=rule.user_id))
