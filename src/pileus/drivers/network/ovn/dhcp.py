"""A subnet's DHCP options in OVN's words (ovn-nb(5), DHCP_Options)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from pileus.drivers.network.ovn import names
from pileus.services.network.driver import Network, Subnet

LEASE_SECONDS = 86400
"""Neutron's `dhcp_lease_duration`."""

_OVN_NAMES_V4 = {
    "arp-timeout": "arp_cache_timeout",
    "bootfile-name": "bootfile_name",
    "broadcast-address": "broadcast_address",
    "classless-static-route": "classless_static_route",
    "default-ttl": "default_ttl",
    "dns-server": "dns_server",
    "domain-name": "domain_name",
    "domain-search": "domain_search_list",
    "ethernet-encap": "ethernet_encap",
    "hostname": "hostname",
    "ip-forward-enable": "ip_forward_enable",
    "lease-time": "lease_time",
    "log-server": "log_server",
    "lpr-server": "lpr_server",
    "ms-classless-static-route": "ms_classless_static_route",
    "mtu": "mtu",
    "netmask": "netmask",
    "nis-server": "nis_server",
    "ntp-server": "ntp_server",
    "path-prefix": "path_prefix",
    "policy-filter": "policy_filter",
    "router": "router",
    "router-discovery": "router_discovery",
    "router-solicitation": "router_solicitation",
    "server-ip-address": "tftp_server_address",
    "swap-server": "swap_server",
    "tcp-keepalive-interval": "tcp_keepalive_interval",
    "tcp-ttl": "tcp_ttl",
    "tftp-server": "tftp_server",
    "tftp-server-address": "tftp_server_address",
    "wpad": "wpad",
}
_OVN_NAMES_V6 = {
    "dns-server": "dns_server",
    "domain-search": "domain_search",
    "bootfile-name": "bootfile_name",
}
_QUOTED = {
    "bootfile_name",
    "domain_name",
    "domain_search",
    "domain_search_list",
    "hostname",
    "path_prefix",
    "tftp_server",
    "wpad",
}
"""Options whose values OVN reads as strings."""


def dhcp_options(
    network: Network, subnet: Subnet, extra: Mapping[str, str] | None = None
) -> dict[str, str] | None:
    """The options a guest on this subnet is given, or None when it gets none by DHCP.

    `extra` is a port's `extra_dhcp_opts`, by name; names that OVN does not know are left out.
    """
    if not subnet.enable_dhcp:
        return None
    cidr = ipaddress.ip_network(subnet.cidr)
    if cidr.version == 4:
        options, known = _v4(network, subnet), _OVN_NAMES_V4
    elif subnet.ipv6_address_mode in ("dhcpv6-stateful", "dhcpv6-stateless"):
        options, known = _v6(network, subnet), _OVN_NAMES_V6
    else:
        return None
    for name, value in (extra or {}).items():
        ovn_name = known.get(name.replace("_", "-"))
        if ovn_name is not None:
            options[ovn_name] = quoted(value) if ovn_name in _QUOTED else value
    return options


def _v4(network: Network, subnet: Subnet) -> dict[str, str]:
    # The server goes by the metadata address: it is there on every network, also without a router, so a
    # lease can be renewed everywhere. The zero next hop says that it is reached on the link (RFC 3442).
    routes = [(f"{names.METADATA_IPV4}/32", "0.0.0.0"), *subnet.host_routes]
    options = {
        "lease_time": str(LEASE_SECONDS),
        "mtu": str(network.mtu),
        "server_id": names.METADATA_IPV4,
        "server_mac": names.derived_mac(network.id, "dhcp"),
        "dns_server": _listed(_of_version(subnet.dns_nameservers, 4) or [names.METADATA_IPV4]),
    }
    if subnet.gateway_ip is not None:
        options["router"] = subnet.gateway_ip
        # Who reads this option does not read `router` (RFC 3442).
        routes.append(("0.0.0.0/0", subnet.gateway_ip))
    options["classless_static_route"] = _listed([f"{destination},{hop}" for destination, hop in routes])
    if domain := network.dns_domain.strip("."):
        options["domain_name"] = quoted(domain)
    return options


def _v6(network: Network, subnet: Subnet) -> dict[str, str]:
    options = {"server_id": names.derived_mac(network.id, "dhcp")}
    if servers := _of_version(subnet.dns_nameservers, 6):
        options["dns_server"] = _listed(servers)
    if domain := network.dns_domain.strip("."):
        options["domain_search"] = quoted(domain)
    if subnet.ipv6_address_mode == "dhcpv6-stateless":
        options["dhcpv6_stateless"] = "true"
    return options


def _of_version(addresses: Sequence[str], version: int) -> list[str]:
    return [address for address in addresses if ipaddress.ip_address(address).version == version]


def _listed(values: Sequence[str]) -> str:
    return "{" + ", ".join(values) + "}"


def quoted(value: str) -> str:
    """A string as OVN's expressions take it."""
    return '"' + value.replace("\\", "").replace('"', "") + '"'
