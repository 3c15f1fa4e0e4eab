"""Which drivers of guests and networks serve this host, as the settings say."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pileus.app.settings import Settings
from pileus.cli.composition import TeardownFailed
from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.config import ConfigError
from pileus.kernel.ids import new_uuid
from pileus.services.compute.driver import Hypervisor, HypervisorError, Place
from pileus.services.compute.hosts import Host, Hosts
from pileus.services.network.driver import NetworkEngine, NetworkError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

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


HYPERVISORS: Mapping[str, str] = {
    "qemu": "pileus.drivers.hypervisor.qemu:QemuHypervisor.at",
    "runc": "pileus.drivers.hypervisor.runc:RuncHypervisor.at",
    "sim": "pileus.drivers.hypervisor.sim:SimHypervisor.at",
}
"""Ways of running guests, by the name that settings use: what makes one of a `Place`, imported when it is needed."""
PLUG_INS = "pileus.hypervisors"
"""The group of entry points where others' are found, named in the same way."""


def chosen(settings: Settings) -> tuple[str, ...]:
    """What each host has. Raises ConfigError for a name that there is not."""
    names = settings.hypervisors or (("sim",) if settings.sim else ("qemu", "runc"))
    for name in names:
        if name not in HYPERVISORS and name not in _plug_ins().names:
            known = ", ".join(sorted({*HYPERVISORS, *_plug_ins().names}))
            raise ConfigError(f"the setting hypervisors names {name!r}; there are {known}")
    return names


def _plug_ins() -> EntryPoints:
    from importlib.metadata import entry_points

    return entry_points(group=PLUG_INS)


def _made(name: str, place: Place) -> Hypervisor:
    make = pkgutil.resolve_name(HYPERVISORS[name]) if name in HYPERVISORS else _plug_ins()[name].load()
    made: Hypervisor = make(place)
    return made


def is_in_memory(settings: Settings) -> bool:
    """Whether all of the cloud ends with its control plane: then nothing is left to take down."""
    return settings.sim and chosen(settings) == ("sim",)


def hosts(settings: Settings, state: Path, node: str, clock: Clock) -> Hosts:
    """This host with its machines and containers; in the simulator as many hosts as wanted."""
    names = [node]
    if settings.sim:
        names = [node if n == 0 else f"{node}-{n}" for n in range(settings.sim_hosts)]
    boot_id = _boot_id(settings, state)

    def host(name: str) -> Host:
        own = state if name == node else state / "hosts" / name
        places = {
            kind: Place(
                host=name,
                directory=own / "hypervisor" / kind,
                run_directory=_run_directory(state),
                clock=clock,
            )
            for kind in chosen(settings)
        }
        return Host(name, [_made(kind, place) for kind, place in places.items()], boot_id)

    return Hosts([host(name) for name in names])


def _run_directory(state: Path) -> Path:
    """For what a reboot may take; guests must be able to pass through it, which the state is closed to."""
    return Path("/run/pileus") / hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:8]


def _boot_id(settings: Settings, state: Path) -> Callable[[], str]:
    """Changes when the host starts anew, and when the cloud was taken down, which is the same to its guests.
    What is in memory ends with each process."""
    if is_in_memory(settings):
        boot = new_uuid()
        return lambda: boot

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
    every = hosts(settings, state, node, SystemClock()).by_name.values()
    halting = (_halt(each) for host in every for each in host.hypervisors)
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
