"""What the service keeps in memory: the engine it drives, what that engine can carry, and settings."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from pileus.kernel.api.call import Call
from pileus.services.network.driver import Capabilities, NetworkEngine


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


@dataclass(kw_only=True)
class State:
    engine: NetworkEngine
    capabilities: Capabilities
    """What the engine said when it was started."""
    host: str
    """The host whose engine this is, as compute calls it in `binding:host_id`."""
    settings: Settings = field(default_factory=Settings)


def state_of(call: Call) -> State:
    state: State = call.runtime.state
    return state
