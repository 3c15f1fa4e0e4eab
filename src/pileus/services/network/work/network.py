"""The life of a network, with its subnets."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Database, Tx
from pileus.kernel.events import Events
from pileus.kernel.work import Fault, Program, Step, Strand, Work, Write, label
from pileus.services.network import driver
from pileus.services.network.driver import NetworkEngine
from pileus.services.network.model import networks
from pileus.services.network.store import networks as store
from pileus.services.network.store import rows
from pileus.services.network.work.fault import record
from pileus.services.network.work.pace import DRIFT_SECONDS, REALIZE_SECONDS


class NetworkProgram(Program):
    """Makes the engine agree with the rows of a network and its subnets."""

    name = "network.network"

    def __init__(self, db: Database, work: Work, events: Events, engine: NetworkEngine) -> None:
        self.db = db
        self.work = work
        self.events = events
        self.engine = engine

    @label(deadline=REALIZE_SECONDS)
    async def start(self, strand: Strand) -> Step:
        wanted = await self.db.read(wanted_network, strand.id)
        if wanted is None:
            return strand.hop(self.destroy)
        await self.engine.ensure_network(wanted, strand.epoch)
        return strand.hop(self.steady, lambda tx: self._realized(tx, strand.id))

    @label()
    async def steady(self, strand: Strand) -> Step:
        wanted = await self.db.read(wanted_network, strand.id)
        if wanted is None:
            return strand.hop(self.destroy)
        await self.engine.ensure_network(wanted, strand.epoch)
        return strand.nap(DRIFT_SECONDS, lambda tx: self._realized(tx, strand.id))

    @label(deadline=REALIZE_SECONDS, destroying=True)
    async def destroy(self, strand: Strand) -> Step:
        await self.engine.delete_network(strand.id, strand.epoch)
        return strand.done()

    def on_fault(self, strand: Strand, fault: Fault) -> Write:
        return lambda tx: record(tx, self.events, networks, "network", strand.id, fault)

    def _realized(self, tx: Tx, network_id: str) -> None:
        """Whatever waited for the network may go on."""
        row = rows.get(tx, networks, network_id)
        if row is None or (row.realized and row.status == "ACTIVE"):
            return
        rows.note(tx, networks, network_id, realized=True, status="ACTIVE")
        for strand_id in store.waiting(tx, network_id):
            self.work.wake(tx, strand_id)


def wanted_network(tx: Tx, network_id: str) -> driver.Network | None:
    """What the rows want of the engine, or None where there is no such network."""
    row = rows.get(tx, networks, network_id)
    if row is None:
        return None
    return driver.Network(
        id=row.id,
        mtu=row.mtu,
        admin_state_up=row.admin_state_up,
        external=row.physical_network is not None,
        dns_domain=row.dns_domain,
        subnets=tuple(_subnet(each) for each in store.subnets_of(tx, network_id)),
    )


def _subnet(row: Row[Any]) -> driver.Subnet:
    return driver.Subnet(
        id=row.id,
        cidr=row.cidr,
        gateway_ip=row.gateway_ip,
        enable_dhcp=row.enable_dhcp,
        dns_nameservers=tuple(row.dns_nameservers),
        host_routes=tuple((each["destination"], each["nexthop"]) for each in row.host_routes),
        ipv6_address_mode=row.ipv6_address_mode,
        ipv6_ra_mode=row.ipv6_ra_mode,
    )
