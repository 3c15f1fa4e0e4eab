"""IP addresses of subnets: allocation pools, the next free address, SLAAC addresses; and MAC addresses.

Addresses are handled as integers and ranges, so a /8 or an IPv6 /64 costs no more than a /24.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Container, Iterable, Sequence
from itertools import pairwise
from typing import Final, Literal

import msgspec

IpVersion = Literal[4, 6]
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAC: Final = re.compile(
    r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}|[0-9a-f]{12}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}", re.I
)
_MAC_ATTEMPTS: Final = 64


class PoolError(ValueError):
    """Allocation pools that a subnet cannot have; the message is for the user."""


class PoolInvalid(PoolError):
    """Its ends are not addresses of one family, or it ends before it starts."""


class PoolOutOfBounds(PoolError):
    """It reaches beyond the addresses that the subnet's hosts may use."""


class PoolsOverlap(PoolError):
    """Two pools share an address."""


class GatewayInPool(PoolError):
    """A pool would hand out the gateway's address."""


class AddressRange(msgspec.Struct, frozen=True, order=True):
    """Addresses from `first` to `last`, both included, as integers."""

    version: IpVersion
    first: int
    last: int

    @classmethod
    def parse(cls, start: str, end: str) -> AddressRange:
        """The range between two addresses in text form; raises PoolInvalid."""
        try:
            first, last = ipaddress.ip_address(start), ipaddress.ip_address(end)
        except ValueError as error:
            raise PoolInvalid(f"The allocation pool {start}-{end} is not valid: {error}.") from None
        if first.version != last.version:
            raise PoolInvalid(f"The allocation pool {start}-{end} is not valid: it mixes IPv4 and IPv6.")
        if int(first) > int(last):
            raise PoolInvalid(f"The allocation pool {start}-{end} is not valid: it ends before it starts.")
        return cls(first.version, int(first), int(last))

    @property
    def start(self) -> str:
        return to_text(self.version, self.first)

    @property
    def end(self) -> str:
        return to_text(self.version, self.last)

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, address: int) -> bool:
        return self.first <= address <= self.last

    def __str__(self) -> str:
        return f"{self.start}-{self.end}"


def to_int(address: str) -> int:
    """The integer of an address in text form; raises ValueError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return int.from_bytes(socket.inet_pton(family, address))
    except OSError:
        raise ValueError(f"{address!r} is no IP address") from None


def to_text(version: IpVersion, address: int) -> str:
    """The canonical text form (RFC 5952 for IPv6)."""
    return str(ipaddress.IPv4Address(address) if version == 4 else ipaddress.IPv6Address(address))


def usable_range(cidr: str) -> AddressRange:
    """Addresses that hosts may have: all but IPv4's network and broadcast, all but IPv6's router anycast.

    As Neutron: networks of one address or, in IPv4, of two (RFC 3021) are usable whole.
    """
    network = ipaddress.ip_network(cidr)
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.version == 4 and network.prefixlen <= 30:
        return AddressRange(4, first + 1, last - 1)
    if network.version == 6 and network.prefixlen < 128:
        return AddressRange(6, first + 1, last)
    return AddressRange(network.version, first, last)


def default_gateway(cidr: str) -> str:
    """The gateway that a subnet gets unless told otherwise: its first usable address."""
    return usable_range(cidr).start


def default_pools(cidr: str, gateway_ip: str | None = None) -> list[AddressRange]:
    """The allocation pools of a subnet that names none: every usable address but the gateway's.

    A network of a single address keeps it, as in Neutron.
    """
    usable = usable_range(cidr)
    gateway = None if gateway_ip is None else ipaddress.ip_address(gateway_ip)
    if gateway is None or gateway.version != usable.version or int(gateway) not in usable:
        return [usable]
    if ipaddress.ip_network(cidr).num_addresses == 1:
        return [usable]
    around = (
        AddressRange(usable.version, usable.first, int(gateway) - 1),
        AddressRange(usable.version, int(gateway) + 1, usable.last),
    )
    return [part for part in around if part.size > 0]


def check_pools(cidr: str, pools: Iterable[AddressRange], gateway_ip: str | None = None) -> None:
    """Raise the PoolError that says what is wrong with the allocation pools of a subnet, if anything is."""
    usable = usable_range(cidr)
    ordered = sorted(pools)
    for pool in ordered:
        if pool.version != usable.version or pool.first not in usable or pool.last not in usable:
            raise PoolOutOfBounds(
                f"The allocation pool {pool} spans beyond the subnet cidr {cidr}, "
                f"whose usable addresses are {usable}."
            )
    for one, next_one in pairwise(ordered):
        if next_one.first <= one.last:
            raise PoolsOverlap(f"Found overlapping allocation pools: {one} {next_one} for subnet {cidr}.")
    if gateway_ip is not None and (":" in gateway_ip) == (usable.version == 6):
        gateway = to_int(gateway_ip)
        for pool in ordered:
            if gateway in pool:
                raise GatewayInPool(f"Gateway ip {gateway_ip} conflicts with allocation pool {pool}.")


def next_free(pools: Sequence[AddressRange], used: Iterable[int], start: int = 0) -> str | None:
    """A free address of the pools, or None when all are used.

    The search begins `start` addresses into the pools, taken in their order, and goes round: 0 gives the
    lowest free address, `random.randrange(capacity(pools))` spreads addresses as Neutron does. `used` are
    all addresses in use, as integers (`to_int`), in any order; others than the pools' do no harm.
    """
    taken = used if isinstance(used, set | frozenset) else set(used)
    for part in _rotated(pools, start):
        candidate = part.first
        while candidate in taken:
            candidate += 1
        if candidate <= part.last:
            return to_text(part.version, candidate)
    return None


def capacity(pools: Iterable[AddressRange]) -> int:
    """How many addresses the pools hold."""
    return sum(pool.size for pool in pools)


def _rotated(pools: Sequence[AddressRange], start: int) -> list[AddressRange]:
    """The same addresses in the order in which a search beginning `start` addresses in meets them."""
    if not start or not pools:
        return list(pools)
    skip = start % capacity(pools)
    before: list[AddressRange] = []
    after: list[AddressRange] = []
    for pool in pools:
        middle = pool.first + min(max(skip, 0), pool.size)
        before.append(AddressRange(pool.version, pool.first, middle - 1))
        after.append(AddressRange(pool.version, middle, pool.last))
        skip -= pool.size
    return [part for part in (*after, *before) if part.size > 0]


def first_overlap(cidr: str, others: Iterable[str]) -> str | None:
    """The first of `others` (CIDRs) that shares addresses with `cidr`, or None."""
    network = ipaddress.ip_network(cidr)
    return next((other for other in others if _overlap(network, ipaddress.ip_network(other))), None)


def _overlap(one: IpNetwork, other: IpNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def canonical_mac(mac: str) -> str:
    """`fa:16:3e:00:00:01` from that form, with dashes, Cisco's dots or bare digits; raises ValueError."""
    if not _MAC.fullmatch(mac):
        raise ValueError(f"{mac!r} is no MAC address")
    return bytes.fromhex(re.sub("[:.-]", "", mac)).hex(":")


def eui64_address(cidr: str, mac: str) -> str:
    """The address that a host with this MAC gives itself by SLAAC (RFC 4291, appendix A).

    The prefix must leave 64 bits to the host, as SLAAC wants; raises ValueError.
    """
    network = ipaddress.ip_network(cidr)
    if network.version != 6 or network.prefixlen > 64:
        raise ValueError(f"{cidr} leaves no 64 bits for an interface identifier")
    octets = bytes.fromhex(canonical_mac(mac).replace(":", ""))
    identifier = int.from_bytes(octets[:3] + b"\xff\xfe" + octets[3:]) ^ (1 << 57)
    return to_text(6, int(network.network_address) | identifier)


def new_mac(
    randbytes: Callable[[int], bytes], taken: Container[str] = (), base: str = "fa:16:3e:00:00:00"
) -> str:
    """A MAC address that is not `taken`, made from `base` and randomness.

    As Neutron's `base_mac`: the first three octets stay, the fourth too unless it is 00. Raises
    LookupError when it keeps finding taken ones, which means that the base is nearly used up.
    """
    octets = bytes.fromhex(canonical_mac(base).replace(":", ""))
    kept = octets[: 4 if octets[3] else 3]
    for _ in range(_MAC_ATTEMPTS):
        mac = (kept + randbytes(6 - len(kept))).hex(":")
        if mac not in taken:
            return mac
    raise LookupError(f"no free MAC address found under {base}; set another base")
