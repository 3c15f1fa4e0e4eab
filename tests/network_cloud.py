"""The network service alone, over the simulated engine, for tests; and the few calls that every test
makes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pileus.drivers.network.sim import SimEngine, World
from pileus.kernel.context import Context, service_user
from pileus.services.network.needs import Servers
from pileus.services.network.service import service
from pileus.services.network.state import State
from pileus.services.network.work import attach, programs
from pileus.testing.personas import persona
from pileus.testing.service import ADMIN, MEMBER, ServiceUnderTest, serving
from pileus.testing.waiting import until

BASE = "/networking/v2.0"
HOST = "host-1"
OTHER = persona("project", "member", project_id="0ther000000000000000000000000000")
OPERATOR = persona("project", "admin", project_id="0perat0r000000000000000000000000")
COMPUTE = service_user("compute")


class NetworkCloud:
    """Calls by collection; all raise where the status is not the one that was to be expected."""

    def __init__(self, served: ServiceUnderTest, world: World) -> None:
        self.served = served
        self.world = world

    async def call(
        self, method: str, path: str, body: Any = None, *, status: int, as_: Context = MEMBER, **more: Any
    ) -> Any:
        reply = await self.served.request(method, BASE + path, body, as_=as_, **more)
        assert reply.status == status, f"{method} {path}: {reply.status} {reply.body.decode()}"
        return reply.json()

    async def get(self, path: str, status: int = 200, **more: Any) -> Any:
        return await self.call("GET", path, status=status, **more)

    async def post(self, path: str, body: Any, status: int = 201, **more: Any) -> Any:
        return await self.call("POST", path, body, status=status, **more)

    async def put(self, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        return await self.call("PUT", path, body, status=status, **more)

    async def delete(self, path: str, status: int = 204, **more: Any) -> Any:
        return await self.call("DELETE", path, status=status, **more)

    async def make(self, kind: str, as_: Context = MEMBER, **values: Any) -> Any:
        """`make("network", name="n")`; names with a colon go as `{"router:external": …}` in `more`."""
        values |= values.pop("more", {})
        path = "/" + kind.replace("_", "-") + "s"
        return (await self.post(path, {kind: values}, as_=as_))[kind]

    async def show(self, kind: str, key: str, as_: Context = MEMBER) -> Any:
        return (await self.get(f"/{kind.replace('_', '-')}s/{key}", as_=as_))[kind]

    async def network(self, cidr: str | None = "10.0.0.0/24", as_: Context = MEMBER, **values: Any) -> Any:
        """A network with a subnet."""
        network = await self.make("network", as_=as_, **values)
        if cidr is not None:
            await self.make(
                "subnet", as_=as_, network_id=network["id"], cidr=cidr, ip_version=6 if ":" in cidr else 4
            )
            network = await self.show("network", network["id"], as_=as_)
        return network

    async def external(self, cidr: str = "172.24.4.0/24", **values: Any) -> Any:
        more = {
            "router:external": True,
            "provider:network_type": "flat",
            "provider:physical_network": "public",
        }
        return await self.network(cidr, as_=OPERATOR, name="public", more=more, **values)

    async def until_status(self, kind: str, key: str, status: str) -> Any:
        async def reached() -> bool:
            return (await self.show(kind, key, as_=ADMIN))["status"] == status

        await until(reached)
        return await self.show(kind, key, as_=ADMIN)


def state_over(world: World) -> State:
    from pileus.services.network.driver import Capabilities

    capabilities = Capabilities(engine="sim", max_mtu=1500, physical_network="public", metadata=False)
    return State(engine=SimEngine(world), capabilities=capabilities, host=HOST)


@asynccontextmanager
async def network_cloud(
    database_url: str | None = None, servers: Servers | None = None
) -> AsyncIterator[NetworkCloud]:
    world = World()
    async with serving(
        service, programs=programs, needs=servers, state=state_over(world), database_url=database_url
    ) as served:
        await attach(served.runtime)
        yield NetworkCloud(served, world)
