"""Where a server goes: room from the placement service, suitability and preference from the scheduler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.db import Tx, rows
from pileus.kernel.work import Fault
from pileus.lib.schedule import HostState, RequestSpec, ServerGroup
from pileus.services.compute.domain import format_on_host
from pileus.services.compute.model import groups
from pileus.services.compute.needs import Candidate, Placement
from pileus.services.compute.store import host as hosts
from pileus.services.compute.store import server as servers

_decode = msgspec.json.Decoder().decode
_UNITS = {"VCPU": "vCPUs", "MEMORY_MB": "memory", "DISK_GB": "disk"}


def resources_of(row: Row[Any]) -> dict[str, int]:
    """What a server takes, by resource class; a flavor's `resources:CLASS` changes it."""
    wanted = {"VCPU": row.vcpus, "MEMORY_MB": row.memory_mib, "DISK_GB": row.disk_gib}
    for key, value in _decode(row.flavor)["extra_specs"].items():
        if key.startswith("resources:") and value.isdigit():
            wanted[key.removeprefix("resources:")] = int(value)
    return {name: amount for name, amount in wanted.items() if amount}


def traits_of(row: Row[Any]) -> list[str]:
    """Traits that the flavor requires or forbids (`trait:NAME`)."""
    signs = {"required": "", "forbidden": "!"}
    return [
        signs[value] + key.removeprefix("trait:")
        for key, value in _decode(row.flavor)["extra_specs"].items()
        if key.startswith("trait:") and value in signs
    ]


def request_of(tx: Tx, row: Row[Any]) -> RequestSpec:
    """What the choice of a host depends on."""
    image = _decode(row.image)
    hints = _decode(row.scheduler_hints)
    return RequestSpec(
        availability_zone=row.pinned_zone,
        host=row.wanted_host,
        extra_specs={
            key: value
            for key, value in _decode(row.flavor)["extra_specs"].items()
            if not key.startswith(("trait:", "resources:"))
        },
        disk_format=format_on_host(image),
        image_properties=image["properties"],
        different_host=_ids(hints.get("different_host")),
        same_host=_ids(hints.get("same_host")),
        group=_group(tx, row),
    )


def _ids(hint: Any) -> frozenset[str]:
    return frozenset([hint] if isinstance(hint, str) else hint or [])


def _group(tx: Tx, row: Row[Any]) -> ServerGroup | None:
    group = rows.get(tx, groups, row.group_id) if row.group_id is not None else None
    if group is None:
        return None
    members: dict[str, int] = {}
    for member in servers.in_group(tx, group.id):
        if member.host is not None and member.id != row.id:
            members[member.host] = members.get(member.host, 0) + 1
    most = int(group.rules.get("max_server_per_host", 1))
    return ServerGroup(policy=group.policy, members=members, max_server_per_host=most)


def breaks_group(tx: Tx, row: Row[Any], host: str) -> bool:
    """Whether a server that was placed meanwhile has made `host` wrong for this one."""
    group = _group(tx, row)
    if group is None:
        return False
    if group.policy == "anti-affinity":
        return group.members.get(host, 0) >= group.max_server_per_host
    return group.policy == "affinity" and bool(group.members) and host not in group.members


def states_of(
    tx: Tx, candidates: Sequence[Candidate], spec: RequestSpec, default_zone: str
) -> list[tuple[HostState, str]]:
    """The candidates as the scheduler sees them, once for each hypervisor, with the provider's id."""
    by_id = {candidate.provider_id: candidate for candidate in candidates}
    services = hosts.compute_services(tx)
    aggregates = hosts.every_aggregate(tx)
    hinted = servers.hosts_of(tx, sorted(spec.different_host | spec.same_host))
    found = []
    for row in hosts.by_ids(tx, list(by_id)):
        service = services.get(row.name)
        free = by_id[row.id].free
        common: dict[str, Any] = {
            "host": row.name,
            "zone": hosts.zone_of(row.name, aggregates, default_zone),
            "enabled": service is not None and not service.disabled,
            "disabled_reason": None if service is None else service.disabled_reason,
            "up": service is not None and hosts.is_up(service, tx.now),
            "arch": row.cpu_info.get("arch", "x86_64"),
            "free_vcpus": free.get("VCPU", 0),
            "free_memory_mib": free.get("MEMORY_MB", 0),
            "free_disk_gib": free.get("DISK_GB", 0),
            "servers": frozenset(server for server, host in hinted.items() if host == row.name),
            "metadata": hosts.metadata_of(row.name, aggregates),
        }
        for each in row.hypervisors:
            formats = frozenset(each["disk_formats"])
            found.append((HostState(hypervisor_type=each["type"], disk_formats=formats, **common), row.id))
    return found


async def no_room(placement: Placement, resources: Mapping[str, int], host: str | None) -> Fault:
    """Why there is no host with room, in words that say how much would do."""
    reasons = []
    for name, amount in resources.items():
        largest = await placement.largest(name)
        if largest < amount:
            unit, what = (_words(name, amount), _UNITS.get(name, name))
            reasons.append(f"no host has {unit} of {what} free; the largest has {_words(name, largest)}")
    if not reasons:
        reasons.append(
            f"host {host} has no room for it"
            if host
            else "no single host has room for all that the flavor asks for"
        )
    return Fault(
        f"No valid host was found. {'; '.join(reasons)}. Choose a smaller flavor, or delete servers."
    )


def _words(name: str, amount: int) -> str:
    if name == "MEMORY_MB":
        return f"{amount / 1024:g} GiB" if amount >= 1024 and amount % 256 == 0 else f"{amount} MiB"
    return f"{amount} GiB" if name == "DISK_GB" else str(amount)
