"""Hosts as hypervisors: what they are, what they have, what runs on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.links import page_url
from pileus.kernel.api.service import Routes
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, NotFound
from pileus.services.compute import domain
from pileus.services.compute.api.types import read_int
from pileus.services.compute.store import host as store
from pileus.services.compute.store import server as servers
from pileus.services.compute.versions import V

routes = Routes()
HYPERVISORS = "os_compute_api:os-hypervisors"
MOST = 1000


class Guest(msgspec.Struct):
    uuid: str
    name: str


class ServiceOfHypervisor(msgspec.Struct):
    id: str | int
    host: str
    disabled_reason: str | None


class BriefHypervisor(msgspec.Struct, kw_only=True):
    """Its `id` is a number before UUIDS_OF_HOSTS."""

    id: str | int
    hypervisor_hostname: str
    state: str
    status: str
    servers: list[Guest] | UnsetType = UNSET


class Hypervisor(BriefHypervisor, kw_only=True):
    """Its counts went when HYPERVISOR_UPTIME came."""

    host_ip: str
    hypervisor_type: str
    hypervisor_version: int
    service: ServiceOfHypervisor
    uptime: str | UnsetType = UNSET
    cpu_info: dict[str, Any] | str | UnsetType = UNSET
    vcpus: int | UnsetType = UNSET
    vcpus_used: int | UnsetType = UNSET
    memory_mb: int | UnsetType = UNSET
    memory_mb_used: int | UnsetType = UNSET
    free_ram_mb: int | UnsetType = UNSET
    local_gb: int | UnsetType = UNSET
    local_gb_used: int | UnsetType = UNSET
    free_disk_gb: int | UnsetType = UNSET
    disk_available_least: int | UnsetType = UNSET
    running_vms: int | UnsetType = UNSET
    current_workload: int | UnsetType = UNSET


class UptimeOfHypervisor(BriefHypervisor, kw_only=True):
    uptime: str


class BriefHypervisorsAnswer(msgspec.Struct):
    hypervisors: list[BriefHypervisor]
    hypervisors_links: list[dict[str, str]] | UnsetType = UNSET


class HypervisorsAnswer(msgspec.Struct):
    hypervisors: list[Hypervisor]
    hypervisors_links: list[dict[str, str]] | UnsetType = UNSET


class HypervisorAnswer(msgspec.Struct):
    hypervisor: Hypervisor


class UptimeAnswer(msgspec.Struct):
    hypervisor: UptimeOfHypervisor


class StatisticsAnswer(msgspec.Struct):
    hypervisor_statistics: dict[str, int]


T = TypeVar("T", bound=BriefHypervisor)
Show = Callable[[Row[Any]], T]


def _common(call: Call, tx: Tx, row: Row[Any], service: Row[Any] | None) -> dict[str, Any]:
    return {
        "id": row.id if call.has(V.UUIDS_OF_HOSTS) else row.number,
        "hypervisor_hostname": row.name,
        "state": "up" if service is not None and store.is_up(service, tx.now) else "down",
        "status": "enabled" if service is not None and not service.disabled else "disabled",
    }


def _brief(call: Call, tx: Tx) -> Show[BriefHypervisor]:
    services = store.compute_services(tx)
    return lambda row: BriefHypervisor(**_common(call, tx, row, services.get(row.name)))


def _full(call: Call, tx: Tx) -> Show[Hypervisor]:
    services, used = store.compute_services(tx), servers.used_by_host(tx)

    def show(row: Row[Any]) -> Hypervisor:
        service = services.get(row.name)
        return Hypervisor(
            **_common(call, tx, row, service),
            host_ip=row.host_ip,
            hypervisor_type=row.hypervisor_type,
            hypervisor_version=row.hypervisor_version,
            service=ServiceOfHypervisor(
                id=(service.id if call.has(V.UUIDS_OF_HOSTS) else service.number) if service else 0,
                host=row.name,
                disabled_reason=service.disabled_reason if service else None,
            ),
            **_of_version(call, tx, row, used.get(row.name)),
        )

    return show


def _of_version(call: Call, tx: Tx, row: Row[Any], used: Row[Any] | None) -> dict[str, Any]:
    if call.has(V.HYPERVISOR_UPTIME):
        return {"uptime": _uptime(row, tx)}
    cpu_info = row.cpu_info if call.has(V.CPU_INFO_OBJECT) else msgspec.json.encode(row.cpu_info).decode()
    return {"cpu_info": cpu_info, **_counts(row, used)}


def _counts(row: Row[Any], used: Row[Any] | None) -> dict[str, int]:
    vcpus, memory, disk, guests = (
        (used.vcpus, used.memory_mib, used.disk_gib, used.servers) if used is not None else (0, 0, 0, 0)
    )
    return {
        "vcpus": row.vcpus,
        "vcpus_used": vcpus,
        "memory_mb": row.memory_mib,
        "memory_mb_used": memory,
        "free_ram_mb": row.memory_mib - memory,
        "local_gb": row.disk_gib,
        "local_gb_used": disk,
        "free_disk_gb": row.disk_gib - disk,
        "disk_available_least": row.disk_gib - disk,
        "running_vms": guests,
        "current_workload": 0,
    }


def _uptime(row: Row[Any], tx: Tx) -> str:
    """As `uptime` prints it, for how long Pileus has looked after the host."""
    seconds = int((tx.now - (row.started_at or row.created_at)).total_seconds())
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    up = f"{days} days, {hours:2d}:{minutes:02d}"
    return f" {tx.now:%H:%M:%S} up {up},  0 users,  load average: 0.00, 0.00, 0.00"


def _guests(tx: Tx, host: str) -> list[Guest]:
    return [Guest(row.id, domain.instance_name(row.id)) for row in servers.on_host(tx, host)]


def _list(call: Call, tx: Tx, show: Show[T]) -> tuple[list[T], list[dict[str, str]] | UnsetType]:
    rows: Sequence[Row[Any]] = store.every(tx)
    pattern = call.arg("hypervisor_hostname_pattern") if call.has(V.UUIDS_OF_HOSTS) else None
    with_servers = call.flag("with_servers") if call.has(V.UUIDS_OF_HOSTS) else False
    if pattern is not None:
        if "limit" in call.query or "marker" in call.query:
            raise BadRequest(
                "Paging over hypervisors with the hypervisor_hostname_pattern query is not supported."
            )
        rows = [row for row in rows if pattern in row.name]
        if not rows:
            raise NotFound(f"No hypervisor matching '{pattern}' could be found.")
    if call.has(V.STRICT_QUERIES):
        known = {"limit", "marker", "hypervisor_hostname_pattern", "with_servers"}
        if unknown := sorted(set(call.query) - known):
            raise BadRequest(f"Additional properties are not allowed ({unknown[0]!r} was unexpected)")
    links: list[dict[str, str]] | UnsetType = UNSET
    if call.has(V.HYPERVISOR_PAGES):
        rows, links = _page(call, rows)
    shown = []
    for row in rows:
        one = show(row)
        if with_servers:
            guests = _guests(tx, row.name)
            if guests or call.has(V.STRICT_QUERIES):
                one.servers = guests
        shown.append(one)
    return shown, links


def _page(
    call: Call, rows: Sequence[Row[Any]]
) -> tuple[Sequence[Row[Any]], list[dict[str, str]] | UnsetType]:
    limit = min(read_int("limit", call.arg("limit") or str(MOST)), MOST)
    if limit < 0:
        raise BadRequest(f"Invalid limit {limit}: it must be zero or more.")
    marker = call.arg("marker")
    if marker is not None:
        at = next((n for n, row in enumerate(rows) if marker in (row.id, str(row.number))), None)
        if at is None:
            raise BadRequest(f"marker [{marker}] not found")
        rows = rows[at + 1 :]
    page = rows[:limit]
    if len(rows) <= limit or not page:
        return page, UNSET
    last = page[-1].id if call.has(V.UUIDS_OF_HOSTS) else str(page[-1].number)
    return page, [{"rel": "next", "href": page_url(call, marker=last)}]


@routes.add("GET", "/os-hypervisors", policy=f"{HYPERVISORS}:list")
def list_hypervisors(call: Call, tx: Tx) -> BriefHypervisorsAnswer:
    """Lists hypervisors."""
    return BriefHypervisorsAnswer(*_list(call, tx, _brief(call, tx)))


@routes.add("GET", "/os-hypervisors/detail", policy=f"{HYPERVISORS}:list-detail")
def list_details(call: Call, tx: Tx) -> HypervisorsAnswer:
    """Lists hypervisors with all that is known of them."""
    return HypervisorsAnswer(*_list(call, tx, _full(call, tx)))


@routes.add(
    "GET",
    "/os-hypervisors/statistics",
    policy=f"{HYPERVISORS}:statistics",
    until=V.HYPERVISOR_UPTIME.previous,
)
def statistics(call: Call, tx: Tx) -> StatisticsAnswer:
    """Sums over all hypervisors."""
    used = servers.used_by_host(tx)
    counts = [_counts(row, used.get(row.name)) for row in store.every(tx)]
    sums = {name: sum(each[name] for each in counts) for name in (counts[0] if counts else ())}
    return StatisticsAnswer({"count": len(counts), **sums})


def _find(call: Call, tx: Tx) -> Row[Any]:
    wanted = call.params["hypervisor"]
    for row in store.every(tx):
        if wanted == (row.id if call.has(V.UUIDS_OF_HOSTS) else str(row.number)):
            return row
    if call.has(V.UUIDS_OF_HOSTS) and len(wanted) != 36:
        raise BadRequest(f"Invalid uuid {wanted}")
    raise NotFound(f"Hypervisor with ID '{wanted}' could not be found.")


@routes.add("GET", "/os-hypervisors/{hypervisor}", policy=f"{HYPERVISORS}:show")
def show_hypervisor(call: Call, tx: Tx) -> HypervisorAnswer:
    """Shows one hypervisor."""
    row = _find(call, tx)
    shown = _full(call, tx)(row)
    if call.has(V.UUIDS_OF_HOSTS) and call.flag("with_servers"):
        shown.servers = _guests(tx, row.name)
    return HypervisorAnswer(shown)


@routes.add(
    "GET",
    "/os-hypervisors/{hypervisor}/uptime",
    policy=f"{HYPERVISORS}:uptime",
    until=V.HYPERVISOR_UPTIME.previous,
)
def show_uptime(call: Call, tx: Tx) -> UptimeAnswer:
    """Shows for how long a host has been up."""
    row = _find(call, tx)
    common = _common(call, tx, row, store.compute_services(tx).get(row.name))
    return UptimeAnswer(UptimeOfHypervisor(**common, uptime=_uptime(row, tx)))


@routes.add(
    "GET",
    "/os-hypervisors/{hypervisor}/search",
    policy=f"{HYPERVISORS}:search",
    until=V.UUIDS_OF_HOSTS.previous,
)
def search(call: Call, tx: Tx) -> BriefHypervisorsAnswer:
    """Finds hypervisors by a part of their name."""
    return BriefHypervisorsAnswer(list(map(_brief(call, tx), _named(call, tx))))


@routes.add(
    "GET",
    "/os-hypervisors/{hypervisor}/servers",
    policy=f"{HYPERVISORS}:servers",
    until=V.UUIDS_OF_HOSTS.previous,
)
def list_servers(call: Call, tx: Tx) -> BriefHypervisorsAnswer:
    """Lists the servers of hypervisors found by a part of their name."""
    show = _brief(call, tx)
    shown = []
    for row in _named(call, tx):
        one = show(row)
        one.servers = _guests(tx, row.name) or UNSET
        shown.append(one)
    return BriefHypervisorsAnswer(shown)


def _named(call: Call, tx: Tx) -> list[Row[Any]]:
    pattern = call.params["hypervisor"]
    found = [row for row in store.every(tx) if pattern in row.name]
    if not found:
        raise NotFound(f"No hypervisor matching '{pattern}' could be found.")
    return found
