"""The compute services on hosts, and the zones that hosts are in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Row

from pileus.kernel.api.bodies import Body
from pileus.kernel.api.call import Call
from pileus.kernel.api.dialect import iso_micro
from pileus.kernel.api.fields import field
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.services.compute.api.types import Bool, Id255, truth
from pileus.services.compute.store import host as store
from pileus.services.compute.store import server as servers
from pileus.services.compute.versions import V

routes = Routes()
SERVICES = "os_compute_api:os-services"
ZONES = "os_compute_api:os-availability-zone"
INTERNAL = "internal"
"""The zone of what runs no guests."""
Reason = Annotated[str, Meta(min_length=1, max_length=255)]


class ComputeService(msgspec.Struct, kw_only=True):
    """Its `id` is a number before UUIDS_OF_HOSTS."""

    id: str | int
    binary: str
    host: str
    zone: str
    status: str
    state: str
    updated_at: str | None
    disabled_reason: str | None
    forced_down: bool | UnsetType = UNSET


class ServicesAnswer(msgspec.Struct):
    services: list[ComputeService]


class ServiceAnswer(msgspec.Struct):
    service: ComputeService


class ChangedService(msgspec.Struct):
    """What was said of a service, before UUIDS_OF_HOSTS."""

    host: str
    binary: str
    status: str | UnsetType = UNSET
    disabled_reason: str | UnsetType = UNSET
    forced_down: bool | UnsetType = UNSET


class ChangedAnswer(msgspec.Struct):
    service: ChangedService


class State(msgspec.Struct):
    available: bool
    active: bool
    updated_at: str | None


class ZoneState(msgspec.Struct):
    available: bool


class Zone(msgspec.Struct, rename="camel"):
    """With the state of its services by host and binary, where that is asked for."""

    zone_name: str
    zone_state: ZoneState
    hosts: dict[str, dict[str, State]] | None = None


class ZonesAnswer(msgspec.Struct):
    zones: list[Zone] = msgspec.field(name="availabilityZoneInfo")


def _zone(call: Call, tx: Tx, row: Row[Any]) -> str:
    if row.binary != store.COMPUTE:
        return INTERNAL
    default = call.runtime.state.settings.default_availability_zone
    return store.zone_of(row.host, store.every_aggregate(tx), default)


def _shown(call: Call, tx: Tx, row: Row[Any]) -> ComputeService:
    return ComputeService(
        id=row.id if call.has(V.UUIDS_OF_HOSTS) else row.number,
        binary=row.binary,
        host=row.host,
        zone=_zone(call, tx, row),
        status="disabled" if row.disabled else "enabled",
        state="up" if store.is_up(row, tx.now) else "down",
        updated_at=None if row.seen_at is None else iso_micro(row.seen_at),
        disabled_reason=row.disabled_reason,
        forced_down=row.forced_down if call.has(V.FORCED_DOWN) else UNSET,
    )


@routes.add("GET", "/os-services", policy=f"{SERVICES}:list")
def list_services(call: Call, tx: Tx) -> ServicesAnswer:
    """Lists services, of a host or a kind where asked for."""
    if call.has(V.STRICT_QUERIES) and (unknown := sorted(set(call.query) - {"host", "binary"})):
        raise BadRequest(f"Additional properties are not allowed ({unknown[0]!r} was unexpected)")
    rows = [
        row
        for row in store.every_service(tx)
        if call.arg("host") in (None, row.host) and call.arg("binary") in (None, row.binary)
    ]
    return ServicesAnswer([_shown(call, tx, row) for row in rows])


class ServiceOfHost(Body):
    host: Id255 = field(required=True)
    binary: Id255 = field(required=True)


class DisabledService(ServiceOfHost):
    disabled_reason: Reason = field(required=True)


class ForcedDown(ServiceOfHost):
    forced_down: Bool = field(required=True)


def _of_host(tx: Tx, body: Any) -> Row[Any]:
    for row in store.every_service(tx):
        if (row.host, row.binary) == (body.host, body.binary):
            return row
    raise NotFound(f"Could not find binary {body.binary} on host {body.host}.")


def _change(call: Call, tx: Tx, row: Row[Any], **values: Any) -> Row[Any]:
    if "disabled" in values:
        if row.binary != store.COMPUTE:
            raise BadRequest(f"Updating a {row.binary} service is not supported. Must be {store.COMPUTE}.")
        change = (
            call.runtime.state.disabled.add if values["disabled"] else call.runtime.state.disabled.discard
        )
        tx.after_commit(lambda: change(row.host))
    return store.update_service(tx, row.id, **values)


@routes.add(
    "PUT",
    "/os-services/enable",
    policy=f"{SERVICES}:update",
    body=ServiceOfHost,
    until=V.UUIDS_OF_HOSTS.previous,
)
def enable(call: Call, tx: Tx, body: Any) -> ChangedAnswer:
    """Puts a host into service."""
    _change(call, tx, _of_host(tx, body), disabled=False, disabled_reason=None)
    return ChangedAnswer(ChangedService(body.host, body.binary, "enabled"))


@routes.add(
    "PUT",
    "/os-services/disable",
    policy=f"{SERVICES}:update",
    body=ServiceOfHost,
    until=V.UUIDS_OF_HOSTS.previous,
)
def disable(call: Call, tx: Tx, body: Any) -> ChangedAnswer:
    """Takes a host out of service: it gets no new servers."""
    _change(call, tx, _of_host(tx, body), disabled=True, disabled_reason=None)
    return ChangedAnswer(ChangedService(body.host, body.binary, "disabled"))


@routes.add(
    "PUT",
    "/os-services/disable-log-reason",
    policy=f"{SERVICES}:update",
    body=DisabledService,
    until=V.UUIDS_OF_HOSTS.previous,
)
def disable_with_reason(call: Call, tx: Tx, body: Any) -> ChangedAnswer:
    """Takes a host out of service and says why."""
    row = _change(call, tx, _of_host(tx, body), disabled=True, disabled_reason=body.disabled_reason)
    return ChangedAnswer(ChangedService(body.host, body.binary, "disabled", row.disabled_reason))


@routes.add(
    "PUT",
    "/os-services/force-down",
    policy=f"{SERVICES}:update",
    body=ForcedDown,
    since=V.FORCED_DOWN,
    until=V.UUIDS_OF_HOSTS.previous,
)
def force_down(call: Call, tx: Tx, body: Any) -> ChangedAnswer:
    """Declares a service down, whatever it reports."""
    row = _change(call, tx, _of_host(tx, body), forced_down=truth("forced_down", body.forced_down))
    return ChangedAnswer(ChangedService(body.host, body.binary, forced_down=row.forced_down))


class UpdateService(Body):
    status: Literal["enabled", "disabled"] = field()
    disabled_reason: Reason = field()
    forced_down: Bool = field()


def _find(call: Call, tx: Tx) -> Row[Any]:
    wanted = call.params["service"]
    for row in store.every_service(tx):
        if wanted == (row.id if call.has(V.UUIDS_OF_HOSTS) else str(row.number)):
            return row
    if call.has(V.UUIDS_OF_HOSTS) and len(wanted) != 36:
        raise BadRequest(f"Invalid uuid {wanted}")
    raise NotFound(f"Service {wanted} could not be found.")


@routes.add(
    "PUT", "/os-services/{service}", policy=f"{SERVICES}:update", body=UpdateService, since=V.UUIDS_OF_HOSTS
)
def update(call: Call, tx: Tx, body: Any) -> ServiceAnswer:
    """Enables, disables or declares down a service."""
    row = _find(call, tx)
    changes: dict[str, Any] = {}
    if body.status is UNSET and body.forced_down is UNSET:
        raise BadRequest("No updates were requested. Fields 'status' or 'forced_down' should be specified.")
    if body.disabled_reason is not UNSET and body.status != "disabled":
        raise BadRequest("Specifying disabled_reason requires status disabled.")
    if body.status is not UNSET:
        changes["disabled"] = body.status == "disabled"
        changes["disabled_reason"] = None if body.disabled_reason is UNSET else body.disabled_reason
    if body.forced_down is not UNSET:
        changes["forced_down"] = truth("forced_down", body.forced_down)
    return ServiceAnswer(_shown(call, tx, _change(call, tx, row, **changes)))


@routes.add("DELETE", "/os-services/{service}", policy=f"{SERVICES}:delete", status=204)
def delete(call: Call, tx: Tx) -> None:
    """Forgets a service, and the host with it; not while it has servers."""
    row = _find(call, tx)
    if row.binary == store.COMPUTE:
        if servers.on_host(tx, row.host):
            raise Conflict(
                "Unable to delete compute service that is hosting instances. Delete the instances first."
            )
        if row.host in call.runtime.state.hosts.by_name:
            raise Conflict(
                f"Host {row.host} is looked after by this process; stop it before its service is deleted."
            )
        call.runtime.work.destroy(tx, store.host_uuid(row.host))
    store.delete_service(tx, row.id)


@routes.add("GET", "/os-availability-zone", policy=f"{ZONES}:list")
def list_zones(call: Call, tx: Tx) -> ZonesAnswer:
    """Lists the zones that servers can be made in."""
    return ZonesAnswer([Zone(each.zone_name, each.zone_state) for each in _zones(call, tx)])


@routes.add("GET", "/os-availability-zone/detail", policy=f"{ZONES}:detail")
def detail_zones(call: Call, tx: Tx) -> ZonesAnswer:
    """Lists zones with their hosts and services."""
    control: dict[str, dict[str, State]] = {}
    for row in store.every_service(tx):
        if row.binary != store.COMPUTE:
            control.setdefault(row.host, {})[row.binary] = _state(tx, row)
    return ZonesAnswer([*_zones(call, tx), Zone(INTERNAL, ZoneState(available=True), control)])


def _zones(call: Call, tx: Tx) -> list[Zone]:
    services = store.compute_services(tx)
    found = []
    for name, hosts in sorted(store.zones(tx, call.runtime.state.settings.default_availability_zone).items()):
        mine = [services[host] for host in hosts if host in services]
        available = any(not row.disabled for row in mine)
        detail = {row.host: {row.binary: _state(tx, row)} for row in mine}
        found.append(Zone(name, ZoneState(available), detail))
    return found


def _state(tx: Tx, row: Row[Any]) -> State:
    return State(
        available=store.is_up(row, tx.now),
        active=not row.disabled,
        updated_at=None if row.seen_at is None else iso_micro(row.seen_at),
    )
