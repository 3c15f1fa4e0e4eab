"""Routers, their ports, and the floating IPs that they carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select

from pileus.kernel.db import Tx
from pileus.services.network.model import addresses, floating_ips, ports, routers, subnets

GATEWAY = "network:router_gateway"
INTERFACE = "network:router_interface"
FLOATING = "network:floatingip"

_PORTS = (
    select(ports).where(ports.c.router_id == bindparam("router")).order_by(ports.c.created_at, ports.c.id)
)
_GATEWAY_PORTS = select(ports).where(
    ports.c.router_id.in_(bindparam("routers", expanding=True)), ports.c.device_owner == GATEWAY
)
_PORT_SUBNETS = (
    select(subnets, addresses.c.port_id, addresses.c.ip_address)
    .join(addresses, addresses.c.subnet_id == subnets.c.id)
    .join(ports, ports.c.id == addresses.c.port_id)
    .where(ports.c.router_id == bindparam("router"))
)
_FLOATING = select(floating_ips).where(floating_ips.c.router_id == bindparam("router"))
_WAYS_OUT = (
    select(routers.c.id, addresses.c.ip_address)
    .join(ports, ports.c.router_id == routers.c.id)
    .join(addresses, addresses.c.port_id == ports.c.id)
    .where(
        addresses.c.subnet_id == bindparam("subnet"),
        ports.c.device_owner == INTERFACE,
        routers.c.gateway_network_id == bindparam("external"),
    )
    .order_by(routers.c.id)
)
_FLOATING_PORTS = select(ports).where(ports.c.id.in_(bindparam("ports", expanding=True)))


def ports_of(tx: Tx, router_id: str) -> Sequence[Row[Any]]:
    """Interfaces and the gateway."""
    return tx.rows(_PORTS, router=router_id)


def gateway_ports(tx: Tx, router_ids: Sequence[str]) -> dict[str, Row[Any]]:
    """Gateway ports by router."""
    if not router_ids:
        return {}
    return {row.router_id: row for row in tx.rows(_GATEWAY_PORTS, routers=list(router_ids))}


def connected(tx: Tx, router_id: str) -> Sequence[Row[Any]]:
    """The subnets that the router has an address on, with `port_id` and `ip_address`."""
    return tx.rows(_PORT_SUBNETS, router=router_id)


def floating_ips_of(tx: Tx, router_id: str) -> Sequence[Row[Any]]:
    return tx.rows(_FLOATING, router=router_id)


def way_out(tx: Tx, subnet_id: str, gateway_ip: str | None, external_network_id: str) -> str | None:
    """The router between a subnet and an external network: the subnet's own gateway where there are
    several."""
    found = tx.rows(_WAYS_OUT, subnet=subnet_id, external=external_network_id)
    best = sorted(found, key=lambda row: row.ip_address != gateway_ip)
    return best[0].id if best else None


def ports_by_id(tx: Tx, port_ids: Sequence[str]) -> dict[str, Row[Any]]:
    if not port_ids:
        return {}
    return {row.id: row for row in tx.rows(_FLOATING_PORTS, ports=list(port_ids))}
