"""Allocations and their consumers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, func, select

from pileus.kernel.db import Tx
from pileus.services.placement.model import allocations, consumers, providers

_CONSUMER = select(consumers).where(consumers.c.id == bindparam("id"))
_OF_CONSUMER = (
    select(allocations, providers.c.generation)
    .join(providers, providers.c.id == allocations.c.provider_id)
    .where(allocations.c.consumer_id == bindparam("id"))
)
_OF_PROVIDER = (
    select(allocations, consumers.c.generation)
    .join(consumers, consumers.c.id == allocations.c.consumer_id)
    .where(allocations.c.provider_id == bindparam("id"))
)
_ANY_OF_PROVIDER = (
    select(allocations.c.consumer_id).where(allocations.c.provider_id == bindparam("id")).limit(1)
)
_USAGES = (
    select(consumers.c.type, allocations.c.resource_class, func.sum(allocations.c.used).label("used"))
    .join(consumers, consumers.c.id == allocations.c.consumer_id)
    .where(consumers.c.project_id == bindparam("project_id"))
    .group_by(consumers.c.type, allocations.c.resource_class)
)
_CONSUMERS = (
    select(consumers.c.type, func.count().label("consumers"))
    .where(consumers.c.project_id == bindparam("project_id"))
    .group_by(consumers.c.type)
)
_BY_USER = consumers.c.user_id == bindparam("user_id")
_USAGES_OF_USER, _CONSUMERS_OF_USER = _USAGES.where(_BY_USER), _CONSUMERS.where(_BY_USER)
_PROVIDERS_OF = (
    select(allocations.c.provider_id).where(allocations.c.consumer_id == bindparam("id")).distinct()
)
_this = consumers.c.id == bindparam("key")
_SET_CONSUMER = (
    consumers.update()
    .where(_this)
    .values(
        project_id=bindparam("project"),
        user_id=bindparam("user"),
        type=bindparam("kind"),
        generation=consumers.c.generation + 1,
    )
)
_DELETE_CONSUMER = consumers.delete().where(_this)
_CLEAR = allocations.delete().where(allocations.c.consumer_id == bindparam("key"))


def consumer(tx: Tx, consumer_id: str) -> Row[Any] | None:
    return tx.row(_CONSUMER, id=consumer_id)


def of_consumer(tx: Tx, consumer_id: str) -> Sequence[Row[Any]]:
    """With the generation of each provider."""
    return tx.rows(_OF_CONSUMER, id=consumer_id)


def of_provider(tx: Tx, provider_id: str) -> Sequence[Row[Any]]:
    """With the generation of each consumer."""
    return tx.rows(_OF_PROVIDER, id=provider_id)


def provider_is_used(tx: Tx, provider_id: str) -> bool:
    return tx.row(_ANY_OF_PROVIDER, id=provider_id) is not None


def providers_of(tx: Tx, consumer_id: str) -> set[str]:
    """Ids of the providers that a consumer has allocations from."""
    return set(tx.scalars(_PROVIDERS_OF, id=consumer_id))


def clear(tx: Tx, consumer_id: str) -> None:
    tx.execute(_CLEAR, {"key": consumer_id})


def add(tx: Tx, consumer_id: str, wanted: Mapping[str, Mapping[str, int]]) -> None:
    """Amounts by provider and class."""
    rows = [
        {
            "consumer_id": consumer_id,
            "provider_id": provider_id,
            "resource_class": name,
            "used": amount,
            "updated_at": tx.now,
        }
        for provider_id, amounts in wanted.items()
        for name, amount in amounts.items()
    ]
    tx.execute(allocations.insert(), rows)


def insert_consumer(tx: Tx, consumer_id: str, project_id: str, user_id: str, kind: str | None) -> None:
    values = {"id": consumer_id, "project_id": project_id, "user_id": user_id, "type": kind, "generation": 1}
    tx.execute(consumers.insert(), values)


def set_consumer(tx: Tx, consumer_id: str, project_id: str, user_id: str, kind: str | None) -> None:
    """Sets all, and the next generation."""
    tx.execute(_SET_CONSUMER, {"key": consumer_id, "project": project_id, "user": user_id, "kind": kind})


def delete_consumer(tx: Tx, consumer_id: str) -> None:
    tx.execute(_DELETE_CONSUMER, {"key": consumer_id})


def usages(tx: Tx, project_id: str, user_id: str | None) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]]]:
    """Sums by consumer type and resource class, and numbers of consumers by type."""
    if user_id is None:
        return tx.rows(_USAGES, project_id=project_id), tx.rows(_CONSUMERS, project_id=project_id)
    of = {"project_id": project_id, "user_id": user_id}
    return tx.rows(_USAGES_OF_USER, **of), tx.rows(_CONSUMERS_OF_USER, **of)
