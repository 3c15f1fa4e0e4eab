"""Registered limits: what every project and domain has of a service's resource unless it was given another limit."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Name, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Resource
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Duplicate, Tx, rows
from pileus.kernel.errors import BadRequest, Conflict, Forbidden
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.common import given, self_link
from pileus.services.identity.limit_model import NO_REGION, registered_limits
from pileus.services.identity.model import regions, services
from pileus.services.identity.store import limit

Number = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]
"""-1 is no limit."""
RegionId = Annotated[str, msgspec.Meta(max_length=255)]
Description = str | None


def region_of(call: Call, row: Row[Any]) -> str | None:
    """Renders the region; where there is none, null."""
    return row.region_key or None


class RegisteredLimit(
    Resource,
    member="registered_limit",
    collection="registered_limits",
    table=registered_limits,
    id_param="registered_limit_id",
):
    id: str = field(read_only, sort)
    service_id: str = field(update, filter)
    region_id: RegionId | None = field(update, filter, column="region_key", render=region_of)
    resource_name: Name = field(update, filter, sort)
    default_limit: Number = field(update)
    description: Description = field(update)
    links: dict[str, Any] = field(render=self_link("registered_limits"))

    default_sort = (("id", "asc"),)


class _NewRegisteredLimit(msgspec.Struct, forbid_unknown_fields=True):
    service_id: str
    resource_name: Name
    default_limit: Number
    region_id: RegionId | None = None
    description: Description | UnsetType = UNSET


class NewRegisteredLimits(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v3/registered_limits`."""

    registered_limits: Annotated[list[_NewRegisteredLimit], msgspec.Meta(min_length=1)]


routes = Routes()


@routes.add(
    "POST",
    "/registered_limits",
    policy="identity:create_registered_limits",
    status=201,
    body=NewRegisteredLimits,
    answers=[RegisteredLimit],
)
def create_registered_limits(call: Call, tx: Tx, body: NewRegisteredLimits) -> dict[str, Any]:
    """Registers limits, all or none."""
    show = RegisteredLimit.view(call)
    return {"registered_limits": [show(_insert(tx, new)) for new in body.registered_limits]}


def _insert(tx: Tx, new: _NewRegisteredLimit) -> Row[Any]:
    values = {**_checked(tx, given(new)), "id": new_hex()}
    values.setdefault("description", None)
    try:
        return rows.add(tx, registered_limits, values)
    except Duplicate as error:
        raise _twice(new.resource_name) from error


def _checked(tx: Tx, values: dict[str, Any]) -> dict[str, Any]:
    """The values as columns, once the service and the region that they name are there."""
    service_id = values.get("service_id")
    if service_id is not None and rows.get(tx, services, service_id) is None:
        raise BadRequest(f"There is no service {service_id}.")
    if "region_id" in values:
        region_id = values.pop("region_id")
        if region_id is not None and rows.get(tx, regions, region_id) is None:
            raise BadRequest(f"There is no region {region_id}.")
        values["region_key"] = region_id or NO_REGION
    return values


def _twice(name: str) -> Conflict:
    return Conflict(
        f"Conflict occurred attempting to store registered_limit - {name} has one for this service and region."
    )


@RegisteredLimit.update(policy="identity:update_registered_limit", method="PATCH")
def update_registered_limit(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes one; what it is for stays as long as limits stand in its place."""
    values = _checked(tx, given(body))
    moved = any(
        values.get(name, getattr(row, name)) != getattr(row, name)
        for name in ("service_id", "region_key", "resource_name")
    )
    if moved and limit.of_registered(tx, row.id):
        raise _referred(row)
    try:
        rows.change(tx, registered_limits, row.id, **values)
        return rows.existing(tx, registered_limits, row.id)
    except Duplicate as error:
        raise _twice(values.get("resource_name", row.resource_name)) from error


def _referred(row: Row[Any]) -> Forbidden:
    return Forbidden(
        f"Unable to update or delete registered limit {row.id} because there are project limits associated with it."
    )


@RegisteredLimit.delete(policy="identity:delete_registered_limit")
def delete_registered_limit(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes one that no limit stands in place of."""
    if limit.of_registered(tx, row.id):
        raise _referred(row)
    rows.remove(tx, registered_limits, row.id)


RegisteredLimit.show(policy="identity:get_registered_limit")
RegisteredLimit.list(policy="identity:list_registered_limits")
