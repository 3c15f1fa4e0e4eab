"""The life of a network, with its subnets."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.services.network import driver
from pileus.services.network.model import networks
from pileus.services.network.store import networks as store
from pileus.services.network.store import rows
from pileus.services.network.work.realizer import Realizer


class NetworkProgram(Realizer[driver.Network]):
    """Makes the engine agree with the rows of a network and its subnets."""

    name = "network.network"
    table = networks

    def wanted(self, tx: Tx, row_id: str) -> driver.Network | None:
        row = rows.get(tx, networks, row_id)
        if row is None:
            return None
        return driver.Network(
            id=row.id,
            mtu=row.mtu,
            admin_state_up=row.admin_state_up,
            external=row.physical_network is not None,
            dns_domain=row.dns_domain,
            subnets=tuple(_subnet(each) for each in store.subnets_of(tx, row_id)),
        )

    async def ensure(self, wanted: driver.Network, epoch: int) -> None:
        await self.engine.ensure_network(wanted, epoch)

    async def delete(self, row_id: str, epoch: int) -> None:
        await self.engine.delete_network(row_id, epoch)

    def realized(self, tx: Tx, row_id: str, wanted: driver.Network) -> None:
        """Whatever waited for the network may go on."""
        row = rows.get(tx, networks, row_id)
        if row is None or (row.realized and row.status == "ACTIVE"):
            return
        rows.note(tx, networks, row_id, realized=True, status="ACTIVE")
        for strand_id in store.waiting(tx, row_id):
            self.work.wake(tx, strand_id)


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
