"""Service providers: other clouds that take our word for who somebody is (Keystone to Keystone)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import create, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Resource
from pileus.kernel.db import Duplicate, Tx, rows
from pileus.kernel.errors import Conflict, NotFound
from pileus.services.identity.api.common import changed, given, self_link
from pileus.services.identity.api.federation.common import BY_ID, PREFIX, Url, new_id, some
from pileus.services.identity.federation.model import service_providers

RELAY_STATE_PREFIX = "ss:mem:"


class ServiceProvider(
    Resource,
    member="service_provider",
    collection="service_providers",
    path=f"{PREFIX}/service_providers",
    table=service_providers,
):
    id: str = field(read_only, filter, sort)
    auth_url: Url = field(create, update, required=True)
    sp_url: Url = field(create, update, required=True)
    description: str | None = field(create, update, default=None)
    enabled: bool = field(create, update, filter, default=False)
    relay_state_prefix: Annotated[str, msgspec.Meta(max_length=256)] | None = field(create, update)
    links: dict[str, Any] = field(render=self_link("OS-FEDERATION/service_providers"))

    default_sort = BY_ID

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"Could not find Service Provider: {key}.")


def _prefixed(values: dict[str, Any]) -> dict[str, Any]:
    if values.get("relay_state_prefix", UNSET) is None:
        values["relay_state_prefix"] = RELAY_STATE_PREFIX
    return values


@ServiceProvider.create(policy="identity:create_service_provider", by_id=True)
def create_service_provider(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Lists another cloud that our users may go to."""
    values = _prefixed({"relay_state_prefix": None, **given(body), "id": new_id(call)})
    changed(call, tx)
    try:
        return rows.add(tx, service_providers, values)
    except Duplicate as error:
        raise Conflict(
            "Conflict occurred attempting to store service_provider - "
            f"there is one with the id {values['id']}."
        ) from error


@ServiceProvider.update(policy="identity:update_service_provider", method="PATCH")
def update_service_provider(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes another cloud's entry."""
    changed(call, tx)
    rows.change(tx, service_providers, row.id, **_prefixed(some(body)))
    return rows.existing(tx, service_providers, row.id)


@ServiceProvider.delete(policy="identity:delete_service_provider")
def delete_service_provider(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Takes another cloud off the list."""
    changed(call, tx)
    rows.remove(tx, service_providers, row.id)


ServiceProvider.show(policy="identity:get_service_provider")
ServiceProvider.list(policy="identity:list_service_providers")
