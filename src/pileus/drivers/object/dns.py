"""What DNS says of hosts, for the object store's lookup of CNAMEs."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from pileus.kernel.config import ConfigError

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

LIFETIME_SECONDS = 3.0
NOTHING_SECONDS = 60.0


class DnsResolver:
    """Asks the nameservers (`192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53`), or those that the host knows."""

    def __init__(self, nameservers: Sequence[str] = ()) -> None:
        """Raises ConfigError."""
        try:
            import dns.asyncresolver
        except ImportError:
            raise ConfigError(
                "object_store.cname_lookup_depth: this needs dnspython; `pip install 'pileus[dns]'`"
            ) from None
        self._resolver: Resolver = dns.asyncresolver.Resolver(configure=not nameservers)
        self._resolver.lifetime = LIFETIME_SECONDS
        if nameservers:
            places = [_place(each) for each in nameservers]
            self._resolver.nameservers = [host for host, _ in places]
            self._resolver.nameserver_ports = dict(places)

    async def cname(self, host: str) -> tuple[str | None, float]:
        """As `Resolver.cname` of the object store."""
        import dns.exception
        import dns.resolver

        try:
            answer = await self._resolver.resolve(host, "CNAME", search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None, NOTHING_SECONDS
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            raise OSError(f"{host}: {error}") from error
        found = answer.rrset
        if found is None:
            return None, NOTHING_SECONDS
        return found[0].target.to_text().rstrip("."), float(found.ttl)


def _place(nameserver: str) -> tuple[str, int]:
    host, _, port = (
        nameserver.rpartition(":")
        if nameserver.count(":") == 1 or "]:" in nameserver
        else (
            nameserver,
            "",
            "53",
        )
    )
    try:
        return str(ip_address(host.strip("[]"))), int(port)
    except ValueError:
        raise ConfigError(
            f"object_store.cname_lookup_nameservers: {nameserver!r} must be an address, or ADDRESS:PORT"
        ) from None
