"""A web server in front of the cloud that says in headers what it has found out about a client: its name, its certificate.

Whoever reaches the cloud past it could say the same of anybody. So such headers are read from its own addresses only, and
it has to set them, or take them away, on every request that it passes on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class FrontProxy(msgspec.Struct, frozen=True, kw_only=True):
    """`peers`: addresses or networks from which it connects; nobody is believed where there are none."""

    peers: tuple[str, ...] = ()
    certificate_header: str = "X-SSL-Client-Cert"
    """Where it puts the certificate of a client that proved to have its key."""

    def __post_init__(self) -> None:
        for each in self.peers:
            try:
                ipaddress.ip_network(each)
            except ValueError as error:
                raise ValueError(f"peers: {error}") from error

    def says(self, scope: Mapping[str, Any], name: str) -> str | None:
        """A header of this request, if it comes from the proxy and is there once; None otherwise, and where it is empty."""
        if not self.peers or not self._is_peer(scope.get("client")):
            return None
        wanted = name.lower().encode("latin-1")
        values = [value for key, value in scope["headers"] if key.lower() == wanted]
        return values[0].decode("latin-1").strip() or None if len(values) == 1 else None

    def certificate(self, scope: Mapping[str, Any]) -> bytes | None:
        """The client's certificate in DER; None where the proxy says nothing of one.

        Read as nginx (`$ssl_client_escaped_cert`), Apache (`%{SSL_CLIENT_CERT}s`, its lines joined), HAProxy (base64) and
        RFC 9440 write it.
        """
        said = self.says(scope, self.certificate_header)
        if said is None:
            return None
        text = unquote(said) if "%" in said else said
        bare = text.removeprefix(_BEGIN).partition(_END)[0].strip(": \t\r\n")
        try:
            return base64.b64decode("".join(bare.split()), validate=True) or None
        except (binascii.Error, ValueError):
            return None

    def _is_peer(self, client: Any) -> bool:
        if not client:
            return False
        try:
            address = ipaddress.ip_address(client[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in ipaddress.ip_network(each) for each in self.peers)


def thumbprint(certificate: bytes) -> str:
    """What a token that is bound to a certificate (DER) names it by.

    SHA-256 over its PEM text in base64 with `-` and `_`, as Keystone and keystonemiddleware have it; RFC 8705 would have
    the hash of the DER, without `=`.
    """
    text = ssl.DER_cert_to_PEM_cert(certificate).encode("ascii")
    return base64.urlsafe_b64encode(hashlib.sha256(text).digest()).decode()
