"""Aggregates: hosts with something in common, such as a zone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta
from sqlalchemy import Row, select

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import field
from pileus.kernel.api.resource import Resource, Visibility
from pileus.kernel.db import Duplicate, Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.kernel.ids import new_uuid
from pileus.services.compute.api.types import Id255, MetadataKey, Name, Text255
from pileus.services.compute.model import aggregates
from pileus.services.compute.store import host as hosts
from pileus.services.compute.store import server as servers
from pileus.services.compute.versions import V

AGGREGATES = "os_compute_api:os-aggregates"
ZONE = "availability_zone"
ZoneName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^:\x00-\x1f]+\Z")]


class Aggregate(
    Resource,
    member="aggregate",
    collection="aggregates",
    path="/os-aggregates",
    table=aggregates,
    id_param="aggregate_id",
):
    id: int = field()
    name: str = field()
    availability_zone: str | None = field(render=lambda call, row: row.metadata.get(ZONE))
    hosts: list[str] = field()
    metadata: dict[str, str] = field()
    created_at: datetime = field()
    updated_at: datetime | None = field()
    deleted: bool = field(render=lambda call, row: False)
    deleted_at: None = field(render=lambda call, row: None)
    uuid: str = field(since=V.AGGREGATE_UUID)

    default_sort = (("id", "asc"),)

    @classmethod
    def visible(cls, call: Call) -> Visibility:
        return None

    @classmethod
    def load(cls, call: Call, tx: Tx, key: str) -> Row[Any]:
        digits = key.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            raise BadRequest(
                f"Invalid input for field/attribute id. Value: {key}. It must be a whole number."
            )
        if digits != key or len(digits) >= 10:
            raise cls.not_found(key)
        return super().load(call, tx, key)

    @classmethod
    def shown(cls, call: Call, view: str) -> Any:
        """A new one is shown without what it can't have yet, as upstream."""
        fields = super().shown(call, view)
        return (
            fields if view == "full" else [each for each in fields if each.name not in ("hosts", "metadata")]
        )

    @classmethod
    def not_found(cls, key: str) -> NotFound:
        return NotFound(f"Aggregate {key} could not be found.")


Aggregate.show(policy=f"{AGGREGATES}:show")
Aggregate.list(policy=f"{AGGREGATES}:index")


class CreateAggregate(Body, wrapper="aggregate"):
    name: Name = field(required=True)
    availability_zone: ZoneName | None = field(default=None)


class UpdateAggregate(Body, wrapper="aggregate"):
    name: Name = field()
    availability_zone: ZoneName | None = field()


def _find(tx: Tx, key: int) -> Row[Any]:
    row = tx.row(select(aggregates).where(aggregates.c.id == key))
    assert row is not None
    return row


@Aggregate.create(policy=f"{AGGREGATES}:create", body=CreateAggregate, status=200, view="new")
def create(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes an aggregate."""
    values = {
        "uuid": new_uuid(),
        "name": body.name,
        "metadata": {ZONE: body.availability_zone} if body.availability_zone else {},
        "hosts": [],
        "created_at": tx.now,
    }
    try:
        made = tx.execute(aggregates.insert().returning(aggregates.c.id), values).scalar_one()
    except Duplicate as error:
        raise Conflict(f"Aggregate {body.name} already exists.") from error
    return _find(tx, made)


def _write(tx: Tx, row: Row[Any], **values: Any) -> Row[Any]:
    statement = aggregates.update().where(aggregates.c.id == row.id).values(**values, updated_at=tx.now)
    try:
        tx.execute(statement)
    except Duplicate as error:
        raise Conflict(f"Aggregate {values.get('name')} already exists.") from error
    return _find(tx, row.id)


@Aggregate.update(policy=f"{AGGREGATES}:update", body=UpdateAggregate)
def update(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes an aggregate's name or zone."""
    if body.name is UNSET and body.availability_zone is UNSET:
        raise BadRequest("Invalid input for field/attribute aggregate. {} does not have enough properties")
    changes: dict[str, Any] = {}
    if body.name is not UNSET:
        changes["name"] = body.name
    if body.availability_zone is not UNSET:
        changes["metadata"] = _with_metadata(tx, row, {ZONE: body.availability_zone})
    return _write(tx, row, **changes)


def _with_metadata(tx: Tx, row: Row[Any], changes: dict[str, str | None]) -> dict[str, str]:
    if ZONE in changes and changes[ZONE] != row.metadata.get(ZONE):
        for host in row.hosts:
            _check_zone(tx, row, host, changes[ZONE])
    merged = {**row.metadata, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _check_zone(tx: Tx, row: Row[Any], host: str, zone: str | None) -> None:
    """A host has one zone, and its servers keep theirs."""
    others = [each for each in hosts.every_aggregate(tx) if each.id != row.id]
    held = hosts.zone_of(host, others, "")
    if zone and held and held != zone:
        raise Conflict(f"Host {host} is in availability zone {held} already.")
    if servers.on_host(tx, host):
        raise Conflict(f"Host {host} has servers, so it can't change its availability zone.")


@Aggregate.delete(policy=f"{AGGREGATES}:delete", status=200)
def delete(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Removes an aggregate that has no hosts."""
    if row.hosts:
        raise Conflict(f"Cannot remove host aggregate {row.id}: it is not empty.")
    tx.execute(aggregates.delete().where(aggregates.c.id == row.id))


class OneHost(Body):
    host: Id255 = field(required=True)


class SetMetadata(Body):
    metadata: dict[MetadataKey, Text255 | None] = field(required=True)


@Aggregate.action("add_host", policy=f"{AGGREGATES}:add_host", body=OneHost, status=200)
def add_host(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Puts a host into an aggregate."""
    if hosts.find(tx, body.host) is None:
        raise NotFound(f"Compute host {body.host} could not be found.")
    if body.host in row.hosts:
        raise Conflict(f"Aggregate {row.id} already has host {body.host}.")
    if ZONE in row.metadata:
        default = call.runtime.state.settings.default_availability_zone
        if hosts.zone_of(body.host, hosts.every_aggregate(tx), default) != row.metadata[ZONE]:
            _check_zone(tx, row, body.host, row.metadata[ZONE])
    return _write(tx, row, hosts=[*row.hosts, body.host])


@Aggregate.action("remove_host", policy=f"{AGGREGATES}:remove_host", body=OneHost, status=200)
def remove_host(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Takes a host out of an aggregate."""
    if body.host not in row.hosts:
        raise NotFound(f"Aggregate {row.id} has no host {body.host}.")
    if ZONE in row.metadata and servers.on_host(tx, body.host):
        raise Conflict(f"Host {body.host} has servers, so it can't change its availability zone.")
    return _write(tx, row, hosts=[each for each in row.hosts if each != body.host])


@Aggregate.action("set_metadata", policy=f"{AGGREGATES}:set_metadata", body=SetMetadata, status=200)
def set_metadata(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Sets items of an aggregate's metadata; null removes one."""
    return _write(tx, row, metadata=_with_metadata(tx, row, body.metadata))
