"""What a subnet may look like: prefixes, gateways, pools, IPv6 modes. Pure; errors are the user's.

The rules are Neutron's, as its API reference and its Tempest tests have them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pileus.kernel.errors import BadRequest, Conflict
from pileus.lib import address
from pileus.lib.address import AddressRange

MODES: Final = ("slaac", "dhcpv6-stateful", "dhcpv6-stateless")
AUTOMATIC: Final = frozenset({"slaac", "dhcpv6-stateless"})
"""Modes in which a guest makes its address from its MAC address."""


def invalid(message: str) -> BadRequest:
    return BadRequest(f"Invalid input for operation: {message}", kind="InvalidInput")


def canonical_cidr(cidr: str, ip_version: int | None = None) -> str:
    """The CIDR in its usual form; 400 for what is none or has bits of a host."""
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError as error:
        raise BadRequest(f"Invalid input for cidr. Reason: '{cidr}' is not a valid IP subnet.") from error
    if "/" not in cidr or "%" in cidr or str(network.network_address) != canonical_ip(cidr.partition("/")[0]):
        raise BadRequest(
            f"Invalid input for cidr. Reason: '{cidr}' isn't a recognized IP subnet cidr, '{network}' is "
            "recommended."
        )
    if network.prefixlen == 0:
        raise invalid(f"{network} has no prefix; a subnet is a part of the address space.")
    if ip_version is not None and network.version != ip_version:
        raise invalid(f"cidr '{cidr}' does not match the ip_version '{ip_version}'.")
    return str(network)


def canonical_ip(text: str, what: str = "IP address") -> str:
    """The address in its usual form; 400 for what is none."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError as error:
        raise BadRequest(f"Invalid input for {what}. Reason: '{text}' is not a valid IP address.") from error
    if "%" in text:
        raise BadRequest(
            f"Invalid input for {what}. Reason: '{text}' names a zone, which means nothing here."
        )
    return str(parsed)


def canonical_address(text: str) -> str:
    """An address or a CIDR in its usual form, host bits and all; raises ValueError."""
    parsed = ipaddress.ip_interface(text)
    if "%" in text:
        raise ValueError(f"'{text}' names a zone, which means nothing here")
    return str(parsed) if "/" in text else str(parsed.ip)


def is_automatic(row: Any) -> bool:
    """Whether guests on the subnet make their addresses themselves."""
    return row.ipv6_address_mode in AUTOMATIC or row.ipv6_ra_mode in AUTOMATIC


def check_modes(
    cidr: str, ip_version: int, enable_dhcp: bool, ra_mode: str | None, address_mode: str | None
) -> None:
    """400 for a combination of modes that no guest could follow."""
    said = [mode for mode in (ra_mode, address_mode) if mode is not None]
    if said and ip_version == 4:
        raise invalid("ipv6_ra_mode or ipv6_address_mode cannot be set when ip_version is 4.")
    if said and not enable_dhcp:
        raise invalid("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False.")
    if len(set(said)) == 2:
        raise invalid(
            f"ipv6_ra_mode set to '{ra_mode}' with ipv6_address_mode set to '{address_mode}' is not valid. "
            "If both attributes are set, they must be the same value."
        )
    network = ipaddress.ip_network(cidr)
    if AUTOMATIC.intersection(said) and network.prefixlen != 64:
        raise invalid(f"Invalid CIDR {cidr} for IPv6 address mode. EUI-64 addresses need a prefix of /64.")
    if enable_dhcp:
        if network.prefixlen > (30 if ip_version == 4 else 126):
            raise invalid(
                f"Subnet has a prefix length that is incompatible with DHCP service enabled: {cidr}."
            )
        if network.is_multicast or network.is_loopback:
            raise invalid(f"A multicast or loopback subnet is not supported if enable_dhcp is True: {cidr}.")


def chosen_gateway(cidr: str, wanted: str | None) -> str | None:
    """A gateway that the user names, checked; it may lie outside of the subnet, as upstream."""
    if wanted is None:
        return None
    gateway = canonical_ip(wanted, "gateway_ip")
    network = ipaddress.ip_network(cidr)
    parsed = ipaddress.ip_address(gateway)
    if parsed.version != network.version:
        raise invalid(f"gateway_ip '{gateway}' does not match the ip_version '{network.version}'.")
    if parsed in network and int(parsed) not in address.usable_range(cidr):
        raise invalid("Gateway is not valid on subnet.")
    return gateway


def chosen_pools(
    cidr: str, gateway_ip: str | None, wanted: Sequence[tuple[str, str]] | None
) -> list[AddressRange]:
    """The pools that a user names, or the default ones."""
    if wanted is None:
        return address.default_pools(cidr, gateway_ip)
    try:
        pools = [AddressRange.parse(start, end) for start, end in wanted]
        address.check_pools(cidr, pools, gateway_ip)
    except address.PoolsOverlap as error:
        raise Conflict(str(error), kind="OverlappingAllocationPools") from error
    except address.GatewayInPool as error:
        raise Conflict(str(error), kind="GatewayConflictWithAllocationPools") from error
    except address.PoolOutOfBounds as error:
        raise BadRequest(str(error), kind="OutOfBoundsAllocationPool") from error
    except address.PoolError as error:
        raise BadRequest(str(error), kind="InvalidAllocationPool") from error
    return pools


def pools_of(row: Any) -> list[AddressRange]:
    """The pools of a subnet's row."""
    return [AddressRange.parse(first, last) for first, last in row.allocation_pools]


def checked_nameservers(wanted: Iterable[str]) -> list[str]:
    servers = [canonical_ip(each, "dns_nameservers") for each in wanted]
    if len(set(servers)) != len(servers):
        raise BadRequest("Invalid input for dns_nameservers. Reason: Duplicate nameserver.")
    return servers


def checked_routes(
    wanted: Iterable[Mapping[str, str]], what: str, version: int | None = None
) -> list[dict[str, str]]:
    """Routes as `{destination, nexthop}`, canonical, none twice, of one family each."""
    routes = []
    for each in wanted:
        try:
            destination = ipaddress.ip_network(each["destination"], strict=False)
        except ValueError as error:
            raise BadRequest(
                f"Invalid input for {what}. Reason: '{each['destination']}' is not a valid IP subnet."
            ) from error
        nexthop = canonical_ip(each["nexthop"], what)
        if destination.version != ipaddress.ip_address(nexthop).version:
            raise invalid(f"destination {destination} and nexthop {nexthop} of {what} differ in IP version.")
        if version is not None and destination.version != version:
            raise invalid(f"{what} {destination} does not match the ip_version '{version}'.")
        route = {"destination": str(destination), "nexthop": nexthop}
        if route in routes:
            raise BadRequest(
                f"Invalid input for {what}. Reason: Duplicate route {destination} via {nexthop}."
            )
        routes.append(route)
    return routes


def contains(cidr: str, ip: str) -> bool:
    return ipaddress.ip_address(ip) in ipaddress.ip_network(cidr)


def is_usable(cidr: str, ip: str) -> bool:
    """Whether a host may have the address: not the network's own, nor its broadcast."""
    return contains(cidr, ip) and address.to_int(ip) in address.usable_range(cidr)


def with_prefix(cidr: str, ip: str) -> str:
    """`10.0.0.1/24`."""
    return f"{ip}/{cidr.partition('/')[2]}"
