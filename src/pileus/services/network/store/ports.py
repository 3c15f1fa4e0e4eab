"""Ports, with the addresses and security groups that hang on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from pileus.kernel.db import Tx
from pileus.services.network.model import floating_ips, port_security_groups, ports, security_groups
from pileus.services.network.store import addresses, rows

FixedIps = Sequence[dict[str, str]]
"""`{subnet_id, ip_address}`."""

_ON_NETWORK = select(ports).where(ports.c.network_id == bindparam("network"))
_ROUTERS_ON = (
    select(ports.c.router_id)
    .where(ports.c.network_id == bindparam("network"), ports.c.router_id.is_not(None))
    .distinct()
)
_MAC_HOLDER = select(ports.c.id).where(
    ports.c.network_id == bindparam("network"), ports.c.mac_address == bindparam("mac")
)
_ADD_GROUPS = insert(port_security_groups)
_DROP_GROUPS = delete(port_security_groups).where(port_security_groups.c.port_id == bindparam("port"))
_GROUPS_KNOWN = select(security_groups.c.id, security_groups.c.stateful).where(
    security_groups.c.id.in_(bindparam("groups", expanding=True)),
    security_groups.c.project_id == bindparam("project"),
)
_GROUPS_ANY = select(security_groups.c.id, security_groups.c.stateful).where(
    security_groups.c.id.in_(bindparam("groups", expanding=True))
)
_UNREALIZED = (
    select(security_groups.c.id)
    .where(security_groups.c.id.in_(bindparam("groups", expanding=True)), ~security_groups.c.realized)
    .limit(1)
)
_LEAVE_UNTOLD = update(ports).where(ports.c.id == bindparam("key")).values(untold=ports.c.untold + 1)
_FLOATING = select(floating_ips).where(floating_ips.c.port_id == bindparam("port"))
_LET_FLOATING_GO = (
    update(floating_ips)
    .where(floating_ips.c.port_id == bindparam("port"), floating_ips.c.fixed_ip_address == bindparam("ip"))
    .values(
        port_id=None,
        fixed_ip_address=None,
        router_id=None,
        status="DOWN",
        revision_number=floating_ips.c.revision_number + 1,
        updated_at=bindparam("now", type_=floating_ips.c.updated_at.type),
    )
)


def add(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    """A port with its addresses and groups; raises Duplicate for an address or a MAC address that is
    taken."""
    row = rows.add(
        tx,
        ports,
        {
            "admin_state_up": True,
            "name": "",
            "device_id": "",
            "device_owner": "",
            "router_id": None,
            "security_group_ids": [],
            "allowed_address_pairs": [],
            "extra_dhcp_opts": [],
            "port_security_enabled": False,
            "host": "",
            "vnic_type": "normal",
            "vif_type": "unbound",
            "vif_details": {},
            "profile": {},
            "dns_name": "",
            "dns_domain": "",
            "status": "DOWN",
            "realized": False,
            **values,
        },
    )
    addresses.take(tx, row.id, row.fixed_ips)
    _join_groups(tx, row.id, row.security_group_ids)
    return row


def set_addresses(tx: Tx, port: Row[Any], fixed_ips: FixedIps) -> set[str]:
    """The port's addresses are these from now on; floating IPs of those it loses let go of it.

    Gives the routers that have to hear of it.
    """
    lost = [each for each in port.fixed_ips if each not in fixed_ips]
    gained = [each for each in fixed_ips if each not in port.fixed_ips]
    addresses.release(tx, port.id, [each["ip_address"] for each in lost])
    addresses.take(tx, port.id, gained)
    rows.change(tx, ports, port.id, fixed_ips=list(fixed_ips))
    return let_floating_go(tx, port.id, {each["ip_address"] for each in lost})


def let_floating_go(tx: Tx, port_id: str, ips: set[str]) -> set[str]:
    """Floating IPs of these addresses of the port are nobody's any more. Gives their routers."""
    let_go = (
        [each for each in tx.rows(_FLOATING, port=port_id) if each.fixed_ip_address in ips] if ips else []
    )
    for each in let_go:
        tx.execute(_LET_FLOATING_GO, {"port": port_id, "ip": each.fixed_ip_address, "now": tx.now})
    return {each.router_id for each in let_go if each.router_id is not None}


def set_groups(tx: Tx, port_id: str, group_ids: Sequence[str]) -> None:
    tx.execute(_DROP_GROUPS, {"port": port_id})
    _join_groups(tx, port_id, group_ids)


def _join_groups(tx: Tx, port_id: str, group_ids: Sequence[str]) -> None:
    if group_ids:
        tx.execute(_ADD_GROUPS, [{"port_id": port_id, "security_group_id": group} for group in group_ids])


def known_groups(tx: Tx, group_ids: Sequence[str], project_id: str | None) -> dict[str, bool]:
    """Those of the groups that there are, in the project where one is named; and whether they are
    stateful."""
    if not group_ids:
        return {}
    if project_id is None:
        found = tx.rows(_GROUPS_ANY, groups=list(group_ids))
    else:
        found = tx.rows(_GROUPS_KNOWN, groups=list(group_ids), project=project_id)
    return {row.id: row.stateful for row in found}


def waits_for_group(tx: Tx, port: Row[Any]) -> bool:
    """Whether the engine lacks one of the port's security groups."""
    groups = port.security_group_ids
    return bool(groups) and tx.scalar(_UNREALIZED, groups=groups) is not None


def remove(tx: Tx, port: Row[Any]) -> set[str]:
    """The port's row and all that hangs on it; floating IPs let go of it. Gives the routers that have to
    hear of it."""
    routers = let_floating_go(tx, port.id, {each["ip_address"] for each in port.fixed_ips})
    if port.fixed_ips:
        addresses.release_all(tx, port.id)
    if port.security_group_ids:
        tx.execute(_DROP_GROUPS, {"port": port.id})
    rows.remove(tx, ports, port.id)
    return routers


def leave_untold(tx: Tx, port_id: str) -> None:
    """What servers show of the port has changed; its strand, which has to be woken, tells its server."""
    tx.execute(_LEAVE_UNTOLD, {"key": port_id})


def on_network(tx: Tx, network_id: str) -> Sequence[Row[Any]]:
    return tx.rows(_ON_NETWORK, network=network_id)


def routers_on(tx: Tx, network_id: str) -> Iterable[str]:
    """Routers with an interface or their gateway on the network."""
    return tx.scalars(_ROUTERS_ON, network=network_id)


def mac_is_taken(tx: Tx, network_id: str, mac: str) -> bool:
    return tx.scalar(_MAC_HOLDER, network=network_id, mac=mac) is not None
