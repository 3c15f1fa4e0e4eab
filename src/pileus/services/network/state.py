"""What the service keeps in memory: the engine it drives, and what that engine can carry."""

from __future__ import annotations

from dataclasses import dataclass, field

from pileus.kernel.api.call import Call
from pileus.services.network.driver import Capabilities, NetworkEngine
from pileus.services.network.settings import Settings


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
