"""Claims: replacing the allocations of consumers, all of them or none.

Capacity is held against the sum of the allocation rows in the same write transaction, so two claims can never
both take what is left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict
from pileus.lib.placement import Inventory, quantity
from pileus.services.placement.cache import inventory_of
from pileus.services.placement.dialect import CONCURRENT_UPDATE, PROVIDER_NOT_FOUND
from pileus.services.placement.store import allocation as store
from pileus.services.placement.store import inventory as inventories
from pileus.services.placement.store import provider as providers
from pileus.services.placement.store.name import CLASSES

NOBODY = "00000000-0000-0000-0000-000000000000"
"""Project and user of consumers made before version 1.8 (upstream's `incomplete_consumer_*_id`)."""

Amounts = Mapping[str, Mapping[str, int]]
"""By provider id and resource class."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """All that one consumer shall have; nothing at all ends it."""

    consumer_id: str
    amounts: Amounts
    project_id: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    type: str | UnsetType | None = UNSET
    generation: int | UnsetType | None = UNSET
    """What the client believes; None that there is no such consumer; UNSET that it does not care."""


def claim(tx: Tx, claims: Sequence[Claim]) -> None:
    """Replaces what these consumers have.

    400 for providers and classes that there are not, 409 for generations that have moved on and for what
    does not fit.
    """
    consumers = {each.consumer_id: _consumer(tx, each) for each in claims}
    freed: set[str] = set()
    for consumer_id, row in consumers.items():
        if row is not None:
            freed |= store.providers_of(tx, consumer_id)
            store.clear(tx, consumer_id)
    claimed = _check(tx, claims)
    for each in claims:
        _keep(tx, each, consumers[each.consumer_id])
    providers.used(tx, sorted(claimed), sorted(freed - claimed))


def free(tx: Tx, consumer_id: str) -> bool:
    """Ends a consumer and all it has; whether there was one."""
    freed = store.providers_of(tx, consumer_id)
    if not freed:
        return False
    store.clear(tx, consumer_id)
    store.delete_consumer(tx, consumer_id)
    providers.used(tx, (), sorted(freed))
    return True


def _consumer(tx: Tx, wanted: Claim) -> Row[Any] | None:
    row = store.consumer(tx, wanted.consumer_id)
    if wanted.generation is UNSET:
        return row
    known = None if row is None else row.generation
    if known != wanted.generation:
        raise Conflict(
            f"consumer generation conflict - expected {_words(known)} but got {_words(wanted.generation)}: "
            f"the allocations of {wanted.consumer_id} were changed meanwhile; read them again.",
            kind=CONCURRENT_UPDATE,
        )
    return row


def _words(generation: int | UnsetType | None) -> str:
    return "null" if generation is None else str(generation)


def _check(tx: Tx, claims: Iterable[Claim]) -> set[str]:
    """Whether all of it fits beside what others have; the ids of the providers."""
    singly: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for each in claims:
        for provider_id, amounts in each.amounts.items():
            for name, amount in amounts.items():
                singly[provider_id][name].append(amount)
    for provider_id, classes in singly.items():
        provider = providers.get(tx, provider_id)
        if provider is None:
            raise BadRequest(f"There is no resource provider {provider_id}.", kind=PROVIDER_NOT_FOUND)
        stock = {row.resource_class: inventory_of(row) for row in inventories.of(tx, provider_id)}
        used = inventories.used(tx, provider_id)
        for name, wanted in classes.items():
            _fit(tx, provider, name, stock.get(name), used.get(name, 0), wanted)
    return set(singly)


def _fit(
    tx: Tx, provider: Row[Any], name: str, inventory: Inventory | None, used: int, wanted: Sequence[int]
) -> None:
    at = f"Unable to allocate {name} from resource provider {provider.name} ({provider.id})"
    if inventory is None:
        if not CLASSES.knows(tx, name):
            raise BadRequest(f"There is no resource class {name}.")
        raise Conflict(f"{at}: it has none.")
    for amount in wanted:
        if not (inventory.min_unit <= amount <= inventory.max_unit and amount % inventory.step_size == 0):
            raise Conflict(
                f"{at}: {amount} is not what it hands out, which is {inventory.min_unit} to "
                f"{inventory.max_unit} in steps of {inventory.step_size}."
            )
    if used + sum(wanted) > inventory.capacity:
        free = quantity(name, max(0, int(inventory.capacity) - used))
        raise Conflict(f"{at}: {quantity(name, sum(wanted))} wanted, {free} free.")


def _keep(tx: Tx, wanted: Claim, known: Row[Any] | None) -> None:
    if not wanted.amounts:
        if known is not None:
            store.delete_consumer(tx, wanted.consumer_id)
        return
    project_id, user_id, kind = wanted.project_id, wanted.user_id, wanted.type
    if known is None:
        store.insert_consumer(
            tx,
            wanted.consumer_id,
            NOBODY if project_id is UNSET else project_id,
            NOBODY if user_id is UNSET else user_id,
            None if kind is UNSET else kind,
        )
    else:
        store.set_consumer(
            tx,
            wanted.consumer_id,
            known.project_id if project_id is UNSET else project_id,
            known.user_id if user_id is UNSET else user_id,
            known.type if kind is UNSET else kind,
        )
    store.add(tx, wanted.consumer_id, wanted.amounts)
