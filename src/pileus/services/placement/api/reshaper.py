"""The reshaper: inventories and allocations of them move between providers, all at once or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pileus.kernel.api.call import Call
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest
from pileus.services.placement import policy
from pileus.services.placement.api.allocation import Allocations28, Allocations34, Allocations38, claim_of
from pileus.services.placement.api.common import AnyUuid, check_generation
from pileus.services.placement.api.inventory import WholeStock, check_classes, check_unused, values_of
from pileus.services.placement.claim import claim
from pileus.services.placement.dialect import PROVIDER_NOT_FOUND
from pileus.services.placement.store import inventory as inventories
from pileus.services.placement.store import provider as providers
from pileus.services.placement.versions import V

routes = Routes()
Stocks = Annotated[dict[AnyUuid, WholeStock], Meta(min_length=1)]


class Shape28(msgspec.Struct, forbid_unknown_fields=True):
    inventories: Stocks
    allocations: dict[AnyUuid, Allocations28]


class Shape34(msgspec.Struct, forbid_unknown_fields=True):
    inventories: Stocks
    allocations: dict[AnyUuid, Allocations34]


class Shape38(msgspec.Struct, forbid_unknown_fields=True):
    inventories: Stocks
    allocations: dict[AnyUuid, Allocations38]


def _reshape(call: Call, tx: Tx, body: Shape28 | Shape34 | Shape38) -> None:
    """Sets inventories of providers and allocations of consumers at once."""
    wanted = {key.lower(): _stock(call, tx, key.lower(), stock) for key, stock in body.inventories.items()}
    # What is given up is there until the allocations have moved away from it.
    for provider_id, stocks in wanted.items():
        inventories.put(tx, provider_id, stocks)
        providers.advance(tx, provider_id)
    if body.allocations:
        claim(tx, [claim_of(consumer, each) for consumer, each in body.allocations.items()])
    for provider_id, stocks in wanted.items():
        gone = [
            row.resource_class for row in inventories.of(tx, provider_id) if row.resource_class not in stocks
        ]
        check_unused(tx, provider_id, gone)
        inventories.remove(tx, provider_id, gone)
        providers.advance(tx, provider_id)


def _stock(call: Call, tx: Tx, provider_id: str, stock: WholeStock) -> Mapping[str, Mapping[str, Any]]:
    provider = providers.get(tx, provider_id)
    if provider is None:
        raise BadRequest(
            f"Resource provider {provider_id} in inventories is not found.", kind=PROVIDER_NOT_FOUND
        )
    check_generation(provider, stock.resource_provider_generation)
    check_classes(tx, stock.inventories)
    return {name: values_of(call, provider_id, name, each) for name, each in stock.inventories.items()}


for _body, _since, _until in (
    (Shape28, V.RESHAPER, V.GROUP_NAMES),
    (Shape34, V.MAPPINGS, V.REPARENT),
    (Shape38, V.CONSUMER_TYPES, None),
):
    routes.add(
        "POST", "/reshaper", policy=policy.RESHAPE, body=_body, status=204, since=_since, until=_until
    )(_reshape)
