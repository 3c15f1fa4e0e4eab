"""Tables, names and addresses of the northbound database's rows, derived from Neutron's ids."""

from __future__ import annotations

import hashlib
import ipaddress

SWITCH = "Logical_Switch"
SWITCH_PORT = "Logical_Switch_Port"
DHCP = "DHCP_Options"
DNS = "DNS"
GROUP = "Port_Group"
ACL = "ACL"
ROUTER = "Logical_Router"
ROUTER_PORT = "Logical_Router_Port"
ROUTE = "Logical_Router_Static_Route"
NAT = "NAT"
CHASSIS_GROUP = "HA_Chassis_Group"
CHASSIS = "HA_Chassis"

EPOCH = "pileus:epoch"
KIND = "pileus:kind"
"""`network`, `port`, `router` or `security_group`, on the one row that stands for the thing."""
NETWORK = "pileus:network"
SPEC = "pileus:spec"
"""The protocol's value that the row was made from: what a later change compares with."""

METADATA_IPV4 = "169.254.169.254"
METADATA_IPV6 = "fe80::a9fe:a9fe"

COPIED = {
    SWITCH: ("name", "other_config", "external_ids"),
    SWITCH_PORT: (
        "name",
        "type",
        "addresses",
        "port_security",
        "options",
        "enabled",
        "up",
        "dhcpv4_options",
        "dhcpv6_options",
        "external_ids",
    ),
    DHCP: ("cidr", "options", "external_ids"),
    DNS: ("records", "external_ids"),
    GROUP: ("name", "acls", "external_ids"),
    ACL: ("direction", "priority", "match", "action", "external_ids"),
    ROUTER: ("name", "enabled", "ports", "nat", "static_routes", "options", "external_ids"),
    ROUTER_PORT: (
        "name",
        "mac",
        "networks",
        "ipv6_ra_configs",
        "options",
        "ha_chassis_group",
        "external_ids",
    ),
    ROUTE: ("ip_prefix", "nexthop", "output_port", "external_ids"),
    NAT: ("type", "logical_ip", "external_ip", "external_ids"),
    CHASSIS_GROUP: ("name", "ha_chassis"),
    CHASSIS: ("chassis_name", "priority"),
    "NB_Global": ("options",),
}
"""Columns that the engine keeps a copy of. Not those that grow with the number of ports of a network or a
group: a change of one port would bring all of them again."""


def group_name(group_id: str) -> str:
    """Port groups are named in matches, where an identifier has no dashes."""
    return "pg_" + group_id.replace("-", "_")


def router_port_name(port_id: str) -> str:
    return f"lrp-{port_id}"


def derived_mac(owner_id: str, role: str) -> str:
    """A locally administered address for an endpoint of the engine's own."""
    digest = hashlib.sha256(f"{owner_id} {role}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x0A, *digest[:5]))


def link_local_of(mac: str) -> str:
    """The link-local address that is made from a MAC (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    interface = bytes((octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]))
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + interface))


def mac_of_link_local(ip: str) -> str | None:
    """The MAC that a link-local address was made from (RFC 4291, appendix A), or None."""
    address = ipaddress.ip_address(ip)
    if address.version == 4 or not address.is_link_local:
        return None
    octets = address.packed[8:]
    if octets[3:5] != b"\xff\xfe":
        return None
    return ":".join(f"{octet:02x}" for octet in (octets[0] ^ 2, *octets[1:3], *octets[5:]))
