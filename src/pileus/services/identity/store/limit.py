"""Unified limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.identity.limit_model import limits, registered_limits

_REGISTERED = select(registered_limits).where(
    registered_limits.c.service_id == bindparam("service_id"),
    registered_limits.c.region_key == bindparam("region_key"),
    registered_limits.c.resource_name == bindparam("resource_name"),
)
_OF_REGISTERED = select(limits).where(limits.c.registered_limit_id == bindparam("registered_limit_id"))
_OF_OWNER = select(limits).where(limits.c.owner_id == bindparam("owner_id")).order_by(limits.c.id)
_FORGET_OWNER = limits.delete().where(limits.c.owner_id == bindparam("of_owner"))


def registered(tx: Tx, service_id: str, region_key: str, resource_name: str) -> Row[Any] | None:
    return tx.row(_REGISTERED, service_id=service_id, region_key=region_key, resource_name=resource_name)


def of_registered(tx: Tx, registered_limit_id: str) -> Sequence[Row[Any]]:
    """The limits that stand in place of a registered one, of whomever."""
    return tx.rows(_OF_REGISTERED, registered_limit_id=registered_limit_id)


def by_owner(tx: Tx, registered_limit_id: str) -> Mapping[str, int]:
    """The same as numbers by project or domain."""
    return {row.owner_id: row.resource_limit for row in of_registered(tx, registered_limit_id)}


def of_owner(tx: Tx, owner_id: str) -> Sequence[Row[Any]]:
    """The limits of a project or domain."""
    return tx.rows(_OF_OWNER, owner_id=owner_id)


def forget_owner(tx: Tx, owner_id: str) -> None:
    """Drops the limits of a project or domain that is going."""
    tx.execute(_FORGET_OWNER, {"of_owner": owner_id})
