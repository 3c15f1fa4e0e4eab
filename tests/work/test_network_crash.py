"""Networks, ports, routers and security groups converge wherever they are killed, and leave nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import func, select

from pileus.drivers.network.sim import SimEngine, World
from pileus.kernel.api.application import Application
from pileus.kernel.api.service import Runtime
from pileus.kernel.clock import Clock
from pileus.kernel.db import Tx
from pileus.kernel.work import Program
from pileus.kernel.work.model import strands
from pileus.services.network import driver, model
from pileus.services.network.service import service
from pileus.services.network.work import STRAND_ID, attach, programs
from pileus.testing.crash import Act, Process, Scenario, crash_everywhere
from pileus.testing.service import MEMBER, ServiceUnderTest
from tests.network_cloud import COMPUTE, HOST, NetworkCloud, state_over


class TimedWorld(World):
    """A world in which things take time, so that a process can die in the middle of them."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock


class TimedEngine(SimEngine):
    async def _act(self, *args: Any) -> None:
        world = self.world
        assert isinstance(world, TimedWorld)
        await super()._act(*args)
        await world.clock.sleep(0.01)

    async def is_up(self, port_id: str) -> bool:
        world = self.world
        assert isinstance(world, TimedWorld)
        await world.clock.sleep(0.01)
        return await super().is_up(port_id)


class NetworkStory(Scenario[TimedWorld]):
    """Ids of what is made; a run begins by making, so what an earlier run left does no harm."""

    ids: dict[str, str]

    def make_world(self, clock: Clock) -> TimedWorld:
        self.ids = {}
        return TimedWorld(clock)

    def runtime(self, process: Process[TimedWorld]) -> Runtime:
        state = state_over(process.world)
        state.engine = TimedEngine(process.world)
        return process.runtime(service, state=state)

    def programs(self, process: Process[TimedWorld]) -> Sequence[Program]:
        return programs(self.runtime(process))

    def cloud(self, process: Process[TimedWorld]) -> NetworkCloud:
        runtime = self.runtime(process)
        return NetworkCloud(
            ServiceUnderTest(runtime, Application([runtime], service.dialect), None), process.world
        )

    async def make(self, process: Process[TimedWorld], key: str, kind: str, **values: Any) -> Any:
        made = await self.cloud(process).make(kind, **values)
        self.ids[key] = made["id"]
        return made

    async def status(self, process: Process[TimedWorld], kind: str, key: str) -> str:
        shown = await self.cloud(process).show(kind, self.ids[key], as_=COMPUTE)
        return str(shown["status"])

    async def check(self, process: Process[TimedWorld]) -> None:
        """Nothing is left but the project's default group and the strand of the engine."""
        world = process.world
        assert (world.networks, world.ports, world.routers) == ({}, {}, {})
        left = await process.db.read(_left)
        assert left["rows"] == {}, left
        assert set(world.security_groups) == left["groups"]
        assert left["strands"] == left["groups"] | {STRAND_ID}


def _left(tx: Tx) -> dict[str, Any]:
    tables = (model.networks, model.subnets, model.ports, model.routers, model.addresses, model.floating_ips)
    counts = {table.name: tx.scalar(select(func.count()).select_from(table)) for table in tables}
    return {
        "rows": {name: count for name, count in counts.items() if count},
        "groups": set(tx.scalars(select(model.security_groups.c.id))),
        "strands": set(tx.scalars(select(strands.c.id))),
    }


class PortStory(NetworkStory):
    """A port comes up on a host, changes its groups, and goes with its network. The engine holds orphans."""

    def make_world(self, clock: Clock) -> TimedWorld:
        world = super().make_world(clock)
        world.networks["orphan"] = driver.Network(id="orphan", mtu=1500)
        world.ports["orphan"] = driver.Port(id="orphan", network_id="orphan", mac="fa:16:3e:00:00:01")
        world.epochs["port", "orphan"] = 41
        return world

    def story(self) -> Sequence[Act[TimedWorld]]:
        return [Act(self.boot, self.is_up), Act(self.change, self.is_changed), Act(self.delete, self.is_gone)]

    async def boot(self, process: Process[TimedWorld]) -> None:
        await attach(self.runtime(process))
        network = await self.make(process, "network", "network")
        await self.make(
            process, "subnet", "subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24"
        )
        await self.make(
            process,
            "port",
            "port",
            as_=COMPUTE,
            network_id=network["id"],
            project_id=MEMBER.project_id,
            more={"binding:host_id": HOST},
        )

    async def is_up(self, process: Process[TimedWorld]) -> bool:
        gone = "orphan" not in process.world.networks and "orphan" not in process.world.ports
        return gone and await self.status(process, "port", "port") == "ACTIVE"

    async def change(self, process: Process[TimedWorld]) -> None:
        cloud = self.cloud(process)
        group = await self.make(process, "group", "security_group", name="web")
        body = {"port": {"security_groups": [group["id"]], "fixed_ips": [{"ip_address": "10.0.0.99"}]}}
        await cloud.put(f"/ports/{self.ids['port']}", body)

    async def is_changed(self, process: Process[TimedWorld]) -> bool:
        made = process.world.ports[self.ids["port"]]
        return made.security_group_ids == (self.ids["group"],) and made.addresses[0].ip == "10.0.0.99"

    async def delete(self, process: Process[TimedWorld]) -> None:
        cloud = self.cloud(process)
        await cloud.delete(f"/ports/{self.ids['port']}")
        await cloud.delete(f"/security-groups/{self.ids['group']}")
        await cloud.delete(f"/networks/{self.ids['network']}")

    async def is_gone(self, process: Process[TimedWorld]) -> bool:
        world = process.world
        return not world.networks and not world.ports and self.ids["group"] not in world.security_groups


class RouterStory(NetworkStory):
    """A router takes over a port, carries a floating IP, lets go of it, and goes."""

    def story(self) -> Sequence[Act[TimedWorld]]:
        return [
            Act(self.join, self.is_reachable),
            Act(self.part, self.is_parted),
            Act(self.delete, self.is_gone),
        ]

    async def join(self, process: Process[TimedWorld]) -> None:
        cloud = self.cloud(process)
        await attach(self.runtime(process))
        external = await cloud.external()
        inner = await cloud.network("10.0.0.0/24")
        self.ids |= {"external": external["id"], "network": inner["id"]}
        door = await self.make(process, "door", "port", network_id=inner["id"])
        guest = await self.make(process, "guest", "port", network_id=inner["id"])
        info = {"network_id": external["id"]}
        router = await self.make(process, "router", "router", external_gateway_info=info)
        await cloud.put(f"/routers/{router['id']}/add_router_interface", {"port_id": door["id"]})
        await self.make(
            process, "floating", "floatingip", floating_network_id=external["id"], port_id=guest["id"]
        )

    async def is_reachable(self, process: Process[TimedWorld]) -> bool:
        made = process.world.routers.get(self.ids["router"])
        if made is None or not made.interfaces or not made.floating_ips:
            return False
        if self.ids["door"] in process.world.ports:
            return False
        shown = await self.cloud(process).get(f"/floatingips/{self.ids['floating']}")
        return bool(shown["floatingip"]["status"] == "ACTIVE")

    async def part(self, process: Process[TimedWorld]) -> None:
        await self.cloud(process).delete(f"/ports/{self.ids['guest']}")

    async def is_parted(self, process: Process[TimedWorld]) -> bool:
        return not process.world.routers[self.ids["router"]].floating_ips

    async def delete(self, process: Process[TimedWorld]) -> None:
        cloud = self.cloud(process)
        path = f"/routers/{self.ids['router']}"
        await cloud.delete(f"/floatingips/{self.ids['floating']}")
        await cloud.put(f"{path}/remove_router_interface", {"port_id": self.ids["door"]})
        await cloud.delete(path)
        await cloud.delete(f"/networks/{self.ids['network']}")
        await cloud.delete(f"/networks/{self.ids['external']}", as_=COMPUTE)

    async def is_gone(self, process: Process[TimedWorld]) -> bool:
        world = process.world
        return not world.networks and not world.ports and not world.routers


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("story", [PortStory, RouterStory])
async def test_networks_survive(story: type[NetworkStory]) -> None:
    proof = await crash_everywhere(story(), storms=2)
    assert proof.points > 20
