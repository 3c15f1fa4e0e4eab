"""Which drivers serve this host, as the settings say."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pileus.app.settings import Settings
from pileus.cli.composition import TeardownFailed
from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.config import ConfigError
from pileus.kernel.ids import new_uuid
from pileus.services.compute.driver import Hypervisor, HypervisorError, Place
from pileus.services.compute.hosts import Host, Hosts
from pileus.services.network.driver import NetworkEngine, NetworkError

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


def _qemu(place: Place) -> Hypervisor:
    from pileus.drivers.hypervisor.qemu import QemuHypervisor

    return QemuHypervisor(place.directory, place.clock)


def _runc(place: Place) -> Hypervisor:
    from pileus.drivers.hypervisor.runc import RuncHypervisor

    return RuncHypervisor(place.directory, place.run_directory)


def _sim(place: Place) -> Hypervisor:
    from pileus.drivers.hypervisor.sim import SimHypervisor, World

    return SimHypervisor(World(), place.host, place.clock)


HYPERVISORS: Mapping[str, Callable[[Place], Hypervisor]] = {"qemu": _qemu, "runc": _runc, "sim": _sim}
"""Ways of running guests, by the name that settings use."""
PLUG_INS = "pileus.hypervisors"
"""The group of entry points where others' are found, called with a `Place` as well."""


def chosen(settings: Settings) -> dict[str, Callable[[Place], Hypervisor]]:
    """Those that each host has. Raises ConfigError for a name that there is not."""
    names = settings.hypervisors or (("sim",) if settings.sim else ("qemu", "runc"))
    return {name: HYPERVISORS.get(name) or _plug_in(name) for name in names}


def _plug_in(name: str) -> Callable[[Place], Hypervisor]:
    from importlib.metadata import entry_points

    plug_ins = entry_points(group=PLUG_INS)
    for entry in plug_ins.select(name=name):
        make: Callable[[Place], Hypervisor] = entry.load()
        return make
    known = ", ".join(sorted({*HYPERVISORS, *plug_ins.names}))
    raise ConfigError(f"the setting hypervisors names {name!r}; there are {known}")


def is_in_memory(settings: Settings) -> bool:
    """Whether all of the cloud ends with its control plane: then nothing is left to take down."""
    return settings.sim and set(chosen(settings)) == {"sim"}


def hosts(settings: Settings, state: Path, node: str, clock: Clock) -> Hosts:
    """This host with its machines and containers; in the simulator as many hosts as wanted."""
    names = [node]
    if settings.sim:
        names = [node if n == 0 else f"{node}-{n}" for n in range(settings.sim_hosts)]
    boot_id = _boot_id(settings, state)
    makers = chosen(settings)

    def host(name: str) -> Host:
        own = state if name == node else state / "hosts" / name
        return Host(name, [make(_place(name, own, kind, clock)) for kind, make in makers.items()], boot_id)

    return Hosts([host(name) for name in names])


def _place(host: str, state: Path, kind: str, clock: Clock) -> Place:
    return Place(
        host=host,
        directory=state / "hypervisor" / kind,
        run_directory=_run_directory(state),
        clock=clock,
    )


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
