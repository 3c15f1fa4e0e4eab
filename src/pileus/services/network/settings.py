"""What operators can set of networks."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    availability_zone: str = "nova"
    dns_domain: str = "openstacklocal"
    """Names of ports end in it where their network has no domain of its own."""
    quotas: dict[str, int] = {}
    """What a project may have of each, where that is not upstream's default: `{"router": 100}`."""
    external_name: str = "public"
    """Of the external network that a new cloud has."""
    external_cidrs: tuple[str, ...] = ("172.24.4.0/24", "fd5a:17ea:5::/64")
    """Its subnets; their first addresses are the host's."""
