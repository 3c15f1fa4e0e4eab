"""Inventories, and what is used of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, func, select

from pileus.kernel.db import Tx
from pileus.services.placement.model import allocations, inventories

_sum = func.sum(allocations.c.used).label("used")
_ONE = select(inventories).where(
    inventories.c.provider_id == bindparam("provider_id"),
    inventories.c.resource_class == bindparam("resource_class"),
)
_OF = (
    select(inventories)
    .where(inventories.c.provider_id == bindparam("provider_id"))
    .order_by(inventories.c.resource_class)
)
_ALL = select(inventories)
_USED = (
    select(allocations.c.resource_class, _sum)
    .where(allocations.c.provider_id == bindparam("provider_id"))
    .group_by(allocations.c.resource_class)
)
_ALL_USED = select(allocations.c.provider_id, allocations.c.resource_class, _sum).group_by(
    allocations.c.provider_id, allocations.c.resource_class
)
_USES_CLASS = (
    select(inventories.c.provider_id).where(inventories.c.resource_class == bindparam("name")).limit(1)
)
_this = (inventories.c.provider_id == bindparam("key")) & (inventories.c.resource_class == bindparam("name"))
_DELETE = inventories.delete().where(_this)
_RENAME_CLASS = [
    table.update().where(table.c.resource_class == bindparam("old")).values(resource_class=bindparam("new"))
    for table in (inventories, allocations)
]


def one(tx: Tx, provider_id: str, resource_class: str) -> Row[Any] | None:
    return tx.row(_ONE, provider_id=provider_id, resource_class=resource_class)


def of(tx: Tx, provider_id: str) -> Sequence[Row[Any]]:
    """A provider's, by class."""
    return tx.rows(_OF, provider_id=provider_id)


def everyones(tx: Tx) -> Sequence[Row[Any]]:
    return tx.rows(_ALL)


def put(tx: Tx, provider_id: str, wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """Adds or replaces these; others stay."""
    remove(tx, provider_id, wanted)
    rows = [
        {"provider_id": provider_id, "resource_class": name, "updated_at": tx.now, **values}
        for name, values in wanted.items()
    ]
    if rows:
        tx.execute(inventories.insert(), rows)


def remove(tx: Tx, provider_id: str, names: Sequence[str] | Mapping[str, Any]) -> None:
    if rows := [{"key": provider_id, "name": name} for name in names]:
        tx.execute(_DELETE, rows)


def used(tx: Tx, provider_id: str) -> dict[str, int]:
    """Sums of a provider's allocations, by class."""
    return {row.resource_class: int(row.used) for row in tx.rows(_USED, provider_id=provider_id)}


def everyones_used(tx: Tx) -> Sequence[Row[Any]]:
    return tx.rows(_ALL_USED)


def uses_class(tx: Tx, name: str) -> bool:
    """Whether any provider has an inventory of it."""
    return tx.row(_USES_CLASS, name=name) is not None


def rename_class(tx: Tx, old: str, new: str) -> None:
    for statement in _RENAME_CLASS:
        tx.execute(statement, {"old": old, "new": new})
