"""The host that the contract's tests run on, and the things they declare on it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pileus.services.network.driver import Binding, NetworkEngine, Port
from pileus.testing.waiting import until


class Rig(ABC):
    """A host to test on, which outlives the engine objects that are made over it."""

    host = "host-1"
    up_seconds = 30.0
    """How long a port may take to come up once it is plugged, or to go down."""

    @abstractmethod
    def new_engine(self) -> NetworkEngine:
        """An engine over this host, as a process that starts would make it."""

    @abstractmethod
    async def plug(self, port: Port, binding: Binding) -> None:
        """Do what a hypervisor does with a binding."""

    @abstractmethod
    async def unplug(self, port: Port, binding: Binding) -> None:
        """Undo `plug`."""

    def __init__(self) -> None:
        self.engines: list[NetworkEngine] = []
        self.plugged: list[tuple[Port, Binding]] = []

    async def start(self) -> NetworkEngine:
        """An engine, started."""
        engine = self.new_engine()
        self.engines.append(engine)
        await engine.start()
        return engine

    async def boot(self, engine: NetworkEngine, port: Port) -> None:
        """Plug a port as a guest's boot does, and wait until it is up."""
        binding = engine.binding(self.host)
        self.plugged.append((port, binding))
        await self.plug(port, binding)
        await until(lambda: engine.is_up(port.id), self.up_seconds)

    async def clean(self) -> None:
        """Unplug and delete all, with an epoch above those that tests use."""
        engine = await self.start()
        for port, binding in self.plugged:
            await self.unplug(port, binding)
        self.plugged.clear()
        inventory = await engine.inventory()
        for router_id in inventory.routers:
            await engine.delete_router(router_id, 1_000_000)
        for port_id in inventory.ports:
            await engine.delete_port(port_id, 1_000_000)
        for network_id in inventory.networks:
            await engine.delete_network(network_id, 1_000_000)
        for group_id in inventory.security_groups:
            await engine.delete_security_group(group_id, 1_000_000)
        for each in self.engines:
            await each.close()
        self.engines.clear()
