#!/usr/bin/env python3
"""How fast the OVN engine is: its daemons' start, a port declared, a guest plugged until it is up, a floating
IP until it answers, memory. Needs root; all packets stay in namespaces of its own."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent / "tools")]

import environment  # noqa: E402 - the path comes first

environment.enter("httptools", "isal")

from pileus.drivers import vif  # noqa: E402
from pileus.drivers.network.ovn import OvnEngine  # noqa: E402
from pileus.drivers.network.ovn.daemons import Stack  # noqa: E402
from pileus.services.compute.driver import Nic, Vif  # noqa: E402
from pileus.services.network.driver import Address, Network, NetworkEngine, Port, SecurityGroup, Subnet  # noqa: E402
from pileus.services.network.driver import SecurityGroupRule as Rule  # noqa: E402

HOST = "bench"


async def _timed(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Wall-clock and own CPU milliseconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def _memory(pid: int | None) -> float:
    """Proportional set size in MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _new_port(network: Network, group: SecurityGroup, number: int) -> Port:
    ip = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    return Port(
        id=str(uuid.uuid4()),
        network_id=network.id,
        mac="fa:16:3e:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(3, "big")),
        addresses=(Address(subnet_id=network.subnets[0].id, ip=ip),),
        security_group_ids=(group.id,),
        dns_name=f"n{number}",
        host=HOST,
    )


async def _until_up(engine: NetworkEngine, port: Port) -> None:
    up = asyncio.Event()

    async def changed(port_id: str) -> None:
        if port_id == port.id:
            up.set()

    engine.watch(changed)
    if not await engine.is_up(port.id):
        await asyncio.wait_for(up.wait(), 30)


async def _measure(directory: Path) -> dict[str, float]:
    engine = OvnEngine(directory, HOST)
    figures: dict[str, float] = {}
    try:
        figures["start_ms"], figures["start_cpu_ms"] = await _timed(engine.start)
        await engine.close()
        figures["adopt_ms"], _ = await _timed(engine.start)
        subnet = Subnet(id=str(uuid.uuid4()), cidr="10.0.0.0/8", gateway_ip="10.0.0.1")
        network = Network(id=str(uuid.uuid4()), mtu=1500, subnets=(subnet,))
        out = Rule(id=str(uuid.uuid4()), direction="egress", ethertype="IPv4")
        group = SecurityGroup(id=str(uuid.uuid4()), rules=(out,))
        figures["ensure_network_ms"], _ = await _timed(lambda: engine.ensure_network(network, 1))
        await engine.ensure_security_group(group, 1)
        for count in (100, 1000):
            ports = [_new_port(network, group, count * 10 + number) for number in range(100)]
            spent = [await _timed(partial(engine.ensure_port, port, 1)) for port in ports]
            figures[f"ensure_port_ms_at_{count}"] = statistics.median(wall for wall, _ in spent)
            figures[f"ensure_port_cpu_ms_at_{count}"] = statistics.median(cpu for _, cpu in spent)
            again = [await _timed(partial(engine.ensure_port, port, 1)) for port in ports]
            figures[f"ensure_again_cpu_ms_at_{count}"] = statistics.median(cpu for _, cpu in again)
            await _plug(engine, ports[:10], figures, count)
            if count == 100:
                rest = [_new_port(network, group, 20_000 + number) for number in range(800)]
                await asyncio.gather(*(engine.ensure_port(port, 1) for port in rest))
        for daemon in Stack(directory, HOST, "public").daemons:
            figures[f"{daemon.name}_mib"] = _memory(daemon.pid())
        figures["process_peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    finally:
        await engine.teardown()
    return figures


async def _plug(engine: NetworkEngine, ports: list[Port], figures: dict[str, float], count: int) -> None:
    nics, plugged, up = [], [], []
    for port in ports:
        binding = engine.binding(HOST)
        place = Vif(type=binding.vif_type, details=binding.vif_details)
        nic = Nic(port_id=port.id, mac=port.mac, mtu=1500, vif=place)

        async def plug(nic: Nic = nic) -> None:
            tap = await vif.plug_tap(nic)
            assert tap is not None
            os.close(tap.fd)

        plugged.append((await _timed(plug))[0])
        up.append((await _timed(partial(_until_up, engine, port)))[0])
        nics.append(nic)
    figures[f"plug_ms_at_{count}"] = statistics.median(plugged)
    figures[f"plugged_to_up_ms_at_{count}"] = statistics.median(up)
    for nic in nics:
        await vif.unplug(nic)


def run() -> dict[str, float]:
    """All figures, in milliseconds and MiB."""
    with tempfile.TemporaryDirectory(prefix="pileus-bench-") as folder:
        figures = asyncio.run(_measure(Path(folder)))
    return {name: round(value, 2) for name, value in figures.items()}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
