"""Networks and ports as logical switches and switch ports, with DHCP, DNS and the metadata port."""

from __future__ import annotations

import ipaddress
from typing import Any

from pileus.drivers.network.ovn import names
from pileus.drivers.network.ovn.dhcp import dhcp_options, quoted
from pileus.drivers.network.ovn.security import SECURED
from pileus.drivers.network.ovn.wanted import Wanted, derived, external_ids
from pileus.drivers.ovsdb import Uuid
from pileus.services.network.driver import Network, Port, Subnet


def metadata_port_id(network_id: str) -> str:
    return str(derived(network_id, "metadata"))


def network_rows(network: Network, epoch: int, physical_network: str) -> Wanted:
    wanted = Wanted()
    switch = (names.SWITCH, network.id)
    wanted.add(
        *switch,
        {
            "name": network.id,
            "other_config": {"mcast_snoop": "false", "vlan-passthru": "false"},
            "external_ids": external_ids("network", network, epoch),
        },
    )
    for subnet in network.subnets:
        options = dhcp_options(network, subnet)
        if options is not None:
            wanted.add(
                names.DHCP,
                subnet.id,
                {"cidr": subnet.cidr, "options": options, "external_ids": {names.NETWORK: network.id}},
            )
    if network.external:
        localnet = {
            "type": "localnet",
            "addresses": ["unknown"],
            "options": {"network_name": physical_network},
        }
        wanted.add(names.SWITCH_PORT, *_named(derived(network.id, "localnet"), localnet), member_of=switch)
    if network.subnets:
        mac = names.derived_mac(network.id, "metadata")
        localport = {
            "type": "localport",
            "addresses": [f"{mac} {names.METADATA_IPV4} {names.METADATA_IPV6}"],
        }
        wanted.add(names.SWITCH_PORT, *_named(derived(network.id, "metadata"), localport), member_of=switch)
    return wanted


def _named(port_uuid: Uuid, columns: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return port_uuid, {"name": str(port_uuid), **columns}


def port_rows(port: Port, network: Network, epoch: int) -> Wanted:
    wanted = Wanted()
    dhcp = {4: frozenset[Uuid](), 6: frozenset[Uuid]()}
    for subnet in _subnets_of(port, network):
        version = ipaddress.ip_network(subnet.cidr).version
        options = dhcp_options(network, subnet, port.dhcp_options)
        if options is None or dhcp[version]:
            continue
        row = Uuid(subnet.id)
        if port.dhcp_options:
            row = derived(port.id, f"dhcpv{version}")
            columns = {"cidr": subnet.cidr, "options": options, "external_ids": {names.NETWORK: network.id}}
            wanted.add(names.DHCP, row, columns)
        dhcp[version] = frozenset({row})
    ips = [address.ip for address in port.addresses]
    pair_macs = sorted({mac for _, mac in port.allowed_address_pairs if mac != port.mac})
    addresses = [" ".join((port.mac, *ips)), *pair_macs]
    if not port.port_security_enabled:
        addresses.append("unknown")
    options = {"requested-chassis": port.host} if port.host else {}
    if port.dns_name:
        options["hostname"] = quoted(port.dns_name)
    wanted.add(
        names.SWITCH_PORT,
        port.id,
        {
            "name": port.id,
            "type": "",
            "addresses": addresses,
            "port_security": _port_security(port, ips),
            "enabled": port.admin_state_up and network.admin_state_up,
            "options": options,
            "dhcpv4_options": dhcp[4],
            "dhcpv6_options": dhcp[6],
            "external_ids": external_ids("port", port, epoch, network.id),
        },
        member_of=(names.SWITCH, network.id),
    )
    if port.port_security_enabled:
        for group in (SECURED, *port.security_group_ids):
            wanted.members.add((names.GROUP, group, "ports", port.id))
    if port.dns_name and ips:
        full_name = f"{port.dns_name}.{network.dns_domain.strip('.')}".strip(".").lower()
        records = dict.fromkeys((port.dns_name.lower(), full_name), " ".join(ips))
        wanted.add(names.DNS, port.id, {"records": records, "external_ids": {names.NETWORK: network.id}})
        wanted.members.add((names.SWITCH, network.id, "dns_records", port.id))
    return wanted


def _subnets_of(port: Port, network: Network) -> list[Subnet]:
    by_id = {subnet.id: subnet for subnet in network.subnets}
    return [by_id[address.subnet_id] for address in port.addresses if address.subnet_id in by_id]


def _port_security(port: Port, ips: list[str]) -> list[str]:
    """Addresses that the guest may use as its own, by MAC. A MAC without any may send from every address,
    so a port without fixed addresses gets one that no packet has."""
    if not port.port_security_enabled:
        return []
    by_mac: dict[str, list[str]] = {port.mac: list(ips)}
    for ip, mac in port.allowed_address_pairs:
        by_mac.setdefault(mac, []).append(ip)
    for mac, allowed in by_mac.items():
        if any(":" in ip for ip in allowed):
            # OVN means to allow it by itself, but 23.03 drops what answers a neighbour's question for it.
            allowed.append(names.link_local_of(mac))
    return [" ".join((mac, *(allowed or ["0.0.0.0"]))) for mac, allowed in by_mac.items()]
