"""What a subnet pool may look like, and which prefix it gives next. Pure; errors are the user's.

The rules are Neutron's, as its API reference has them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from pileus.kernel.errors import BadRequest
from pileus.services.network.domain.subnet import canonical_cidr

BITS: Final = {4: 32, 6: 128}
DEFAULT_MIN: Final = {4: 8, 6: 64}
QUOTA_UNIT: Final = {4: 32, 6: 64}
"""The prefix length that a project's quota of the pool counts in."""

IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Bounds(msgspec.Struct, frozen=True):
    """Prefix lengths: the shortest and the longest that a subnet may have, and the one it gets by default."""

    shortest: int
    longest: int
    default: int


def compacted(prefixes: Iterable[str]) -> tuple[int, list[str]]:
    """The IP version, and the same addresses in as few prefixes as possible, in order."""
    parsed = [ipaddress.ip_network(canonical_cidr(each)) for each in prefixes]
    if not parsed:
        raise BadRequest("Empty subnet pool prefix list.", kind="EmptySubnetPoolPrefixList")
    versions = {each.version for each in parsed}
    if len(versions) > 1:
        raise BadRequest("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", kind="PrefixVersionMismatch")
    return versions.pop(), [str(each) for each in _collapse(parsed)]


def without(prefixes: Sequence[str], removed: Sequence[str]) -> list[str]:
    """What is left of `prefixes`."""
    return [str(each) for each in _free(prefixes, removed)]


def covers(prefixes: Iterable[str], cidr: str) -> bool:
    """Whether one of the prefixes holds all of the CIDR."""
    wanted = ipaddress.ip_network(cidr)
    return any(_within(wanted, ipaddress.ip_network(each)) for each in prefixes)


def checked_bounds(version: int, shortest: int | None, longest: int | None, default: int | None) -> Bounds:
    """The lengths that are said, or Neutron's; 400 for such as do not go together."""
    least = DEFAULT_MIN[version] if shortest is None else shortest
    most = BITS[version] if longest is None else longest
    usual = least if default is None else default
    for name, value, other, bound, holds in (
        ("max_prefixlen", most, "ip_version_max_prefixlen", BITS[version], most <= BITS[version]),
        ("min_prefixlen", least, "max_prefixlen", most, least <= most),
        ("default_prefixlen", usual, "max_prefixlen", most, usual <= most),
        ("default_prefixlen", usual, "min_prefixlen", least, usual >= least),
    ):
        if not holds:
            raise BadRequest(
                f"Illegal prefix bounds: {name}={value}, {other}={bound}.",
                kind="IllegalSubnetPoolPrefixBounds",
            )
    return Bounds(least, most, usual)


def check_length(bounds: Bounds, prefixlen: int) -> None:
    if prefixlen < bounds.shortest:
        raise BadRequest(
            f"Unable to allocate subnet with prefix length {prefixlen}, minimum allowed prefix is "
            f"{bounds.shortest}.",
            kind="MinPrefixSubnetAllocationError",
        )
    if prefixlen > bounds.longest:
        raise BadRequest(
            f"Unable to allocate subnet with prefix length {prefixlen}, maximum allowed prefix is "
            f"{bounds.longest}.",
            kind="MaxPrefixSubnetAllocationError",
        )


def next_free(prefixes: Sequence[str], taken: Sequence[str], prefixlen: int) -> str | None:
    """A CIDR of that length which is in the pool and overlaps nothing that is taken: the first one in the smallest
    hole where it fits, so that large ones stay whole. None where there is no room."""
    holes = [each for each in _free(prefixes, taken) if each.prefixlen <= prefixlen]
    if not holes:
        return None
    hole = min(holes, key=lambda each: (-each.prefixlen, int(each.network_address)))
    return f"{hole.network_address}/{prefixlen}"


def units(cidrs: Iterable[str], version: int) -> int:
    """How much CIDRs are in units of a quota, begun ones counted whole."""
    unit = QUOTA_UNIT[version]
    return sum(1 << max(0, unit - ipaddress.ip_network(each).prefixlen) for each in cidrs)


def _free(prefixes: Sequence[str], taken: Sequence[str]) -> Iterator[IpNetwork]:
    """The blocks of the prefixes that nothing taken overlaps, in order."""
    holders = _collapse(ipaddress.ip_network(each) for each in taken)
    for prefix in _collapse(ipaddress.ip_network(each) for each in prefixes):
        start, end = int(prefix.network_address), int(prefix.broadcast_address)
        for holder in holders:
            first, last = int(holder.network_address), int(holder.broadcast_address)
            if last < start or first > end:
                continue
            if first > start:
                yield from _blocks(prefix, start, first - 1)
            start = last + 1
        if start <= end:
            yield from _blocks(prefix, start, end)


def _blocks(like: IpNetwork, first: int, last: int) -> Iterator[IpNetwork]:
    make: Any = type(like.network_address)
    yield from ipaddress.summarize_address_range(make(first), make(last))


def _collapse(parsed: Iterable[IpNetwork]) -> list[IpNetwork]:
    same: Any = list(parsed)  # of one version: the pool's
    return sorted(ipaddress.collapse_addresses(same), key=lambda each: int(each.network_address))


def _within(inner: IpNetwork, outer: IpNetwork) -> bool:
    return (
        inner.version == outer.version
        and int(outer.network_address) <= int(inner.network_address)
        and int(inner.broadcast_address) <= int(outer.broadcast_address)
    )
