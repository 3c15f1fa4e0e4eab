"""Which drivers serve this host, as the settings say."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pileus.app.settings import Settings
from pileus.cli.composition import TeardownFailed
from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.ids import new_uuid
from pileus.services.compute.driver import Hypervisor, HypervisorError
from pileus.services.compute.hosts import Host, Hosts
from pileus.services.network.driver import NetworkEngine, NetworkError
from pileus.services.object_store.driver import ObjectDevice
from pileus.services.object_store.listings import Listings

HALT_GRACE_SECONDS = 5.0


def network_engine(settings: Settings, state: Path, node: str, metadata: Any) -> NetworkEngine:
    """OVN in a namespace of its own, or the simulator. `metadata` answers guests at 169.254.169.254."""
    if settings.sim:
        from pileus.drivers.network.sim import SimEngine

        return SimEngine()
    from pileus.drivers.network.ovn.engine import OvnEngine

    return OvnEngine(state / "network", node, host_addresses=_host_addresses(settings), metadata=metadata)


def _host_addresses(settings: Settings) -> tuple[str, ...]:
    """This host's own on the external subnets, their first ones, with prefix length."""
    subnets = [ipaddress.ip_network(each) for each in settings.network.external_cidrs]
    return tuple(f"{subnet.network_address + 1}/{subnet.prefixlen}" for subnet in subnets)


def object_store(settings: Settings, state: Path) -> tuple[ObjectDevice, Listings]:
    """One device in the state directory, in the simulator too."""
    from pileus.drivers.object.engine import ObjectEngine
    from pileus.drivers.object.listing.store import SqliteListings

    folder = state / "object-store"
    return ObjectEngine.on_host(folder / "device-1"), SqliteListings(folder / "listings")


def hosts(settings: Settings, state: Path, node: str, clock: Clock) -> Hosts:
    """This host with its machines and containers; in the simulator as many hosts as wanted."""
    if settings.sim:
        from pileus.drivers.hypervisor.sim import SimHypervisor, World

        world = World()
        names = [node if n == 0 else f"{node}-{n}" for n in range(settings.sim_hosts)]
        # The world ends with this process, which is to its hosts what a reboot is to real ones.
        boot = new_uuid()
        return Hosts([Host(name, [SimHypervisor(world, name, clock)], lambda: boot) for name in names])
    return Hosts([Host(node, _hypervisors(state, clock), _boot_id(state))])


def _hypervisors(state: Path, clock: Clock) -> list[Hypervisor]:
    from pileus.drivers.hypervisor.qemu import QemuHypervisor
    from pileus.drivers.hypervisor.runc import RuncHypervisor

    return [
        QemuHypervisor(state / "hypervisor" / "qemu", clock),
        RuncHypervisor(state / "hypervisor" / "runc", _run_directory(state)),
    ]


def _run_directory(state: Path) -> Path:
    """For what a reboot may take; guests must be able to pass through it, which the state is closed to."""
    return Path("/run/pileus") / hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:8]


def _boot_id(state: Path) -> Callable[[], str]:
    """Changes when the host starts anew, and when the cloud was taken down, which is the same to its guests."""

    def read() -> str:
        halts = state / "halts"
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + (
            halts.read_text() if halts.exists() else ""
        )

    return read


async def teardown(settings: Settings, state: Path, node: str) -> None:
    """Ends all that outlives the control plane on this host. Raises TeardownFailed."""
    halts = state / "halts"
    halts.write_text(str(int(halts.read_text()) + 1 if halts.exists() else 1))
    halting = (_halt(each) for each in _hypervisors(state, SystemClock()))
    outcomes = await asyncio.gather(*halting, return_exceptions=True)
    engine = network_engine(settings, state, node, metadata=None)
    outcomes += await asyncio.gather(engine.teardown(), return_exceptions=True)
    failures = [outcome for outcome in outcomes if outcome is not None]
    for failure in failures:
        if not isinstance(failure, HypervisorError | NetworkError):
            raise failure
    if failures:
        raise TeardownFailed(" ".join(map(str, failures)))


async def _halt(hypervisor: Hypervisor) -> None:
    await hypervisor.start()
    await hypervisor.halt(HALT_GRACE_SECONDS)
    await hypervisor.close()
