"""Which drivers serve this host, as the settings say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pileus.app.settings import Settings
from pileus.services.network.driver import NetworkEngine


def network_engine(settings: Settings, state: Path, node: str, metadata: Any) -> NetworkEngine:
    """OVN in a namespace of its own, or the simulator. `metadata` answers guests at 169.254.169.254."""
    if settings.sim:
        from pileus.drivers.network.sim import SimEngine

        return SimEngine()
    from pileus.drivers.network.ovn.engine import OvnEngine

    return OvnEngine(state / "network", node, host_addresses=settings.network.host_addresses, metadata=metadata)


async def teardown(settings: Settings, state: Path, node: str) -> None:
    """Ends all that outlives the control plane on this host."""
    await network_engine(settings, state, node, metadata=None).teardown()
