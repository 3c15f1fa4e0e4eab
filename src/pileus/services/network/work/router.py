"""The life of a router, with its interfaces, its gateway and the floating IPs that it carries."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from pileus.kernel.db import Tx
from pileus.services.network import driver
from pileus.services.network.domain.subnet import with_prefix
from pileus.services.network.model import floating_ips, networks, ports, routers, subnets
from pileus.services.network.store import routers as store
from pileus.services.network.store import rows
from pileus.services.network.work.realizer import Realizer


class Wanted(msgspec.Struct, frozen=True):
    """A router as its rows want it, with the rows."""

    router: driver.Router
    row: Row[Any]
    ports: tuple[Row[Any], ...]
    floating: tuple[Row[Any], ...]
    ready: bool
    """Whether the engine has the networks, and no longer any of the interfaces as a port of its own."""


class RouterProgram(Realizer[Wanted]):
    """Makes the engine agree with the rows of a router, and tells in them that it does."""

    name = "network.router"
    table = routers

    def is_ready(self, wanted: Wanted) -> bool:
        return wanted.ready

    async def ensure(self, wanted: Wanted, epoch: int) -> None:
        await self.engine.ensure_router(wanted.router, epoch)

    async def delete(self, row_id: str, epoch: int) -> None:
        await self.engine.delete_router(row_id, epoch)

    def realized(self, tx: Tx, row_id: str, wanted: Wanted) -> None:
        """The router works, and so do its ports and floating IPs; but for rows that have changed since, whose
        change has woken the strand. As upstream, a port is plugged in whether its router is switched on or not."""
        up = "ACTIVE" if wanted.row.admin_state_up else "DOWN"
        _status(tx, routers, wanted.row, "ACTIVE")
        for port in wanted.ports:
            _status(tx, ports, port, "ACTIVE" if port.admin_state_up else "DOWN", realized=True)
        for each in wanted.floating:
            _status(tx, floating_ips, each, up)

    def wanted(self, tx: Tx, row_id: str) -> Wanted | None:
        row = rows.get(tx, routers, row_id)
        if row is None:
            return None
        own = tuple(store.ports_of(tx, row_id))
        floating = tuple(store.floating_ips_of(tx, row_id))
        reached = rows.get_many(tx, networks, sorted({each.network_id for each in own}))
        ready = all(each.realized for each in reached) and not self.work.living(tx, [each.id for each in own])
        subnet_ids = sorted({each["subnet_id"] for port in own for each in port.fixed_ips})
        by_id = {each.id: each for each in rows.get_many(tx, subnets, subnet_ids)}
        return Wanted(_router(row, own, floating, by_id), row, own, floating, ready)


def _router(
    row: Row[Any], own: tuple[Row[Any], ...], floating: tuple[Row[Any], ...], by_id: dict[str, Row[Any]]
) -> driver.Router:
    interfaces = []
    gateway = None
    for port in own:
        held = tuple(
            with_prefix(by_id[each["subnet_id"]].cidr, each["ip_address"]) for each in port.fixed_ips
        )
        if port.device_owner != store.GATEWAY:
            interfaces.append(
                driver.RouterInterface(
                    port_id=port.id, network_id=port.network_id, mac=port.mac_address, addresses=held
                )
            )
            continue
        hops = (by_id[each["subnet_id"]].gateway_ip for each in port.fixed_ips)
        gateway = driver.RouterGateway(
            port_id=port.id,
            network_id=port.network_id,
            mac=port.mac_address,
            addresses=held,
            next_hops=tuple(hop for hop in hops if hop is not None),
            enable_snat=row.enable_snat,
        )
    return driver.Router(
        id=row.id,
        admin_state_up=row.admin_state_up,
        interfaces=tuple(interfaces),
        gateway=gateway,
        routes=tuple((each["destination"], each["nexthop"]) for each in row.routes),
        floating_ips=tuple(
            driver.FloatingIp(
                id=each.id,
                floating_ip=each.floating_ip_address,
                fixed_ip=each.fixed_ip_address,
                port_id=each.port_id,
            )
            for each in floating
        ),
    )


def _status(tx: Tx, table: Any, seen: Row[Any], status: str, **more: Any) -> None:
    values = {"status": status, **more}
    if all(getattr(seen, name) == value for name, value in values.items()):
        return
    now = rows.get(tx, table, seen.id)
    if now is not None and now.revision_number == seen.revision_number:
        rows.note(tx, table, seen.id, **values)
