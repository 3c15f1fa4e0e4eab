"""A host's life: known to the placement service for as long as there is one."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Database, Tx
from pileus.kernel.work import Program, Step, Strand, label
from pileus.services.compute.model import hosts
from pileus.services.compute.needs import Needs, Provider
from pileus.services.compute.settings import Settings
from pileus.services.compute.store import host as store

AGAIN_SECONDS = 300.0
_NO_TRAIT = re.compile("[^A-Z0-9_]")
TRAITS_OF_FORMATS = {"qcow2": "COMPUTE_IMAGE_TYPE_QCOW2", "raw": "COMPUTE_IMAGE_TYPE_RAW"}


class HostProgram(Program):
    """One strand for each host, whichever process looks after it."""

    name = "compute.host"

    def __init__(self, db: Database, needs: Needs, settings: Settings) -> None:
        self.db, self.needs, self.settings = db, needs, settings

    @label()
    async def start(self, strand: Strand) -> Step:
        return strand.hop(self.steady)

    @label()
    async def steady(self, strand: Strand) -> Step:
        """What the placement service knows of the host is what the host says of itself."""
        rows = await self.db.read(store.by_ids, [strand.id])
        if rows:
            await self.needs.placement.ensure_provider(provider_of(rows[0], self.settings))
        return strand.nap(AGAIN_SECONDS)

    @label(destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        return strand.done(lambda tx: _delete(tx, strand.id))


def _delete(tx: Tx, host_id: str) -> None:
    tx.execute(hosts.delete().where(hosts.c.id == host_id))


def provider_of(host: Row[Any], settings: Settings) -> Provider:
    """A host as a resource provider: what it has, how far it may be overcommitted, what it can do."""
    traits = set()
    for hypervisor in host.hypervisors:
        traits.add("CUSTOM_HYPERVISOR_" + _NO_TRAIT.sub("_", hypervisor["type"].upper()))
        traits.update(hypervisor["traits"])
        for disk_format in hypervisor["disk_formats"]:
            known = TRAITS_OF_FORMATS.get(disk_format)
            traits.add(known or f"CUSTOM_IMAGE_TYPE_{disk_format.upper()}")
    return Provider(
        id=host.id,
        name=host.name,
        inventories={
            "VCPU": _inventory(host.vcpus, settings.cpu_allocation_ratio, 0),
            "MEMORY_MB": _inventory(
                host.memory_mib, settings.ram_allocation_ratio, settings.reserved_host_memory_mib
            ),
            "DISK_GB": _inventory(
                host.disk_gib, settings.disk_allocation_ratio, settings.reserved_host_disk_gib
            ),
        },
        traits=frozenset(traits),
    )


def _inventory(total: int, ratio: float, reserved: int) -> dict[str, float | int]:
    return {
        "total": total,
        "reserved": min(reserved, total - 1),
        "min_unit": 1,
        "max_unit": total,
        "step_size": 1,
        "allocation_ratio": ratio,
    }
