"""What a security group rule may say: protocols, ports, prefixes. Pure; errors are the user's."""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from pileus.kernel.errors import BadRequest

PROTOCOLS: Final = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "hopopt": 0, "icmp": 1, "igmp": 2, "ip": 0,
    "ipip": 4, "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59,
    "ipv6-opts": 60, "ipv6-route": 43, "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17,
    "udplite": 136, "vrrp": 112,
}  # fmt: skip
"""Names that Neutron's API takes, with IANA's numbers."""
WITH_PORTS: Final = frozenset({6, 17, 33, 132, 136})
_ICMP: Final = frozenset({1, 58})
_V6_NAMES: Final = frozenset(
    {"ipv6-encap", "ipv6-frag", "ipv6-icmp", "icmpv6", "ipv6-nonxt", "ipv6-opts", "ipv6-route"}
)
_V6_NUMBERS: Final = frozenset(PROTOCOLS[name] for name in _V6_NAMES)
_ANY: Final = frozenset({"any", "0", "ip"})
_V6_FORM: Final = {"icmp": "ipv6-icmp", "icmpv6": "ipv6-icmp", "1": "ipv6-icmp"}


def canonical_protocol(text: str | None) -> str | None:
    """A name in lower case or a number as text, as the API shows it; None for any. 400 for what is
    neither."""
    if text is None:
        return None
    name = text.strip().lower()
    if name == "any" or name == "":
        return None
    if name in PROTOCOLS:
        return name
    if name.isascii() and name.isdigit() and len(name) < 4 and int(name) < 256:
        return str(int(name))
    known = ", ".join(sorted(PROTOCOLS))
    raise BadRequest(
        f"Security group rule protocol {text} not supported. Only protocol values [{known}] and integer "
        "representations [0 to 255] are supported.",
        kind="SecurityGroupRuleInvalidProtocol",
    )


def canonical_ethertype(text: str) -> str:
    for known in ("IPv4", "IPv6"):
        if text.lower() == known.lower():
            return known
    raise BadRequest(f"Invalid input for ethertype. Reason: '{text}' is not in ['IPv4', 'IPv6'].")


def canonical_prefix(text: str | None, ethertype: str) -> str | None:
    """A CIDR, a single address with its full length; 400 for what is none or of the other family."""
    if text is None:
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise BadRequest(f"'{text}' is not a valid CIDR for remote_ip_prefix.", kind="InvalidCIDR") from error
    if "%" in text:
        raise BadRequest(f"'{text}' is not a valid CIDR for remote_ip_prefix.", kind="InvalidCIDR")
    if f"IPv{network.version}" != ethertype:
        raise BadRequest(
            f"Conflicting value ethertype {ethertype} for CIDR {text}.",
            kind="SecurityGroupRuleParameterConflict",
        )
    return text if "/" in text else f"{text}/{network.prefixlen}"


def check_protocol_family(protocol: str | None, ethertype: str) -> None:
    if ethertype == "IPv4" and protocol is not None and protocol_number(protocol) in _V6_NUMBERS:
        raise BadRequest(
            f"Invalid ethertype {ethertype} for protocol {protocol}.",
            kind="SecurityGroupEthertypeConflictWithProtocol",
        )


def check_ports(protocol: str | None, low: int | None, high: int | None) -> None:
    """400 for ports that the protocol does not have, or an ICMP type and code that are none."""
    if low is None and high is None:
        return
    number = protocol_number(protocol)
    if number is None or protocol in _ANY:
        raise BadRequest(
            "Must also specify protocol if port range is given.",
            kind="SecurityGroupProtocolRequiredWithPorts",
        )
    if number in _ICMP:
        _check_icmp(low, high)
        return
    if number not in WITH_PORTS:
        raise BadRequest(
            f"Invalid value for port: protocol {protocol} has no ports, so neither port_range_min nor "
            "port_range_max can be given.",
            kind="SecurityGroupInvalidProtocolForPort",
        )
    for port in (low, high):
        if port is not None and not 0 <= port <= 65535:
            raise BadRequest(f"Invalid value for port {port}", kind="SecurityGroupInvalidPortValue")
    if low is None or high is None or low > high:
        raise BadRequest(
            "For TCP/UDP protocols, port_range_min must be <= port_range_max",
            kind="SecurityGroupInvalidPortRange",
        )


def _check_icmp(kind: int | None, code: int | None) -> None:
    for name, what, value in (("ICMP type", "port-range-min", kind), ("ICMP code", "port-range-max", code)):
        if value is not None and not 0 <= value <= 255:
            raise BadRequest(
                f"Invalid value for {name} ({what}) {value}. It must be 0 to 255.",
                kind="SecurityGroupInvalidIcmpValue",
            )
    if kind is None:
        raise BadRequest(
            f"ICMP code (port-range-max) {code} is provided but ICMP type (port-range-min) is missing.",
            kind="SecurityGroupMissingIcmpType",
        )


def protocol_number(protocol: str | None) -> int | None:
    if protocol is None:
        return None
    return PROTOCOLS[protocol] if protocol in PROTOCOLS else int(protocol)


def identity(row: dict[str, Any]) -> str:
    """Text that two rules share if and only if they let the same through."""
    protocol = row["protocol"]
    if row["ethertype"] == "IPv6" and protocol in _V6_FORM:
        protocol = _V6_FORM[protocol]
    number = protocol_number(protocol)
    prefix = row["remote_ip_prefix"]
    parts = (
        row["direction"],
        row["ethertype"],
        "any" if number is None or protocol in _ANY else number,
        row["port_range_min"],
        row["port_range_max"],
        None if prefix is None else ipaddress.ip_network(prefix, strict=False),
        row["remote_group_id"],
    )
    return " ".join(str(part) for part in parts)


def normalized(prefix: str | None) -> str | None:
    """The prefix without bits of a host: `normalized_cidr`."""
    return None if prefix is None else str(ipaddress.ip_network(prefix, strict=False))


def canonical_for_engine(protocol: str | None, ethertype: str) -> str | None:
    """The one spelling of a protocol that engines are told; None for any."""
    if protocol is None or protocol in _ANY:
        return None
    if ethertype == "IPv6" and protocol in _V6_FORM:
        return _V6_FORM[protocol]
    number = protocol_number(protocol)
    return next(
        (name for name in ("tcp", "udp", "sctp", "icmp", "ipv6-icmp") if PROTOCOLS[name] == number),
        str(number),
    )
