"""Names of ports and domains of networks, as DNS allows them (RFC 1035, RFC 1123)."""

from __future__ import annotations

import re
from typing import Final

from pileus.kernel.errors import BadRequest

_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.I | re.A)
_MOST: Final = 255


def checked_domain(name: str) -> str:
    """A domain in lower case, ending in a dot, or nothing; 400 for what is none."""
    if not name:
        return ""
    if not name.endswith("."):
        raise BadRequest(
            f"Invalid input for dns_domain. Reason: '{name}' not a valid PQDN or FQDN: it must end in a dot."
        )
    _check(name[:-1], "dns_domain")
    return name.lower()


def checked_name(name: str) -> str:
    """A host's name in lower case, with or without its domain; 400 for what is none."""
    if name:
        _check(name.removesuffix("."), "dns_name")
    return name.lower()


def _check(name: str, what: str) -> None:
    labels = name.split(".")
    if len(name) > _MOST - 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadRequest(
            f"Invalid input for {what}. Reason: '{name}' not a valid PQDN or FQDN: labels are letters, "
            "digits and dashes, at most 63 of them, with no dash at an end."
        )
    if len(labels) > 1 and labels[-1].isdigit():
        raise BadRequest(f"Invalid input for {what}. Reason: the top-level domain of '{name}' is a number.")


def assignment(ip: str, dns_name: str, domain: str) -> dict[str, str]:
    """What resolves to an address: `dns_assignment`, where ports without a name get one from their
    address."""
    host = dns_name or "host-" + ip.replace(".", "-").replace(":", "-")
    if host.endswith("."):
        return {"ip_address": ip, "hostname": host.partition(".")[0], "fqdn": host}
    suffix = domain if domain.endswith(".") else domain + "."
    return {"ip_address": ip, "hostname": host, "fqdn": f"{host}.{suffix}"}
