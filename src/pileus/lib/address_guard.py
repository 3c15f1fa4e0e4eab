"""Which addresses users may have the cloud fetch from: none that lead to the cloud itself or into its networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PORTS = {"http": 80, "https": 443}


class Forbidden(Exception):
    """The address is one that users may not have fetched; the message says why."""


@dataclass(frozen=True)
class Guard:
    """Public addresses on `ports` pass; of others only those in `networks`."""

    ports: frozenset[int]
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, ports: Sequence[int], networks: Sequence[str]) -> Guard:
        """Raises ValueError where a network is none."""
        return cls(frozenset(ports), tuple(ipaddress.ip_network(each) for each in networks))

    def require_url(self, url: str) -> tuple[SplitResult, str, int]:
        """The parts of an address, its host and its port. Raises Forbidden for what can be told without resolving the
        host's name."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme.lower(), 0)
        except ValueError as error:
            raise Forbidden(f"it can't be read: {error}") from error
        if parts.scheme.lower() not in _PORTS:
            raise Forbidden("only http and https are fetched from")
        if not host or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
            raise Forbidden("it names no host, or has blanks in it")
        if parts.username is not None or parts.password is not None:
            raise Forbidden("it has a user name in it")
        address = literal(host)
        if address is not None:
            self.require_address(address, port)
        elif host.rstrip(".").lower() in ("localhost", "localhost.localdomain") and not self._allows_loopback:
            raise Forbidden("it is this host itself")
        elif not self.networks:
            self._require_port(port)
        return parts, host, port

    def require_address(self, address: IPAddress, port: int) -> None:
        """Raises Forbidden where a connection must not be made."""
        plain = plainly(address)
        if any(
            each in network
            for each in (address, plain)
            for network in self.networks
            if network.version == each.version
        ):
            return
        if _is_tunnel(address) or not plain.is_global or plain.is_multicast or plain.is_reserved:
            raise Forbidden(f"{address} is no public address")
        self._require_port(port)

    def _require_port(self, port: int) -> None:
        if port not in self.ports:
            raise Forbidden(f"port {port} is none of {', '.join(map(str, sorted(self.ports)))}")

    @property
    def _allows_loopback(self) -> bool:
        return any(network.is_loopback for network in self.networks)


def literal(host: str) -> IPAddress | None:
    """The address that a host is written as; None where it is a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def plainly(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 address stands for: mapped or NAT64; else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or address in _COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_tunnel(address: IPAddress) -> bool:
    """6to4 and Teredo: retired (RFC 7526), and wherever one comes out, it is not what the address says."""
    return isinstance(address, ipaddress.IPv6Address) and bool(address.sixtofour or address.teredo)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
