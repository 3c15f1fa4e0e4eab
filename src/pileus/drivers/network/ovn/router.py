"""Routers as logical routers: interfaces, router advertisements, the gateway, NAT and routes."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from pileus.drivers.network.ovn import names
from pileus.drivers.network.ovn.wanted import Wanted, derived
from pileus.drivers.ovsdb import Uuid
from pileus.services.network.driver import Network, Router, RouterGateway, RouterInterface, Subnet

GATEWAY_CHASSIS = derived("pileus", "gateway chassis")
"""The group of chassis where routers meet the external networks."""

_RA_MODES = {"slaac": "slaac", "dhcpv6-stateful": "dhcpv6_stateful", "dhcpv6-stateless": "dhcpv6_stateless"}


def gateway_chassis_rows(chassis: str) -> Wanted:
    wanted = Wanted()
    member = wanted.add(
        names.CHASSIS, derived("pileus", f"chassis {chassis}"), {"chassis_name": chassis, "priority": 1}
    )
    wanted.add(names.CHASSIS_GROUP, GATEWAY_CHASSIS, {"name": "pileus", "ha_chassis": [member]})
    return wanted


def router_rows(router: Router, networks: Mapping[str, Network], external_ids: dict[str, str]) -> Wanted:
    """`networks` holds those of the interfaces and of the gateway, by id."""
    wanted = Wanted()
    ports = [_interface(wanted, interface, networks[interface.network_id]) for interface in router.interfaces]
    nats: list[Uuid] = []
    routes = [_route(wanted, router.id, *route) for route in router.routes]
    gateway = router.gateway
    if gateway is not None:
        smallest = min((networks[each.network_id].mtu for each in router.interfaces), default=0)
        ports.append(_gateway(wanted, gateway, networks[gateway.network_id], smallest))
        output = names.router_port_name(gateway.port_id)
        for hop in gateway.next_hops:
            everywhere = "0.0.0.0/0" if ipaddress.ip_address(hop).version == 4 else "::/0"
            routes.append(_route(wanted, router.id, everywhere, hop, output))
        nats = _nats(wanted, router, gateway)
    wanted.add(
        names.ROUTER,
        router.id,
        {
            "name": router.id,
            "enabled": router.admin_state_up,
            "ports": ports,
            "nat": nats,
            "static_routes": routes,
            "options": {"always_learn_from_arp_request": "false", "dynamic_neigh_routers": "true"},
            "external_ids": external_ids,
        },
    )
    return wanted


def _interface(wanted: Wanted, interface: RouterInterface, network: Network) -> Uuid:
    columns = {"ipv6_ra_configs": _router_advertisements(network), "options": {}}
    return _port(wanted, interface, columns, {})


def _gateway(wanted: Wanted, gateway: RouterGateway, network: Network, inner_mtu: int) -> Uuid:
    # Only a link that is narrower than the one behind it needs packets to be measured.
    options = {"gateway_mtu": str(network.mtu)} if inner_mtu > network.mtu else {}
    columns = {"ha_chassis_group": frozenset({GATEWAY_CHASSIS}), "options": options}
    return _port(wanted, gateway, columns, {"nat-addresses": "router"})


def _port(
    wanted: Wanted,
    interface: RouterInterface | RouterGateway,
    columns: dict[str, Any],
    switch_options: dict[str, str],
) -> Uuid:
    """Both ends of a router's link to a switch."""
    name = names.router_port_name(interface.port_id)
    ids = {names.NETWORK: interface.network_id}
    wanted.add(
        names.SWITCH_PORT,
        interface.port_id,
        {
            "name": interface.port_id,
            "type": "router",
            "addresses": ["router"],
            "options": {"router-port": name, **switch_options},
            "external_ids": ids,
        },
        member_of=(names.SWITCH, interface.network_id),
    )
    common = {"name": name, "mac": interface.mac, "networks": list(interface.addresses), "external_ids": ids}
    return wanted.add(names.ROUTER_PORT, interface.port_id, {**common, **columns})


def _router_advertisements(network: Network) -> dict[str, str]:
    """What this interface tells the guests of its network; nothing where no subnet asks for it."""
    subnets = [subnet for subnet in network.subnets if _is_ipv6(subnet.cidr) and subnet.ipv6_ra_mode]
    modes = {subnet.ipv6_ra_mode for subnet in subnets}
    mode = next((mode for mode in ("dhcpv6-stateful", "dhcpv6-stateless", "slaac") if mode in modes), None)
    if mode is None:
        return {}
    config = {
        "address_mode": _RA_MODES[mode],
        "send_periodic": "true",
        "mtu": str(network.mtu),
    }
    if servers := _ipv6_servers(subnets):
        config["rdnss"] = servers[0]
    if domain := network.dns_domain.strip("."):
        config["dnssl"] = domain
    return config


def _ipv6_servers(subnets: list[Subnet]) -> list[str]:
    return [server for subnet in subnets for server in subnet.dns_nameservers if _is_ipv6(server)]


def _nats(wanted: Wanted, router: Router, gateway: RouterGateway) -> list[Uuid]:
    """Floating IPs, and one address for all the rest. IPv6 is never translated."""
    nats = [
        # By router too: one that takes a floating IP over may be quicker than the one that lets it go.
        _nat(wanted, derived(router.id, each.id), "dnat_and_snat", each.fixed_ip, each.floating_ip)
        for each in router.floating_ips
    ]
    outer = [address.partition("/")[0] for address in gateway.addresses if not _is_ipv6(address)]
    if not gateway.enable_snat or not outer:
        return nats
    inner = dict.fromkeys(
        str(ipaddress.ip_interface(address).network)
        for interface in router.interfaces
        for address in interface.addresses
        if not _is_ipv6(address)
    )
    return nats + [_nat(wanted, derived(router.id, f"snat {cidr}"), "snat", cidr, outer[0]) for cidr in inner]


def _nat(wanted: Wanted, row: Uuid, kind: str, logical_ip: str, external_ip: str) -> Uuid:
    return wanted.add(names.NAT, row, {"type": kind, "logical_ip": logical_ip, "external_ip": external_ip})


def _route(
    wanted: Wanted, router_id: str, destination: str, next_hop: str, output: str | None = None
) -> Uuid:
    row = derived(router_id, f"route {destination} {next_hop}")
    columns = {
        "ip_prefix": destination,
        "nexthop": next_hop,
        "output_port": frozenset() if output is None else frozenset({output}),
    }
    return wanted.add(names.ROUTE, row, columns)


def _is_ipv6(text: str) -> bool:
    return ":" in text
