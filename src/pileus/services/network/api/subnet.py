"""Subnets: the addresses of a network, and what its guests are told by DHCP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET
from sqlalchemy import ColumnElement, Row, Select, bindparam, or_, select

from pileus.kernel.api.call import Call, read_bool
from pileus.kernel.api.dispatch import owner_project
from pileus.kernel.api.fields import Text255, Uuid, create, field, filter, hidden, read_only, sort, update
from pileus.kernel.api.resource import Visibility
from pileus.kernel.db import Tx
from pileus.kernel.errors import BadRequest, Conflict
from pileus.lib.address import default_gateway, eui64_address, first_overlap
from pileus.services.network.api.network import Network, check_mtu
from pileus.services.network.api.standard import enforce_attributes, given
from pileus.services.network.api.subnet_pool import pool_of, take
from pileus.services.network.api.tags import Tagged, declare_tags, tag_filters
from pileus.services.network.domain import subnet as domain
from pileus.services.network.domain.allocation import ROUTER_OWNERS
from pileus.services.network.events import announce
from pileus.services.network.model import networks, ports, subnets
from pileus.services.network.store import addresses, rows
from pileus.services.network.store import networks as store
from pileus.services.network.store import ports as port_store

Mode: TypeAlias = Literal["slaac", "dhcpv6-stateful", "dhcpv6-stateless"]


class Pool(msgspec.Struct, forbid_unknown_fields=True):
    start: str
    end: str


class Route(msgspec.Struct, forbid_unknown_fields=True):
    destination: str
    nexthop: str


_VISIBLE = or_(
    subnets.c.project_id == bindparam("visible_project_id"),
    subnets.c.network_id.in_(
        select(networks.c.id).where(
            or_(
                networks.c.project_id == bindparam("visible_project_id"),
                networks.c.shared,
                networks.c.external,
            )
        )
    ),
)
_SELECT = select(
    subnets,
    networks.c.project_id.label("network_project_id"),
    networks.c.shared.label("network_shared"),
    networks.c.external.label("network_external"),
).join(networks, networks.c.id == subnets.c.network_id)


def _on_external(call: Call, values: list[str]) -> ColumnElement[bool]:
    return networks.c.external == read_bool("router:external", values[-1])


def _shared(call: Call, values: list[str]) -> ColumnElement[bool]:
    return networks.c.shared == read_bool("shared", values[-1])


class Subnet(Tagged, member="subnet", collection="subnets", table=subnets):
    kind_name = "subnet"
    services_see_all = True
    filters = {**tag_filters(subnets), "router:external": _on_external, "shared": _shared}

    name: Text255 = field(create, update, filter, sort, default="")
    network_id: Uuid = field(create, filter, sort, required=True)
    ip_version: Literal[4, 6] = field(create, filter, sort, required=True)
    cidr: str = field(create, filter, sort)
    gateway_ip: str | None = field(create, update, filter, sort)
    enable_dhcp: bool = field(create, update, filter, sort, default=True)
    ipv6_address_mode: Mode | None = field(create, filter, sort, default=None)
    ipv6_ra_mode: Mode | None = field(create, filter, sort, default=None)
    allocation_pools: list[Pool] | None = field(
        create,
        update,
        column=None,
        render=lambda call, row: [{"start": first, "end": last} for first, last in row.allocation_pools],
    )
    dns_nameservers: list[str] | None = field(create, update, default=[])
    host_routes: list[Route] | None = field(create, update, default=[])
    service_types: list[Text255] = field(create, update, default=[])
    dns_publish_fixed_ip: bool = field(create, update, filter, sort, default=False)
    subnetpool_id: Uuid | None = field(create, filter, sort, default=None)
    use_default_subnetpool: bool = field(create, hidden, default=False, column=None)
    prefixlen: int = field(create, hidden, column=None)
    external: bool = field(read_only, wire="router:external", render=lambda call, row: row.network_external)

    @classmethod
    def select(cls) -> Select[Any]:
        return _SELECT

    @classmethod
    def visible_to_project(cls, project_id: str) -> Visibility:
        return _VISIBLE, {"visible_project_id": project_id}

    @classmethod
    def target(cls, row: Row[Any]) -> Mapping[str, Any]:
        return {
            **super().target(row),
            "network:project_id": row.network_project_id,
            "shared": row.network_shared,
            "router:external": row.network_external,
        }

    @classmethod
    def target_of_new(cls, call: Call, tx: Tx, body: Any) -> dict[str, Any]:
        return {**super().target_of_new(call, tx, body), **network_target(call, tx, body.network_id)}


def network_target(call: Call, tx: Tx, network_id: str) -> dict[str, Any]:
    """What rules see of the network that something is made on; 404 where the caller sees no such network."""
    network = call.gathered.get(network_id)
    if network is None:
        network = call.gathered[network_id] = Network.load_again(call, tx, network_id)
    return {
        "network:project_id": network.project_id,
        "shared": network.shared,
        "router:external": network.external,
    }


@Subnet.create(policy="create_subnet", status=201, quota={"subnet": 1})
def create_subnet(call: Call, tx: Tx, body: Any) -> Row[Any]:
    """Makes a subnet on a network."""
    enforce_attributes(call, "create_subnet", body, Subnet.target_of_new(call, tx, body))
    network = call.gathered[body.network_id]
    project_id = owner_project(call, body)
    pool = pool_of(call, tx, body)
    others = store.subnets_of(tx, network.id)
    pool_id = None if pool is None else pool.id
    if any(each.subnetpool_id != pool_id for each in others if each.ip_version == body.ip_version):
        raise BadRequest(
            "Subnets hosted on the same network must be allocated from the same subnet pool.",
            kind="NetworkSubnetPoolAffinityError",
        )
    cidr = _cidr_of(body) if pool is None else take(tx, pool, body, project_id)
    domain.check_modes(cidr, body.ip_version, body.enable_dhcp, body.ipv6_ra_mode, body.ipv6_address_mode)
    check_mtu(network.mtu, [body.ip_version])
    if (other := first_overlap(cidr, [each.cidr for each in others])) is not None:
        raise domain.invalid(
            f"Requested subnet with cidr: {cidr} for network: {network.id} overlaps with another subnet: "
            f"{other}."
        )
    gateway = (
        default_gateway(cidr) if body.gateway_ip is UNSET else domain.chosen_gateway(cidr, body.gateway_ip)
    )
    wanted = None if body.allocation_pools is UNSET else body.allocation_pools
    pools = domain.chosen_pools(cidr, gateway, None if wanted is None else [(p.start, p.end) for p in wanted])
    made = rows.add(
        tx,
        subnets,
        {
            "project_id": project_id,
            **given(
                body, "name", "description", "network_id", "ip_version", "enable_dhcp", "ipv6_address_mode"
            ),
            **given(body, "ipv6_ra_mode", "service_types", "dns_publish_fixed_ip"),
            "cidr": cidr,
            "subnetpool_id": pool_id,
            "gateway_ip": gateway,
            "allocation_pools": [[pool.start, pool.end] for pool in pools],
            "dns_nameservers": domain.checked_nameservers(body.dns_nameservers or []),
            "host_routes": _routes(body.host_routes, body.ip_version),
        },
    )
    if domain.is_automatic(made):
        _give_automatic_addresses(call, tx, made)
    _network_changed(call, tx, network.id)
    row = Subnet.load_again(call, tx, made.id)
    announce(call, tx, Subnet, "create", row)
    return row


@Subnet.update(policy="update_subnet")
def update_subnet(call: Call, tx: Tx, row: Row[Any], body: Any) -> Row[Any]:
    """Changes a subnet."""
    enforce_attributes(call, "update_subnet", body, Subnet.target(row))
    values = given(body, "name", "description", "enable_dhcp", "service_types", "dns_publish_fixed_ip")
    gateway = row.gateway_ip
    if body.gateway_ip is not UNSET:
        gateway = values["gateway_ip"] = domain.chosen_gateway(row.cidr, body.gateway_ip)
        _check_gateway_change(tx, row, gateway)
    if body.allocation_pools not in (UNSET, None):
        pools = domain.chosen_pools(row.cidr, gateway, [(p.start, p.end) for p in body.allocation_pools])
        values["allocation_pools"] = [[pool.start, pool.end] for pool in pools]
    elif gateway != row.gateway_ip:
        domain.chosen_pools(row.cidr, gateway, row.allocation_pools)
    if body.dns_nameservers is not UNSET:
        values["dns_nameservers"] = domain.checked_nameservers(body.dns_nameservers or [])
    if body.host_routes is not UNSET:
        values["host_routes"] = _routes(body.host_routes, row.ip_version)
    domain.check_modes(
        row.cidr,
        row.ip_version,
        values.get("enable_dhcp", row.enable_dhcp),
        row.ipv6_ra_mode,
        row.ipv6_address_mode,
    )
    if values:
        rows.change(tx, subnets, row.id, **values)
        _network_changed(call, tx, row.network_id)
        if gateway != row.gateway_ip:
            _wake_routers(call, tx, row.network_id)
        row = Subnet.load_again(call, tx, row.id)
        announce(call, tx, Subnet, "update", row)
    return row


@Subnet.delete(policy="delete_subnet")
def delete_subnet(call: Call, tx: Tx, row: Row[Any]) -> None:
    """Deletes a subnet; no port may have an address on it but such as it made itself."""
    holders = addresses.holders(tx, row.id)
    blocking = [
        each for each in holders if not domain.is_automatic(row) or each.device_owner in ROUTER_OWNERS
    ]
    if blocking:
        raise Conflict(
            f"Unable to complete operation on subnet {row.id}: One or more ports have an IP allocation "
            f"from this subnet, among them port {blocking[0].id}. Delete them, or detach the subnet from "
            "its router, first.",
            kind="SubnetInUse",
        )
    for port in holders:
        left = [each for each in port.fixed_ips if each["subnet_id"] != row.id]
        port_store.set_addresses(tx, port, left)  # no router hears of it: IPv6 knows no floating IPs
        call.runtime.work.wake(tx, port.id, request_id=call.request_id)
    rows.remove(tx, subnets, row.id)
    _network_changed(call, tx, row.network_id)
    announce(call, tx, Subnet, "delete", row)


Subnet.show(policy="get_subnet")
Subnet.list(policy="get_subnet")
declare_tags(Subnet)


def _cidr_of(body: Any) -> str:
    if body.cidr is UNSET:
        raise BadRequest("A subnet needs a cidr, or a subnet pool to take one from.", kind="BadSubnetRequest")
    if body.prefixlen is not UNSET:
        raise domain.invalid("prefixlen goes with a subnet pool; the cidr says it all.")
    return domain.canonical_cidr(body.cidr, body.ip_version)


def _routes(wanted: list[Route] | None, version: int) -> list[dict[str, str]]:
    said = [{"destination": each.destination, "nexthop": each.nexthop} for each in wanted or []]
    return domain.checked_routes(said, "host_routes", version)


def _check_gateway_change(tx: Tx, row: Row[Any], gateway: str | None) -> None:
    """409 where a router has the old gateway's address."""
    if row.gateway_ip is None or gateway == row.gateway_ip:
        return
    holder = addresses.holder(tx, row.id, row.gateway_ip)
    port = rows.get(tx, ports, holder) if holder is not None else None
    if port is not None and port.router_id is not None:
        raise Conflict(
            f"Current gateway ip {row.gateway_ip} already in use by port {port.id}. Unable to update; "
            "remove the subnet from the router first.",
            kind="GatewayIpInUse",
        )


def _give_automatic_addresses(call: Call, tx: Tx, subnet: Row[Any]) -> None:
    """Ports that are on the network already make themselves an address on the new subnet."""
    for port in port_store.on_network(tx, subnet.network_id):
        if port.device_owner.startswith("network:"):
            continue
        ip = eui64_address(subnet.cidr, port.mac_address)
        port_store.set_addresses(tx, port, [*port.fixed_ips, {"subnet_id": subnet.id, "ip_address": ip}])
        call.runtime.work.wake(tx, port.id, request_id=call.request_id)


def _network_changed(call: Call, tx: Tx, network_id: str) -> None:
    rows.change(tx, networks, network_id)
    call.runtime.work.wake(tx, network_id, request_id=call.request_id)


def _wake_routers(call: Call, tx: Tx, network_id: str) -> None:
    for router_id in port_store.routers_on(tx, network_id):
        call.runtime.work.wake(tx, router_id, request_id=call.request_id)
