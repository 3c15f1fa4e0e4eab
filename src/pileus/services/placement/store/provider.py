"""Resource providers, their trees, traits and aggregates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, func, select

from pileus.kernel.db import Tx
from pileus.services.placement.model import inventories, provider_aggregates, provider_traits, providers
from pileus.services.placement.store import tick

_GET = select(providers).where(providers.c.id == bindparam("id"))
_ALL = select(providers).order_by(providers.c.created_at, providers.c.id)
_COUNT = select(func.count()).select_from(providers)
_CHANGED = (
    select(
        providers.c.id,
        providers.c.root_id,
        providers.c.parent_id,
        providers.c.name,
        providers.c.described,
    )
    .where(providers.c.changed >= bindparam("since"))
    .order_by(providers.c.created_at, providers.c.id)
)
_CHILDREN = select(func.count()).select_from(providers).where(providers.c.parent_id == bindparam("id"))
_IN_TREE = select(providers.c.id, providers.c.parent_id).where(providers.c.root_id == bindparam("root_id"))
_TRAITS = (
    select(provider_traits.c.trait)
    .where(provider_traits.c.provider_id == bindparam("id"))
    .order_by(provider_traits.c.trait)
)
_AGGREGATES = (
    select(provider_aggregates.c.aggregate_id)
    .where(provider_aggregates.c.provider_id == bindparam("id"))
    .order_by(provider_aggregates.c.aggregate_id)
)
_ALL_TRAITS = select(provider_traits.c.provider_id, provider_traits.c.trait)
_ALL_AGGREGATES = select(provider_aggregates.c.provider_id, provider_aggregates.c.aggregate_id)
_USES_TRAIT = (
    select(provider_traits.c.provider_id).where(provider_traits.c.trait == bindparam("trait")).limit(1)
)
_TRAITS_IN_USE = select(provider_traits.c.trait).distinct()

_this = providers.c.id == bindparam("key")
_values: dict[str, Any] = {"changed": bindparam("tick"), "updated_at": bindparam("now")}
_ADVANCE = (
    providers.update()
    .where(_this)
    .values(generation=providers.c.generation + 1, described=bindparam("tick"), **_values)
)
_CLAIMED = providers.update().where(_this).values(generation=providers.c.generation + 1, **_values)
_FREED = providers.update().where(_this).values(changed=bindparam("tick"))
_SET = providers.update().where(_this).values(described=bindparam("tick"), **_values)
_HOLDERS = select(inventories.c.provider_id).where(inventories.c.resource_class == bindparam("held"))
_MARK_HOLDERS = (
    providers.update()
    .where(providers.c.id.in_(_HOLDERS))
    .values(changed=bindparam("tick"), described=bindparam("tick"))
)
_DELETE = providers.delete().where(providers.c.id == bindparam("key"))
_DROP_TRAITS = provider_traits.delete().where(provider_traits.c.provider_id == bindparam("key"))
_DROP_AGGREGATES = provider_aggregates.delete().where(provider_aggregates.c.provider_id == bindparam("key"))


def get(tx: Tx, provider_id: str) -> Row[Any] | None:
    return tx.row(_GET, id=provider_id)


def existing(tx: Tx, provider_id: str) -> Row[Any]:
    row = get(tx, provider_id)
    assert row is not None
    return row


def everyone(tx: Tx) -> Sequence[Row[Any]]:
    """All, in the order in which they were made."""
    return tx.rows(_ALL)


def count(tx: Tx) -> int:
    number: int = tx.scalar(_COUNT)
    return number


def changed_since(tx: Tx, since: int) -> Sequence[Row[Any]]:
    """Those whose last change has this tick or a later one."""
    return tx.rows(_CHANGED, since=since)


def insert(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    now = tick.advance(tx)
    tx.execute(
        providers.insert(),
        {
            "generation": 0,
            "changed": now,
            "described": now,
            "created_at": tx.now,
            "updated_at": tx.now,
            **values,
        },
    )
    return existing(tx, values["id"])


def change(tx: Tx, provider_id: str, values: Mapping[str, Any]) -> Row[Any]:
    """Sets name or parent."""
    tx.execute(_SET.values(**values), {"key": provider_id, "tick": tick.advance(tx), "now": tx.now})
    return existing(tx, provider_id)


def delete(tx: Tx, provider_id: str) -> None:
    tx.execute(_DELETE, {"key": provider_id})


def has_children(tx: Tx, provider_id: str) -> bool:
    return bool(tx.scalar(_CHILDREN, id=provider_id))


def subtree(tx: Tx, root_id: str, top_id: str) -> list[str]:
    """Ids of a provider and all that descend from it."""
    children: dict[str | None, list[str]] = {}
    for row in tx.rows(_IN_TREE, root_id=root_id):
        children.setdefault(row.parent_id, []).append(row.id)
    found = [top_id]
    for provider_id in found:
        found.extend(children.get(provider_id, ()))
    return found


def move(tx: Tx, provider_ids: Iterable[str], root_id: str) -> None:
    """Makes these members of another tree."""
    now = tick.advance(tx)
    for provider_id in provider_ids:
        tx.execute(_SET.values(root_id=root_id), {"key": provider_id, "tick": now, "now": tx.now})


def advance(tx: Tx, provider_id: str) -> Row[Any]:
    """The next generation: inventories, traits or aggregates have changed."""
    tx.execute(_ADVANCE, {"key": provider_id, "tick": tick.advance(tx), "now": tx.now})
    return existing(tx, provider_id)


def touch(tx: Tx, provider_id: str) -> Row[Any]:
    """As `advance`, for old clients whose changes leave the generation as it is."""
    return change(tx, provider_id, {})


def used(tx: Tx, claimed: Iterable[str], freed: Iterable[str]) -> None:
    """Usages have changed: those who were claimed from get a new generation, those merely freed do not."""
    now = tick.advance(tx)
    if rows := [{"key": provider_id, "tick": now, "now": tx.now} for provider_id in claimed]:
        tx.execute(_CLAIMED, rows)
    if rows := [{"key": provider_id, "tick": now} for provider_id in freed]:
        tx.execute(_FREED, rows)


def mark_holders(tx: Tx, resource_class: str) -> None:
    """All with an inventory of this class are to be read again."""
    tx.execute(_MARK_HOLDERS, {"held": resource_class, "tick": tick.advance(tx)})


# Traits and aggregates


def traits_of(tx: Tx, provider_id: str) -> list[str]:
    return list(tx.scalars(_TRAITS, id=provider_id))


def all_traits(tx: Tx) -> Sequence[Row[Any]]:
    return tx.rows(_ALL_TRAITS)


def set_traits(tx: Tx, provider_id: str, names: Iterable[str]) -> None:
    tx.execute(_DROP_TRAITS, {"key": provider_id})
    if rows := [{"provider_id": provider_id, "trait": name} for name in names]:
        tx.execute(provider_traits.insert(), rows)


def uses_trait(tx: Tx, name: str) -> bool:
    """Whether any provider has it."""
    return tx.row(_USES_TRAIT, trait=name) is not None


def traits_in_use(tx: Tx) -> set[str]:
    return set(tx.scalars(_TRAITS_IN_USE))


def aggregates_of(tx: Tx, provider_id: str) -> list[str]:
    return list(tx.scalars(_AGGREGATES, id=provider_id))


def all_aggregates(tx: Tx) -> Sequence[Row[Any]]:
    return tx.rows(_ALL_AGGREGATES)


def set_aggregates(tx: Tx, provider_id: str, ids: Iterable[str]) -> None:
    tx.execute(_DROP_AGGREGATES, {"key": provider_id})
    if rows := [{"provider_id": provider_id, "aggregate_id": each} for each in ids]:
        tx.execute(provider_aggregates.insert(), rows)
