"""Security groups as port groups, their rules as ACLs.

Every port with port security is in the group `SECURED`, which drops what no rule allows, in both
directions, and lets through what a guest needs to find its network. Neighbour discovery and router
advertisements pass OVN's ACLs always, also those that a guest has no business to send.
"""

from __future__ import annotations

import ipaddress

from pileus.drivers.network.ovn import names
from pileus.drivers.network.ovn.wanted import Wanted, derived
from pileus.drivers.ovsdb import Uuid
from pileus.services.network.driver import NetworkError, SecurityGroup, SecurityGroupRule

SECURED = derived("pileus", "secured ports")
_SECURED_NAME = "pg_pileus_secured"

_NEVER, _NEEDED, _ALLOWED, _DROPPED = 1004, 1003, 1002, 1001
"""Priorities."""

_OUT, _IN = f"inport == @{_SECURED_NAME}", f"outport == @{_SECURED_NAME}"
_METADATA = names.METADATA_IPV4, names.METADATA_IPV6
_SECURED_ACLS = (
    # A guest is no DHCP server, whatever its rules allow.
    ("from-lport", _NEVER, f"{_OUT} && ip4 && udp.src == 67 && udp.dst == 68", "drop"),
    ("from-lport", _NEVER, f"{_OUT} && ip6 && udp.src == 547 && udp.dst == 546", "drop"),
    ("from-lport", _NEEDED, f"{_OUT} && ip4 && udp.src == 68 && udp.dst == 67", "allow-stateless"),
    ("from-lport", _NEEDED, f"{_OUT} && ip6 && udp.src == 546 && udp.dst == 547", "allow-stateless"),
    ("to-lport", _NEEDED, f"{_IN} && ip4 && udp.src == 67 && udp.dst == 68", "allow-stateless"),
    ("to-lport", _NEEDED, f"{_IN} && ip6 && udp.src == 547 && udp.dst == 546", "allow-stateless"),
    *(
        acl
        for ip, address in zip(("ip4", "ip6"), _METADATA, strict=True)
        for acl in (
            ("from-lport", _NEEDED, f"{_OUT} && {ip}.dst == {address} && tcp.dst == 80", "allow-stateless"),
            ("to-lport", _NEEDED, f"{_IN} && {ip}.src == {address} && tcp.src == 80", "allow-stateless"),
        )
    ),
    (
        "from-lport",
        _NEEDED,
        f"{_OUT} && ip4.dst == {names.METADATA_IPV4} && udp.dst == 53",
        "allow-stateless",
    ),
    ("to-lport", _NEEDED, f"{_IN} && ip4.src == {names.METADATA_IPV4} && udp.src == 53", "allow-stateless"),
    ("from-lport", _DROPPED, f"{_OUT} && ip", "drop"),
    ("to-lport", _DROPPED, f"{_IN} && ip", "drop"),
)

_PROTOCOL_NUMBERS = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "icmp": 1,
    "icmpv6": 58,
    "igmp": 2,
    "ip": 0,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}
"""Names of the API reference (security group rules, `protocol`)."""
_WITH_PORTS = {6: "tcp", 17: "udp", 132: "sctp"}


def secured_rows() -> Wanted:
    """The group of all secured ports. Who is in it is the ports' own affair."""
    wanted = Wanted()
    acls = [
        _acl(wanted, derived("pileus", match + direction), direction, priority, match, action)
        for direction, priority, match, action in _SECURED_ACLS
    ]
    wanted.add(names.GROUP, SECURED, {"name": _SECURED_NAME, "acls": acls})
    return wanted


def security_group_rows(group: SecurityGroup, external_ids: dict[str, str]) -> Wanted:
    wanted = Wanted()
    action = "allow-related" if group.stateful else "allow-stateless"
    acls = [
        _acl(
            wanted,
            Uuid(rule.id),
            "to-lport" if rule.direction == "ingress" else "from-lport",
            _ALLOWED,
            rule_match(group.id, rule),
            action,
        )
        for rule in group.rules
    ]
    columns = {"name": names.group_name(group.id), "acls": acls, "external_ids": external_ids}
    wanted.add(names.GROUP, group.id, columns)
    return wanted


def _acl(wanted: Wanted, row: Uuid, direction: str, priority: int, match: str, action: str) -> Uuid:
    columns = {"direction": direction, "priority": priority, "match": match, "action": action}
    return wanted.add(names.ACL, row, columns)


def rule_match(group_id: str, rule: SecurityGroupRule) -> str:
    """The rule as a logical flow match (ovn-sb(5), Logical_Flow)."""
    ingress, ip = rule.direction == "ingress", "ip4" if rule.ethertype == "IPv4" else "ip6"
    remote = f"{ip}.{'src' if ingress else 'dst'}"
    terms = [f"{'outport' if ingress else 'inport'} == @{names.group_name(group_id)}", ip]
    if rule.remote_ip_prefix is not None:
        prefix = ipaddress.ip_network(rule.remote_ip_prefix, strict=False)
        if prefix.prefixlen:
            terms.append(f"{remote} == {prefix}")
    if rule.remote_group_id is not None:
        terms.append(f"{remote} == ${names.group_name(rule.remote_group_id)}_{ip}")
    return " && ".join((*terms, *_protocol_terms(rule)))


def _protocol_terms(rule: SecurityGroupRule) -> list[str]:
    if rule.protocol is None or rule.protocol in ("any", "0", "ip"):
        return []
    number = _PROTOCOL_NUMBERS.get(rule.protocol.lower())
    if number is None:
        number = int(rule.protocol)
    if number in (1, 58):
        # For IPv6, `icmp` has always meant its own ICMP.
        icmp = "icmp4" if rule.ethertype == "IPv4" else "icmp6"
        limits = (("type", rule.port_range_min), ("code", rule.port_range_max))
        return [icmp, *(f"{icmp}.{name} == {value}" for name, value in limits if value is not None)]
    low, high = rule.port_range_min, rule.port_range_max
    signs = (("==", low),) if low == high else ((">=", low), ("<=", high))
    ports = [(sign, port) for sign, port in signs if port is not None]
    name = _WITH_PORTS.get(number)
    if name is None:
        if ports:
            raise NetworkError(
                f"rule {rule.id}: the ports of protocol {rule.protocol} cannot be told apart; "
                "only those of tcp, udp and sctp can"
            )
        return [f"ip.proto == {number}"]
    return [name, *(f"{name}.dst {sign} {port}" for sign, port in ports)]
