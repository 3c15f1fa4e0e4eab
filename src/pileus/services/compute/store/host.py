"""Hosts, the services on them, and the aggregates that they are in."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, func, select

from pileus.kernel.db import Tx
from pileus.services.compute.domain import VmState
from pileus.services.compute.model import aggregates, hosts, servers, services

if TYPE_CHECKING:
    from pileus.services.compute.hosts import Host
    from pileus.services.compute.state import ComputeState

DOWN_AFTER = timedelta(seconds=60)
COMPUTE = "nova-compute"
CONTROL = ("nova-scheduler", "nova-conductor")
"""Parts of upstream's control plane that tools look for; here they are in every process."""
_NAMESPACE = uuid.UUID("5d9a1c7e-6f0b-5c0e-9a5f-70696c657573")

_ALL = select(hosts).order_by(hosts.c.number)
_FIND = select(hosts).where(hosts.c.name == bindparam("host"))
_BY_ID = select(hosts).where(hosts.c.id.in_(bindparam("ids", expanding=True)))
_SERVICES = select(services).order_by(services.c.number)
_SERVICE = select(services).where(services.c.id == bindparam("service"))
_COMPUTE_SERVICES = select(services).where(services.c.binary == COMPUTE)
_SEEN = (
    services.update()
    .where(services.c.host.in_(bindparam("names", expanding=True)))
    .values(seen_at=bindparam("now", type_=services.c.seen_at.type))
)
_SERVERS_ON = select(servers.c.id).where(
    servers.c.host.in_(bindparam("names", expanding=True)), servers.c.vm_state != VmState.DELETED
)
_AGGREGATES = select(aggregates).order_by(aggregates.c.id)


def host_uuid(name: str) -> str:
    """A host's id, also of its provider in the placement service; the same for ever."""
    return str(uuid.uuid5(_NAMESPACE, f"host {name}"))


def register(tx: Tx, state: ComputeState) -> set[str]:
    """Writes what the hosts of this process are now, and wakes their strands and their servers': whatever
    happened while nobody looked is seen at once. Returns the disabled ones."""
    from pileus.services.compute.work.host import HostProgram

    for host in state.hosts.by_name.values():
        values = _described(host, tx.now)
        if find(tx, host.name) is None:
            number = (tx.scalar(select(func.max(hosts.c.number))) or 0) + 1
            tx.execute(hosts.insert(), {**values, "number": number, "created_at": tx.now})
            state.work.begin(tx, HostProgram, values["id"])
        else:
            tx.execute(hosts.update().where(hosts.c.id == values["id"]).values(values))
            state.work.wake(tx, values["id"])
        _ensure_service(tx, host.name, COMPUTE)
    names = list(state.hosts.by_name)
    if names:
        for binary in CONTROL:
            _ensure_service(tx, names[0], binary)
    for server_id in tx.scalars(_SERVERS_ON, names=names):
        state.work.wake(tx, server_id)
    seen(tx, names)
    return {row.host for row in tx.rows(_COMPUTE_SERVICES) if row.disabled}


def _ensure_service(tx: Tx, host: str, binary: str) -> None:
    service_id = str(uuid.uuid5(_NAMESPACE, f"service {binary} on {host}"))
    if tx.row(_SERVICE, service=service_id) is None:
        number = (tx.scalar(select(func.max(services.c.number))) or 0) + 1
        values = {"id": service_id, "number": number, "host": host, "binary": binary, "created_at": tx.now}
        tx.execute(services.insert(), values)


def _described(host: Host, now: datetime) -> dict[str, Any]:
    known = [capabilities for _, capabilities in host.capabilities.values()]
    first = known[0]
    return {
        "id": host_uuid(host.name),
        "name": host.name,
        "hypervisor_type": first.hypervisor_type,
        "hypervisor_version": first.hypervisor_version,
        "hypervisors": [
            {
                "type": each.hypervisor_type,
                "disk_formats": list(each.disk_formats),
                "traits": list(each.traits),
            }
            for each in known
        ],
        "vcpus": max(each.vcpus for each in known),
        "memory_mib": max(each.memory_mib for each in known),
        "disk_gib": max(each.disk_gib for each in known),
        "cpu_info": first.cpu_info,
        "host_ip": host.ip,
        "started_at": now,
    }


def seen(tx: Tx, names: Sequence[str]) -> None:
    """These hosts are there."""
    if names:
        tx.execute(_SEEN, {"names": list(names), "now": tx.now})


def is_up(service: Row[Any], now: datetime) -> bool:
    """Whether a service has reported lately and nobody has declared it down."""
    return not service.forced_down and service.seen_at is not None and now - service.seen_at < DOWN_AFTER


def every(tx: Tx) -> Sequence[Row[Any]]:
    return tx.rows(_ALL)


def find(tx: Tx, name: str) -> Row[Any] | None:
    return tx.row(_FIND, host=name)


def by_ids(tx: Tx, ids: Sequence[str]) -> Sequence[Row[Any]]:
    return tx.rows(_BY_ID, ids=list(ids))


def every_service(tx: Tx) -> Sequence[Row[Any]]:
    return tx.rows(_SERVICES)


def compute_services(tx: Tx) -> dict[str, Row[Any]]:
    """By host."""
    return {row.host: row for row in tx.rows(_COMPUTE_SERVICES)}


def update_service(tx: Tx, service_id: str, **values: Any) -> Row[Any]:
    tx.execute(services.update().where(services.c.id == service_id).values(**values))
    row = tx.row(_SERVICE, service=service_id)
    assert row is not None
    return row


def every_aggregate(tx: Tx) -> Sequence[Row[Any]]:
    return tx.rows(_AGGREGATES)


def zone_of(host: str, rows: Sequence[Row[Any]], default: str) -> str:
    """The zone that a host's aggregates give it."""
    for row in rows:
        if host in row.hosts and "availability_zone" in row.metadata:
            zone: str = row.metadata["availability_zone"]
            return zone
    return default


def zones(tx: Tx, default: str) -> dict[str, list[str]]:
    """The hosts of each zone; a zone is there as long as it has a host."""
    rows = every_aggregate(tx)
    found: dict[str, list[str]] = {}
    for host in every(tx):
        found.setdefault(zone_of(host.name, rows, default), []).append(host.name)
    return found


def metadata_of(host: str, rows: Sequence[Row[Any]]) -> Mapping[str, frozenset[str]]:
    """All values of each key in the metadata of a host's aggregates."""
    found: dict[str, set[str]] = {}
    for row in rows:
        if host in row.hosts:
            for key, value in row.metadata.items():
                found.setdefault(key, set()).update(part.strip() for part in value.split(","))
    return {key: frozenset(values) for key, values in found.items()}


def delete_service(tx: Tx, service_id: str) -> None:
    tx.execute(services.delete().where(services.c.id == service_id))
