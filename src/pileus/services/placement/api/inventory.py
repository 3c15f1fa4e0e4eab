"""Inventories of a provider: all of them, and one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import NonNegativeInt, PositiveInt
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict, MethodNotAllowed, NotFound
from pileus.kernel.http.reply import Reply
from pileus.lib.placement.model import MAX_UNIT
from pileus.services.placement import policy
from pileus.services.placement.api.common import (
    PROVIDER,
    ClassName,
    answer,
    check_generation,
    location,
    provider_of,
)
from pileus.services.placement.dialect import INVENTORY_IN_USE
from pileus.services.placement.store import inventory as store
from pileus.services.placement.store import provider as providers
from pileus.services.placement.store.name import CLASSES
from pileus.services.placement.versions import V

routes = Routes()
_ALL, _ONE = PROVIDER + "/inventories", PROVIDER + "/inventories/{resource_class}"
Ratio = Annotated[float, Meta(le=3.40282e38)]
"""At most what a single-precision number holds, as upstream."""
_SHOWN = ("total", "reserved", "min_unit", "max_unit", "step_size", "allocation_ratio")


class Stock(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One inventory."""

    total: PositiveInt
    reserved: NonNegativeInt = 0
    min_unit: PositiveInt = 1
    max_unit: PositiveInt = MAX_UNIT
    step_size: PositiveInt = 1
    allocation_ratio: Ratio = 1.0
    resource_provider_generation: int | UnsetType = UNSET


class NewStock(Stock, kw_only=True):
    resource_class: ClassName


class GuardedStock(Stock, kw_only=True):
    resource_provider_generation: int


class WholeStock(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All inventories of a provider, by class; asked for as it is shown."""

    resource_provider_generation: int
    inventories: dict[ClassName, Stock]


def values_of(call: Call, provider_id: str, name: str, stock: Stock) -> dict[str, Any]:
    """The row of an inventory; 400 where nothing, or less, would be left of it."""
    capacity = int((stock.total - stock.reserved) * stock.allocation_ratio)
    if capacity < 0 or (capacity == 0 and not call.has(V.ALL_RESERVED)):
        raise BadRequest(
            f"Unable to set the inventory of {name} of resource provider {provider_id}: of a total of "
            f"{stock.total}, {stock.reserved} are reserved at a ratio of {stock.allocation_ratio:g}, "
            f"which leaves {capacity}."
        )
    return {each: getattr(stock, each) for each in _SHOWN}


def check_classes(tx: Tx, names: Iterable[str]) -> None:
    if unknown := CLASSES.unknown(tx, names):
        raise BadRequest(f"Unknown resource class in inventory: No such resource class {', '.join(unknown)}.")


def check_unused(tx: Tx, provider_id: str, names: Iterable[str]) -> None:
    """409 where something is allocated from one of these inventories."""
    used = store.used(tx, provider_id)
    if held := sorted(name for name in names if used.get(name)):
        raise Conflict(
            f"Inventory for {', '.join(held)} on resource provider {provider_id} in use: "
            "delete its allocations first.",
            kind=INVENTORY_IN_USE,
        )


def _values(row: Row[Any]) -> dict[str, Any]:
    return {each: getattr(row, each) for each in _SHOWN}


def _whole(call: Call, tx: Tx, provider: Row[Any]) -> Reply:
    rows = store.of(tx, provider.id)
    stock = WholeStock(
        resource_provider_generation=provider.generation,
        inventories={row.resource_class: Stock(**_values(row)) for row in rows},
    )
    return answer(call, stock, _newest(tx, rows))


def _newest(tx: Tx, rows: Iterable[Row[Any]]) -> datetime:
    return max((row.updated_at for row in rows), default=tx.now)


def _single(
    call: Call, provider: Row[Any], values: Mapping[str, Any], modified: datetime, status: int = 200
) -> Reply:
    stock = GuardedStock(resource_provider_generation=provider.generation, **values)
    return answer(call, stock, modified, status)


@routes.add("GET", _ALL, policy=policy.LIST_INVENTORIES, answers=WholeStock)
def list_inventories(call: Call, tx: Tx) -> Reply:
    """All inventories of a provider."""
    return _whole(call, tx, provider_of(call, tx))


@routes.add("POST", _ALL, policy=policy.CREATE_INVENTORY, body=NewStock, status=201, answers=GuardedStock)
def create_inventory(call: Call, tx: Tx, body: NewStock) -> Reply:
    """Adds an inventory of one class."""
    provider, name = provider_of(call, tx), body.resource_class
    if body.resource_provider_generation is not UNSET:
        check_generation(provider, body.resource_provider_generation)
    check_classes(tx, (name,))
    values = values_of(call, provider.id, name, body)
    if store.one(tx, provider.id, name) is not None:
        raise Conflict(
            f"Resource provider {provider.id} has an inventory of {name} already; update it by PUT."
        )
    store.put(tx, provider.id, {name: values})
    provider = providers.advance(tx, provider.id)
    reply = _single(call, provider, values, tx.now, 201)
    reply.headers.update(location(call, f"/resource_providers/{provider.id}/inventories/{name}"))
    return reply


@routes.add("PUT", _ALL, policy=policy.UPDATE_INVENTORIES, body=WholeStock, answers=WholeStock)
def replace_inventories(call: Call, tx: Tx, body: WholeStock) -> Reply:
    """Replaces all inventories of a provider."""
    provider = provider_of(call, tx)
    check_generation(provider, body.resource_provider_generation)
    check_classes(tx, body.inventories)
    wanted = {name: values_of(call, provider.id, name, stock) for name, stock in body.inventories.items()}
    gone = [row.resource_class for row in store.of(tx, provider.id) if row.resource_class not in wanted]
    check_unused(tx, provider.id, gone)
    store.remove(tx, provider.id, gone)
    store.put(tx, provider.id, wanted)
    return _whole(call, tx, providers.advance(tx, provider.id))


@routes.add("DELETE", _ALL, policy=policy.DELETE_INVENTORIES, status=204, since=V.DELETE_INVENTORIES)
def delete_inventories(call: Call, tx: Tx) -> None:
    """Deletes all inventories of a provider."""
    provider = provider_of(call, tx)
    names = [row.resource_class for row in store.of(tx, provider.id)]
    check_unused(tx, provider.id, names)
    store.remove(tx, provider.id, names)
    providers.advance(tx, provider.id)


@routes.add("DELETE", _ALL, policy=policy.DELETE_INVENTORIES, status=204, until=V.LISTED_BY_ROOM)
def delete_inventories_too_early(call: Call, tx: Tx) -> None:
    """Not before 1.5."""
    raise MethodNotAllowed(
        f"DELETE of all inventories needs version {V.DELETE_INVENTORIES}.",
        headers={"allow": "GET, POST, PUT"},
    )


def _named(call: Call, tx: Tx, provider: Row[Any]) -> Row[Any]:
    name = call.params["resource_class"]
    row = None if "\0" in name else store.one(tx, provider.id, name)
    if row is None:
        raise NotFound(f"No inventory of class {name} found for resource provider {provider.id}.")
    return row


@routes.add("GET", _ONE, policy=policy.SHOW_INVENTORY, answers=GuardedStock)
def show_inventory(call: Call, tx: Tx) -> Reply:
    """One inventory."""
    provider = provider_of(call, tx)
    row = _named(call, tx, provider)
    return _single(call, provider, _values(row), row.updated_at)


@routes.add("PUT", _ONE, policy=policy.UPDATE_INVENTORIES, body=GuardedStock, answers=GuardedStock)
def update_inventory(call: Call, tx: Tx, body: GuardedStock) -> Reply:
    """Replaces one inventory."""
    provider, name = provider_of(call, tx), call.params["resource_class"]
    check_generation(provider, body.resource_provider_generation)
    values = values_of(call, provider.id, name, body)
    try:
        _named(call, tx, provider)
    except NotFound as error:  # upstream's status for an update
        raise BadRequest(f"No inventory record with resource class: {error.message}") from error
    store.put(tx, provider.id, {name: values})
    return _single(call, providers.advance(tx, provider.id), values, tx.now)


@routes.add("DELETE", _ONE, policy=policy.DELETE_INVENTORIES, status=204)
def delete_inventory(call: Call, tx: Tx) -> None:
    """Deletes one inventory."""
    provider = provider_of(call, tx)
    row = _named(call, tx, provider)
    check_unused(tx, provider.id, (row.resource_class,))
    store.remove(tx, provider.id, (row.resource_class,))
    providers.advance(tx, provider.id)
