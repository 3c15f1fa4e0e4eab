"""Which subnets a port gets addresses from. Pure; the taking is `store.addresses`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pileus.kernel.errors import BadRequest
from pileus.lib.address import eui64_address
from pileus.services.network.domain.subnet import canonical_ip, contains, invalid, is_automatic, is_usable

ROUTER_OWNERS = frozenset({"network:router_interface", "network:router_gateway"})


class Wish(msgspec.Struct, frozen=True):
    """One address that is to be found: a certain one of a subnet, or any of the first subnet that has one."""

    subnets: tuple[Any, ...]
    """Rows of subnets, in the order in which they are tried."""
    ip: str | None = None


def fitting(subnets: Iterable[Any], device_owner: str) -> list[Any]:
    """Subnets that serve this kind of device: of its service type, or of none."""
    return [each for each in subnets if not each.service_types or device_owner in each.service_types]


def default_wishes(subnets: Sequence[Any], device_owner: str, mac: str) -> list[Wish]:
    """One address of each family, where the network has subnets for it, and all that hosts make
    themselves."""
    wishes = []
    served = fitting(subnets, device_owner)
    for version in (4, 6):
        among = tuple(each for each in served if each.ip_version == version and not is_automatic(each))
        if among:
            wishes.append(Wish(among))
    return wishes + automatic_wishes(served, device_owner, mac)


def automatic_wishes(
    subnets: Iterable[Any], device_owner: str, mac: str, without: Iterable[str] = ()
) -> list[Wish]:
    """The addresses that a host with this MAC address makes itself; routers make none."""
    if device_owner in ROUTER_OWNERS:
        return []
    known = set(without)
    return [
        Wish((each,), eui64_address(each.cidr, mac))
        for each in subnets
        if is_automatic(each) and each.id not in known
    ]


def requested_wishes(
    subnets: Sequence[Any],
    network_id: str,
    requested: Iterable[tuple[str | None, str | None]],
    device_owner: str,
    mac: str,
) -> list[Wish]:
    """What a body's `fixed_ips` ask for, as (subnet id, address); 400 where the network has no such thing."""
    by_id = {each.id: each for each in subnets}
    wishes: list[Wish] = []
    seen: set[tuple[str, str]] = set()
    routes = device_owner in ROUTER_OWNERS
    for subnet_id, text in requested:
        ip = None if text is None else canonical_ip(text, "fixed_ips")
        subnet = _subnet_for(by_id, network_id, subnet_id, ip)
        if ip is None:
            if routes or not is_automatic(subnet):
                wishes.append(Wish((subnet,)))
            continue
        if not is_usable(subnet.cidr, ip):
            raise BadRequest(
                f"IP address {ip} is not a valid IP for the specified subnet {subnet.cidr}.",
                kind="InvalidIpForSubnet",
            )
        if is_automatic(subnet) and not routes:
            if ip != eui64_address(subnet.cidr, mac):
                raise BadRequest(
                    f"IPv6 address {ip} cannot be directly assigned to a port on subnet {subnet.id} as the "
                    "subnet is configured for automatic addresses.",
                    kind="AllocationOnAutoAddressSubnet",
                )
            continue
        if (subnet.id, ip) in seen:
            raise invalid(f"Duplicate IP address '{ip}'.")
        seen.add((subnet.id, ip))
        wishes.append(Wish((subnet,), ip))
    return wishes + automatic_wishes(fitting(subnets, device_owner), device_owner, mac)


def _subnet_for(by_id: dict[str, Any], network_id: str, subnet_id: str | None, ip: str | None) -> Any:
    if subnet_id is not None:
        if subnet_id not in by_id:
            raise invalid(
                f"Failed to create port on network {network_id}, because fixed_ips included invalid subnet "
                f"{subnet_id}."
            )
        return by_id[subnet_id]
    if ip is None:
        raise BadRequest("Invalid input for fixed_ips. Reason: each needs a subnet_id or an ip_address.")
    for each in by_id.values():
        if contains(each.cidr, ip):
            return each
    raise BadRequest(
        f"IP address {ip} is not a valid IP for any of the subnets on the specified network.",
        kind="InvalidIpForNetwork",
    )
