"""All providers in memory, as the search wants them, brought up to date from the database before each use.

What has changed since the last look is found by its tick (store/tick.py), whoever changed it: this process or
another. A claim makes its provider's sums be read again; only a change of inventories, traits, aggregates or
tree makes the whole provider be read. Deleted ones show in the count: every provider that is there is known
here, so as many means the same.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.lib.placement import Inventory, Provider, Providers
from pileus.services.placement.store import inventory as inventories
from pileus.services.placement.store import provider as store
from pileus.services.placement.store import tick

_ONE_BY_ONE = 20
"""Most changed providers that are read one by one; beyond, reading all at once is cheaper."""


def inventory_of(row: Row[Any]) -> Inventory:
    return Inventory(
        total=row.total,
        reserved=row.reserved,
        min_unit=row.min_unit,
        max_unit=row.max_unit,
        step_size=row.step_size,
        allocation_ratio=row.allocation_ratio,
    )


def _usages(tx: Tx) -> Mapping[str, dict[str, int]]:
    """All sums, by provider and class."""
    used: dict[str, dict[str, int]] = defaultdict(dict)
    for each in inventories.everyones_used(tx):
        used[each.provider_id][each.resource_class] = int(each.used)
    return used


class ProviderCache:
    """Used from the database's reader threads, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._providers = Providers()
        self._horizon = 0

    @contextmanager
    def current(self, tx: Tx) -> Iterator[Providers]:
        """The providers as this transaction sees them; not to be kept beyond the block."""
        with self._lock:
            self._catch_up(tx)
            yield self._providers

    def _catch_up(self, tx: Tx) -> None:
        changed = store.changed_since(tx, self._horizon)
        described = [
            row for row in changed if row.described >= self._horizon or self._providers.get(row.id) is None
        ]
        if len(described) > _ONE_BY_ONE:
            self._read_all(tx)
        else:
            for row in described:
                self._read_one(tx, row)
            self._read_usages(tx, [row.id for row in changed])
            if store.count(tx) != len(self._providers):
                self._read_all(tx)
        # Where another thread has looked from a newer snapshot, the horizon goes back and some is read twice.
        self._horizon = tick.horizon(tx)

    def _read_usages(self, tx: Tx, provider_ids: Sequence[str]) -> None:
        at_once = _usages(tx) if len(provider_ids) > _ONE_BY_ONE else None
        for provider_id in provider_ids:
            known = self._providers.get(provider_id)
            assert known is not None
            used = inventories.used(tx, provider_id) if at_once is None else at_once[provider_id]
            self._providers.put(msgspec.structs.replace(known, used=used))

    def _read_one(self, tx: Tx, row: Row[Any]) -> None:
        """All but the usages."""
        self._providers.put(
            Provider(
                id=row.id,
                root_id=row.root_id,
                parent_id=row.parent_id,
                name=row.name,
                inventories={each.resource_class: inventory_of(each) for each in inventories.of(tx, row.id)},
                traits=frozenset(store.traits_of(tx, row.id)),
                aggregates=frozenset(store.aggregates_of(tx, row.id)),
            )
        )

    def _read_all(self, tx: Tx) -> None:
        stock: dict[str, dict[str, Inventory]] = defaultdict(dict)
        for each in inventories.everyones(tx):
            stock[each.provider_id][each.resource_class] = inventory_of(each)
        used = _usages(tx)
        traits: dict[str, list[str]] = defaultdict(list)
        for each in store.all_traits(tx):
            traits[each.provider_id].append(each.trait)
        alike: dict[frozenset[str], frozenset[str]] = {}
        aggregates: dict[str, list[str]] = defaultdict(list)
        for each in store.all_aggregates(tx):
            aggregates[each.provider_id].append(each.aggregate_id)
        self._providers = Providers(
            Provider(
                id=row.id,
                root_id=row.root_id,
                parent_id=row.parent_id,
                name=row.name,
                inventories=stock[row.id],
                used=used[row.id],
                traits=alike.setdefault(one := frozenset(traits[row.id]), one),
                aggregates=frozenset(aggregates[row.id]),
            )
            for row in store.everyone(tx)
        )
