"""Regions, services and endpoints: what the catalog is made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Text255, create, field, filter, read_only, sort, update
from pileus.kernel.api.resource import Resource
from pileus.kernel.db import Duplicate, Tx, rows
from pileus.kernel.errors import BadRequest, Conflict, Forbidden, NotFound
from pileus.kernel.ids import new_hex
from pileus.services.identity.api.common import changed, described, given, merged_extra, self_link
from pileus.services.identity.model import endpoints, regions, services
from pileus.services.identity.store import catalog, policy

BY_ID = (("id", "asc"),)
Interface = Literal["public", "internal", "admin"]
RegionId = Annotated[str, msgspec.Meta(max_length=255)]


class Region(Resource, member="region", collection="regions", table=regions, extras="extra"):
    id: RegionId = field(create, filter, sort)
    description: str | None = field(create, update, default="")
    parent_region_id: str | None = field(create, update, filter, default=None)
    links: dict[str, Any] = field(render=self_link("regions"))

    default_sort = BY_ID


@Region.create(policy="identity:create_region")
def create_region(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a region, with the id wanted or one of ours."""
    return _insert_region(call, tx, body, given(body).get("id") or new_hex())


@Region.create(policy="identity:create_region", by_id=True)
def create_named_region(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a region with the id of the path."""
    named = call.params["id"]
    if given(body).get("id", named) != named:
        raise BadRequest(f"The body names another region than the path: {body.id}.")
    return _insert_region(call, tx, body, named)


def _insert_region(call: Call, tx: Tx, body: Any, region_id: str) -> Row[Any]:
    values = {**described(given(body)), "id": region_id}
    _check_region(tx, values.get("parent_region_id"))
    try:
        return rows.add(tx, regions, values)
    except Duplicate as error:
        raise Conflict(
            f"Conflict occurred attempting to store region - there is a region {region_id}."
        ) from error


def _check_region(tx: Tx, region_id: str | None) -> None:
    if region_id is not None and rows.get(tx, regions, region_id) is None:
        raise NotFound(f"Could not find region: {region_id}.")


@Region.update(policy="identity:update_region", method="PATCH")
def update_region(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a region."""
    values = {**described(given(body, "extra")), "extra": merged_extra(row, body)}
    _check_region(tx, values.get("parent_region_id"))
    if values.get("parent_region_id") == row.id:
        raise BadRequest("A region can't be its own parent.")
    rows.change(tx, regions, row.id, **values)
    return rows.existing(tx, regions, row.id)


@Region.delete(policy="identity:delete_region")
def delete_region(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a region that has no children."""
    if catalog.has_children(tx, row.id):
        raise Forbidden(
            f"Unable to delete region {row.id} because it or its child regions have associated endpoints."
        )
    policy.forget(tx, region_id=row.id)
    rows.remove(tx, regions, row.id)
    changed(call, tx)


Region.show(policy="identity:get_region")
Region.list(policy="identity:list_regions")


class ServiceRecord(
    Resource, member="service", collection="services", table=services, extras="extra", kind="Service"
):
    id: str = field(read_only, filter, sort)
    type: Text255 = field(create, update, filter, required=True)
    name: Text255 | None = field(create, update, filter, sort, default=None)
    description: str | None = field(create, update, default=None)
    enabled: bool = field(create, update, filter, default=True)
    links: dict[str, Any] = field(render=self_link("services"))

    default_sort = BY_ID


@ServiceRecord.create(policy="identity:create_service")
def create_service(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Lists a service."""
    changed(call, tx)
    return rows.add(tx, services, {**given(body), "id": new_hex()})


@ServiceRecord.update(policy="identity:update_service", method="PATCH")
def update_service(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a service's entry."""
    changed(call, tx)
    rows.change(tx, services, row.id, **given(body, "extra"), extra=merged_extra(row, body))
    return rows.existing(tx, services, row.id)


@ServiceRecord.delete(policy="identity:delete_service")
def delete_service(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Takes a service with its endpoints off the list."""
    changed(call, tx)
    policy.forget(tx, service_id=row.id)
    rows.remove(tx, services, row.id)


ServiceRecord.show(policy="identity:get_service")
ServiceRecord.list(policy="identity:list_services")


class Endpoint(Resource, member="endpoint", collection="endpoints", table=endpoints, extras="extra"):
    id: str = field(read_only, filter, sort)
    service_id: str = field(create, update, filter, required=True)
    interface: Interface = field(create, update, filter, required=True)
    region_id: str | None = field(create, update, filter, default=None)
    region: str | None = field(create, update, column=None, render=lambda call, row: row.region_id)
    url: str = field(create, update, required=True)
    enabled: bool = field(create, update, filter, default=True)
    links: dict[str, Any] = field(render=self_link("endpoints"))

    default_sort = BY_ID


def _endpoint_values(call: Call, tx: Tx, body: Any) -> dict[str, Any]:
    values = given(body, "extra")
    region = values.pop("region", None)
    if region is not None:  # the old name makes the region where there is none
        values["region_id"] = region
        if rows.get(tx, regions, region) is None:
            rows.add(tx, regions, {"id": region, "description": "", "parent_region_id": None, "extra": {}})
    _check_region(tx, values.get("region_id"))
    if "service_id" in values and rows.get(tx, services, values["service_id"]) is None:
        raise BadRequest(f"Could not find service: {values['service_id']}.")
    url = values.get("url", UNSET)
    if url is not UNSET and not urlsplit(url).scheme:
        raise BadRequest(f"The address {url!r} is no URL.")
    changed(call, tx)
    return values


@Endpoint.create(policy="identity:create_endpoint")
def create_endpoint(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Lists an address of a service."""
    return rows.add(tx, endpoints, {**_endpoint_values(call, tx, body), "extra": body.extra, "id": new_hex()})


@Endpoint.update(policy="identity:update_endpoint", method="PATCH")
def update_endpoint(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes an address."""
    values = {**_endpoint_values(call, tx, body), "extra": merged_extra(row, body)}
    rows.change(tx, endpoints, row.id, **values)
    return rows.existing(tx, endpoints, row.id)


@Endpoint.delete(policy="identity:delete_endpoint")
def delete_endpoint(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Takes an address off the list."""
    changed(call, tx)
    policy.forget(tx, endpoint_id=row.id)
    rows.remove(tx, endpoints, row.id)


Endpoint.show(policy="identity:get_endpoint")
Endpoint.list(policy="identity:list_endpoints")
