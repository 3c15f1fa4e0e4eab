"""Networks and their subnets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, delete, select

from pileus.kernel.db import Tx
from pileus.services.network.model import floating_ips, networks, ports, subnets

_SUBNETS = (
    select(subnets)
    .where(subnets.c.network_id == bindparam("network"))
    .order_by(subnets.c.created_at, subnets.c.id)
)
_SUBNET_IDS = (
    select(subnets.c.id, subnets.c.network_id)
    .where(subnets.c.network_id.in_(bindparam("networks", expanding=True)))
    .order_by(subnets.c.created_at, subnets.c.id)
)
_SUBNETS_OF_MANY = (
    select(subnets)
    .where(subnets.c.network_id.in_(bindparam("networks", expanding=True)))
    .order_by(subnets.c.created_at, subnets.c.id)
)
_WAITING = select(ports.c.id, ports.c.router_id).where(
    ports.c.network_id == bindparam("network"), ~ports.c.realized
)
_DELETE_SUBNETS = delete(subnets).where(subnets.c.network_id == bindparam("network"))
_ANY_PORT = select(ports.c.id).where(ports.c.network_id == bindparam("network")).limit(1)
_FOREIGN_PORT = (
    select(ports.c.project_id)
    .where(
        ports.c.network_id == bindparam("network"),
        ports.c.project_id.not_in([bindparam("owner"), ""]),
    )
    .limit(1)
)
_GATEWAY_PORT = (
    select(ports.c.id)
    .where(
        ports.c.network_id == bindparam("network"),
        ports.c.device_owner.in_(["network:router_gateway", "network:floatingip"]),
    )
    .limit(1)
)
_LOOSE_FLOATING = (
    select(ports)
    .join(floating_ips, floating_ips.c.floating_port_id == ports.c.id)
    .where(floating_ips.c.floating_network_id == bindparam("network"), floating_ips.c.port_id.is_(None))
)
_DROP_LOOSE_FLOATING = delete(floating_ips).where(
    floating_ips.c.floating_network_id == bindparam("network"), floating_ips.c.port_id.is_(None)
)
_DEFAULT_EXTERNAL = (
    select(networks.c.id)
    .where(networks.c.is_default, networks.c.external, networks.c.id != bindparam("other_than"))
    .limit(1)
)
_ON_PHYSICAL = select(networks.c.id).where(networks.c.physical_network == bindparam("physical")).limit(1)


def subnets_of(tx: Tx, network_id: str) -> Sequence[Row[Any]]:
    """The network's subnets, oldest first."""
    return tx.rows(_SUBNETS, network=network_id)


def subnet_ids(tx: Tx, network_ids: Sequence[str]) -> dict[str, list[str]]:
    """Ids of subnets by network."""
    found: dict[str, list[str]] = defaultdict(list)
    if network_ids:
        for row in tx.rows(_SUBNET_IDS, networks=list(network_ids)):
            found[row.network_id].append(row.id)
    return found


def subnets_of_many(tx: Tx, network_ids: Sequence[str]) -> Sequence[Row[Any]]:
    return tx.rows(_SUBNETS_OF_MANY, networks=list(network_ids)) if network_ids else []


def waiting(tx: Tx, network_id: str) -> set[str]:
    """Ports on the network that the engine lacks, and routers with such: they may have waited for the
    network."""
    return {row.router_id or row.id for row in tx.rows(_WAITING, network=network_id)}


def delete_subnets(tx: Tx, network_id: str) -> None:
    tx.execute(_DELETE_SUBNETS, {"network": network_id})


def has_ports(tx: Tx, network_id: str) -> bool:
    return tx.scalar(_ANY_PORT, network=network_id) is not None


def has_foreign_ports(tx: Tx, network_id: str, owner: str) -> bool:
    """Whether a project other than the owner has a port on it."""
    return tx.scalar(_FOREIGN_PORT, network=network_id, owner=owner) is not None


def is_used_as_external(tx: Tx, network_id: str) -> bool:
    """Whether a router's gateway or a floating IP is on it."""
    return tx.scalar(_GATEWAY_PORT, network=network_id) is not None


def drop_loose_floating_ips(tx: Tx, network_id: str) -> Sequence[Row[Any]]:
    """Forgets the network's floating IPs that lead nowhere. Gives the ports that held their addresses."""
    held = tx.rows(_LOOSE_FLOATING, network=network_id)
    if held:
        tx.execute(_DROP_LOOSE_FLOATING, {"network": network_id})
    return held


def default_external(tx: Tx, other_than: str = "") -> str | None:
    network_id: str | None = tx.scalar(_DEFAULT_EXTERNAL, other_than=other_than)
    return network_id


def on_physical(tx: Tx, physical_network: str) -> str | None:
    """The network that has this physical one."""
    network_id: str | None = tx.scalar(_ON_PHYSICAL, physical=physical_network)
    return network_id
