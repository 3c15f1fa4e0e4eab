"""Interfaces of routers on subnets, and extra routes one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Row

from pileus.kernel.api.call import Call
from pileus.kernel.api.fields import Uuid
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict, NotFound
from pileus.services.network.api.addressing import fulfil, mac_for
from pileus.services.network.api.port import Port
from pileus.services.network.api.router import Router, changed, check_overlap
from pileus.services.network.api.subnet import Route, Subnet
from pileus.services.network.domain import routes as domain
from pileus.services.network.domain import subnet as subnet_domain
from pileus.services.network.domain.allocation import Wish
from pileus.services.network.model import ports, routers
from pileus.services.network.store import ports as port_store
from pileus.services.network.store import routers as store
from pileus.services.network.store import rows


class InterfaceBody(msgspec.Struct, forbid_unknown_fields=True):
    subnet_id: Uuid | UnsetType = UNSET
    port_id: Uuid | UnsetType = UNSET


class InterfaceAnswer(msgspec.Struct, kw_only=True):
    """An interface by its router's id, with the tags of that."""

    id: str
    tenant_id: str
    project_id: str
    port_id: str
    network_id: str
    subnet_id: str
    subnet_ids: list[str]
    tags: list[str]


class RoutesOfRouter(msgspec.Struct, forbid_unknown_fields=True):
    routes: list[Route]


class RoutesBody(msgspec.Struct, forbid_unknown_fields=True):
    router: RoutesOfRouter


@Router.member_route("PUT", "/add_router_interface", policy="add_router_interface", body=InterfaceBody)
def add_interface(call: Call, tx: Tx, row: Row[Any], body: InterfaceBody) -> InterfaceAnswer:
    """Puts the router on a subnet, at its gateway's address, or on the subnets of a port."""
    if (body.subnet_id is UNSET) == (body.port_id is UNSET):
        raise BadRequest("Bad router request: Either subnet_id or port_id must be specified, and not both.")
    connected = store.connected(tx, row.id)
    if isinstance(body.port_id, str):
        port = _adopt(call, tx, row, connected, body.port_id)
    else:
        assert isinstance(body.subnet_id, str)
        port = _join(call, tx, row, connected, body.subnet_id)
    rows.change(tx, routers, row.id)
    changed(call, tx, row.id)
    return _shown(row, port, port.fixed_ips)


@Router.member_route("PUT", "/remove_router_interface", policy="remove_router_interface", body=InterfaceBody)
def remove_interface(call: Call, tx: Tx, row: Row[Any], body: InterfaceBody) -> InterfaceAnswer:
    """Takes the router off a subnet; its port goes too, unless other IPv6 subnets need it."""
    if body.subnet_id is UNSET and body.port_id is UNSET:
        raise BadRequest("Bad router request: Either subnet_id or port_id must be specified.")
    port = _interface(tx, row, body)
    lost = [each for each in port.fixed_ips if body.subnet_id in (UNSET, each["subnet_id"])]
    if isinstance(body.port_id, str):
        lost = port.fixed_ips
    _check_unused(tx, row, lost)
    if len(lost) < len(port.fixed_ips):
        port_store.set_addresses(tx, port, [each for each in port.fixed_ips if each not in lost])
    else:
        port_store.remove(tx, port)
    rows.change(tx, routers, row.id)
    changed(call, tx, row.id)
    return _shown(row, port, lost)


@Router.member_route("PUT", "/add_extraroutes", policy="add_extraroutes", body=RoutesBody)
def add_routes(call: Call, tx: Tx, row: Row[Any], body: RoutesBody) -> Row[Any]:
    """Adds routes to those that are there."""
    added = domain.plain_routes(_said(body))
    wanted = [*row.routes, *(each for each in added if each not in row.routes)]
    rows.change(tx, routers, row.id, routes=domain.checked_routes(wanted, store.connected(tx, row.id)))
    return changed(call, tx, row.id)


@Router.member_route("PUT", "/remove_extraroutes", policy="remove_extraroutes", body=RoutesBody)
def remove_routes(call: Call, tx: Tx, row: Row[Any], body: RoutesBody) -> Row[Any]:
    """Removes routes; such as are not there do no harm."""
    removed = domain.plain_routes(_said(body))
    rows.change(tx, routers, row.id, routes=[each for each in row.routes if each not in removed])
    return changed(call, tx, row.id)


def _said(body: RoutesBody) -> list[dict[str, str]]:
    return [{"destination": each.destination, "nexthop": each.nexthop} for each in body.router.routes]


def _join(call: Call, tx: Tx, row: Row[Any], connected: Sequence[Row[Any]], subnet_id: str) -> Row[Any]:
    """A port at the subnet's gateway address; IPv6 subnets of one network share one."""
    subnet = Subnet.load_again(call, tx, subnet_id)
    if subnet.gateway_ip is None:
        raise BadRequest("Bad router request: Subnet for router interface must have a gateway IP.")
    if subnet.ipv6_address_mode is not None and subnet.ipv6_ra_mode is None:
        raise BadRequest(
            f"Bad router request: IPv6 subnet {subnet.id} configured to receive RAs from an external "
            "router cannot be added to Neutron Router."
        )
    check_overlap(connected, subnet.cidr, subnet.id)
    fixed_ips = fulfil(tx, subnet.network_id, [Wish((subnet,), subnet.gateway_ip)])
    if subnet.ip_version == 6:
        for other in connected:
            if other.ip_version == 6 and other.network_id == subnet.network_id:
                port = rows.get(tx, ports, other.port_id)
                if port is not None and port.device_owner == store.INTERFACE:
                    port_store.set_addresses(tx, port, [*port.fixed_ips, *fixed_ips])
                    return _reread(tx, port.id)
    return port_store.add(
        tx,
        {
            "project_id": row.project_id,
            "network_id": subnet.network_id,
            "mac_address": mac_for(tx, subnet.network_id, None),
            "fixed_ips": fixed_ips,
            "device_owner": store.INTERFACE,
            "device_id": row.id,
            "router_id": row.id,
        },
    )


def _adopt(call: Call, tx: Tx, row: Row[Any], connected: Sequence[Row[Any]], port_id: str) -> Row[Any]:
    """Makes somebody's port the router's. From now on the router's strand is the one that makes it real."""
    port = Port.load_again(call, tx, port_id)
    if port.device_id:
        raise Conflict(
            f"Unable to complete operation on port {port.id} for network {port.network_id}. Port already "
            f"has an attached device {port.device_id}.",
            kind="PortInUse",
        )
    if not port.fixed_ips:
        raise BadRequest(f"Bad router request: Router port {port.id} must have at least one fixed IP.")
    if sum(":" not in each["ip_address"] for each in port.fixed_ips) > 1:
        raise BadRequest("Bad router request: Cannot have multiple IPv4 subnets on router port.")
    for each in port.fixed_ips:
        subnet = Subnet.load_again(call, tx, each["subnet_id"])
        check_overlap(connected, subnet.cidr, subnet.id)
    port_store.set_groups(tx, port.id, [])
    rows.change(
        tx,
        ports,
        port.id,
        device_owner=store.INTERFACE,
        device_id=row.id,
        router_id=row.id,
        security_group_ids=[],
        allowed_address_pairs=[],
        port_security_enabled=False,
        realized=False,
    )
    call.runtime.work.destroy(tx, port.id, request_id=call.request_id)
    return port


def _reread(tx: Tx, port_id: str) -> Row[Any]:
    row = rows.get(tx, ports, port_id)
    assert row is not None, "the port was there in this transaction"
    return row


def _interface(tx: Tx, row: Row[Any], body: InterfaceBody) -> Row[Any]:
    """The router's port that the body means."""
    interfaces = [each for each in store.ports_of(tx, row.id) if each.device_owner == store.INTERFACE]
    if isinstance(body.port_id, str):
        port = next((each for each in interfaces if each.id == body.port_id), None)
        if port is None:
            raise NotFound(
                f"Router {row.id} does not have an interface with id {body.port_id}",
                kind="RouterInterfaceNotFound",
            )
        if isinstance(body.subnet_id, str) and all(
            each["subnet_id"] != body.subnet_id for each in port.fixed_ips
        ):
            raise Conflict(f"Subnet {body.subnet_id} is not on port {port.id}.", kind="SubnetMismatchForPort")
        return port
    for port in interfaces:
        if any(each["subnet_id"] == body.subnet_id for each in port.fixed_ips):
            return port
    raise NotFound(
        f"Router {row.id} has no interface on subnet {body.subnet_id}",
        kind="RouterInterfaceNotFoundForSubnet",
    )


def _check_unused(tx: Tx, row: Row[Any], lost: Sequence[dict[str, str]]) -> None:
    """409 where floating IPs or routes go through the addresses that the router is about to lose."""
    lost_ids = {each["subnet_id"] for each in lost}
    cidrs = {each.id: each.cidr for each in store.connected(tx, row.id) if each.id in lost_ids}
    floating = store.floating_ips_of(tx, row.id)
    for subnet_id, cidr in cidrs.items():
        if (destination := domain.uses(row.routes, cidr)) is not None:
            raise Conflict(
                f"Router interface for subnet {subnet_id} on router {row.id} cannot be deleted, as it is "
                f"required by the route to {destination}.",
                kind="RouterInterfaceInUseByRoute",
            )
        for each in floating:
            if subnet_domain.contains(cidr, each.fixed_ip_address):
                raise Conflict(
                    f"Router interface for subnet {subnet_id} on router {row.id} cannot be deleted, as it "
                    f"is required by the floating IP {each.floating_ip_address}.",
                    kind="RouterInterfaceInUseByFloatingIP",
                )


def _shown(row: Row[Any], port: Row[Any], fixed_ips: Sequence[dict[str, str]]) -> InterfaceAnswer:
    subnet_ids = [each["subnet_id"] for each in fixed_ips]
    return InterfaceAnswer(
        id=row.id,
        tenant_id=row.project_id,
        project_id=row.project_id,
        port_id=port.id,
        network_id=port.network_id,
        subnet_id=subnet_ids[-1],
        subnet_ids=subnet_ids,
        tags=row.tags,
    )
