"""Compute alone over simulated hosts and neighbours in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pileus.drivers.hypervisor.sim import Faults, SimGuest, SimHypervisor, World
from pileus.kernel.api.service import Runtime
from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.context import Context
from pileus.kernel.work import Program
from pileus.services.compute import bootstrap
from pileus.services.compute.hosts import Host, Hosts
from pileus.services.compute.needs import Item
from pileus.services.compute.service import service
from pileus.services.compute.settings import Settings
from pileus.services.compute.state import ComputeState
from pileus.services.compute.work import programs
from pileus.testing.compute.needs import FakeNeeds
from pileus.testing.personas import PROJECT_ID
from pileus.testing.service import ADMIN, MEMBER, ServiceUnderTest, serving
from pileus.testing.waiting import until


class ComputeUnderTest:
    """Compute alone over simulated hosts, with a client that waits for servers."""

    def __init__(self, cloud: ServiceUnderTest, needs: FakeNeeds, world: World) -> None:
        self.cloud, self.needs, self.world = cloud, needs, world
        self.network_id = needs.networks.add_network(PROJECT_ID)
        self.image_id = needs.images.add()

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str = "2.1",
        as_: Context = MEMBER,
        expect: int | None = None,
    ) -> Any:
        """The answer's body; with `expect`, an AssertionError where the status is another."""
        headers = {"x-openstack-nova-api-version": version}
        reply = await self.cloud.request(method, f"/compute/v2.1{path}", body, as_=as_, headers=headers)
        if expect is not None:
            assert reply.status == expect, (method, path, reply.status, reply.body)
            return reply.json()
        return reply

    def wanted(self, **more: Any) -> dict[str, Any]:
        """The body of a server that can be made."""
        body = {
            "name": "web",
            "imageRef": self.image_id,
            "flavorRef": "42",
            "networks": [{"uuid": self.network_id}],
        }
        return {"server": {name: value for name, value in {**body, **more}.items() if value is not None}}

    async def boot(self, *, version: str = "2.1", as_: Context = MEMBER, **more: Any) -> Item:
        """A server that is ACTIVE."""
        made = await self.ask("POST", "/servers", self.wanted(**more), version=version, as_=as_, expect=202)
        return await self.until(made["server"]["id"], "ACTIVE")

    async def until(self, server_id: str, status: str, *, version: str = "2.104") -> Item:
        """The server once it has that status; an AssertionError where it does not within seconds."""
        server: Item = {}
        async with asyncio.timeout(30):
            while server.get("status") != status or server.get("OS-EXT-STS:task_state"):
                await asyncio.sleep(0.005)
                reply = await self.ask("GET", f"/servers/{server_id}", version=version, as_=ADMIN)
                server = reply.json()["server"]
                if server["status"] == "ERROR" and status != "ERROR":
                    raise AssertionError(server["fault"])
        return server

    async def gone(self, server_id: str) -> None:
        """Returns once the server can't be found any more."""
        async with asyncio.timeout(30):
            while True:
                if (await self.ask("GET", f"/servers/{server_id}", as_=ADMIN)).status == 404:
                    return
                await asyncio.sleep(0.005)

    @property
    def guests(self) -> dict[str, SimGuest]:
        return {name: guest for host in self.world.hosts.values() for name, guest in host.guests.items()}


@asynccontextmanager
async def compute_alone(
    *,
    hosts: Mapping[str, Mapping[str, int]] | None = None,
    settings: Settings | None = None,
    faults: Faults | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[ComputeUnderTest]:
    """Compute with one simulated host, or `hosts` by name with their `vcpus`, `memory_mib`, `disk_gib`."""
    clock = clock or SystemClock()
    needs, world = FakeNeeds.over(clock), World()
    sizes = hosts or {"host-1": {}}

    def make(runtime: Runtime) -> Sequence[Program]:
        registry = Hosts(
            [Host(name, [SimHypervisor(world, name, clock, faults, **size)]) for name, size in sizes.items()]
        )
        runtime.state = ComputeState(runtime, registry, settings)
        return programs(runtime.state, needs)

    async with serving(service, programs=make, needs=needs, clock=clock) as cloud:
        await cloud.runtime.db.write(bootstrap.lay)
        await cloud.runtime.state.start()
        try:
            await until(lambda: len(needs.placement.providers) == len(sizes))
            yield ComputeUnderTest(cloud, needs, world)
        finally:
            await cloud.runtime.state.close()
