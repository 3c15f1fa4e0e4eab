"""The network engine in memory: all of the protocol's promises and no packets.

The `World` is what a real engine would find on the host; the `SimEngine` is only the process that talks to
it. So a crash harness drops the engine, builds another over the same world, and looks at what is left.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import msgspec

from pileus.services.network.driver import (
    Binding,
    Capabilities,
    Inventory,
    Network,
    NetworkError,
    Port,
    Router,
    SecurityGroup,
    StaleEpoch,
)

PHYSICAL_NETWORK = "public"


class Faults:
    """What goes wrong in a world: nothing, unless a subclass says so.

    Both moments may raise: a `NetworkError` is a fault of the engine, any other exception stands for the
    death of the process that called.
    """

    def before(self, verb: str, subject_id: str) -> None:
        """The call has come in, and nothing has been done yet."""

    def after(self, verb: str, subject_id: str) -> None:
        """All is done, and the caller has not heard of it."""


class SeededFaults(Faults):
    """Fails a share of all calls, half of them after they have acted; the same seed fails the same calls."""

    def __init__(self, seed: int, rate: float) -> None:
        self._random = random.Random(seed)
        self._rate = rate

    def before(self, verb: str, subject_id: str) -> None:
        self._strike(verb, subject_id, "was not begun")

    def after(self, verb: str, subject_id: str) -> None:
        self._strike(verb, subject_id, "was done, its answer is lost")

    def _strike(self, verb: str, subject_id: str, what: str) -> None:
        if self._random.random() < self._rate / 2:
            raise NetworkError(f"simulated fault: {verb} {subject_id} {what}")


class World:
    """A host's network: what is declared, where ports are bound, and the newest epoch of each thing."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.networks: dict[str, Network] = {}
        self.ports: dict[str, Port] = {}
        self.routers: dict[str, Router] = {}
        self.security_groups: dict[str, SecurityGroup] = {}
        self.plugged: set[str] = set()
        """Ports with a guest that no `Port.host` speaks of."""
        self.epochs: dict[tuple[str, str], int] = {}
        """Newest epoch by (kind, id); outlives the thing, so that a late worker cannot bring it back."""
        self._up: set[str] = set()

    def admit(self, kind: str, subject_id: str, epoch: int) -> None:
        newest = self.epochs.get((kind, subject_id), epoch)
        if epoch < newest:
            raise StaleEpoch(
                f"{kind} {subject_id} was changed at epoch {newest}; epoch {epoch} is out of date"
            )
        self.epochs[kind, subject_id] = epoch

    def settle(self, port_ids: list[str]) -> list[str]:
        """Those of the ports that have come up or gone down since they were last settled."""
        changed = [port_id for port_id in port_ids if self.is_up(port_id) is not (port_id in self._up)]
        self._up.symmetric_difference_update(changed)
        return changed

    def is_up(self, port_id: str) -> bool:
        port = self.ports.get(port_id)
        if port is None or not port.admin_state_up or not self.networks[port.network_id].admin_state_up:
            return False
        return port.host is not None or port_id in self.plugged

    def require_networks(self, *network_ids: str) -> None:
        for network_id in network_ids:
            if network_id not in self.networks:
                raise NetworkError(f"network {network_id} is not there; it has to be made first")

    def ports_on(self, network_id: str) -> list[str]:
        return [port.id for port in self.ports.values() if port.network_id == network_id]

    def drop_port(self, port_id: str) -> None:
        self.ports.pop(port_id, None)
        self.plugged.discard(port_id)

    def drop_network(self, network_id: str) -> None:
        self.networks.pop(network_id, None)
        for port_id in self.ports_on(network_id):
            self.drop_port(port_id)
        for router in list(self.routers.values()):
            gateway = router.gateway
            self.routers[router.id] = msgspec.structs.replace(
                router,
                interfaces=tuple(i for i in router.interfaces if i.network_id != network_id),
                gateway=None if gateway is not None and gateway.network_id == network_id else gateway,
            )

    def drop_security_group(self, group_id: str) -> None:
        self.security_groups.pop(group_id, None)
        for port in list(self.ports.values()):
            if group_id in port.security_group_ids:
                rest = tuple(each for each in port.security_group_ids if each != group_id)
                self.ports[port.id] = msgspec.structs.replace(port, security_group_ids=rest)


class SimEngine:
    """A `NetworkEngine` over a `World`. A port is up as soon as it is bound."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self._watchers: list[Callable[[str], Awaitable[None]]] = []

    async def start(self) -> Capabilities:
        return Capabilities(engine="sim", max_mtu=1500, physical_network=PHYSICAL_NETWORK, metadata=False)

    async def close(self) -> None:
        self._watchers.clear()

    async def teardown(self) -> None:
        self._watchers.clear()

    async def ensure_network(self, network: Network, epoch: int) -> None:
        def act() -> list[str]:
            self.world.networks[network.id] = network
            return self.world.ports_on(network.id)

        await self._change("ensure_network", "network", network.id, epoch, act)

    async def delete_network(self, network_id: str, epoch: int) -> None:
        def act() -> list[str]:
            lost = self.world.ports_on(network_id)
            self.world.drop_network(network_id)
            return lost

        await self._change("delete_network", "network", network_id, epoch, act)

    async def ensure_port(self, port: Port, epoch: int) -> None:
        def act() -> list[str]:
            self.world.require_networks(port.network_id)
            for group_id in port.security_group_ids:
                if group_id not in self.world.security_groups:
                    raise NetworkError(f"security group {group_id} is not there; it has to be made first")
            self.world.ports[port.id] = port
            return [port.id]

        await self._change("ensure_port", "port", port.id, epoch, act)

    async def delete_port(self, port_id: str, epoch: int) -> None:
        def act() -> list[str]:
            self.world.drop_port(port_id)
            return [port_id]

        await self._change("delete_port", "port", port_id, epoch, act)

    async def ensure_router(self, router: Router, epoch: int) -> None:
        def act() -> list[str]:
            self.world.require_networks(*(interface.network_id for interface in router.interfaces))
            if router.gateway is not None:
                self.world.require_networks(router.gateway.network_id)
            self.world.routers[router.id] = router
            return []

        await self._change("ensure_router", "router", router.id, epoch, act)

    async def delete_router(self, router_id: str, epoch: int) -> None:
        def act() -> list[str]:
            self.world.routers.pop(router_id, None)
            return []

        await self._change("delete_router", "router", router_id, epoch, act)

    async def ensure_security_group(self, group: SecurityGroup, epoch: int) -> None:
        def act() -> list[str]:
            self.world.security_groups[group.id] = group
            return []

        await self._change("ensure_security_group", "security group", group.id, epoch, act)

    async def delete_security_group(self, group_id: str, epoch: int) -> None:
        def act() -> list[str]:
            self.world.drop_security_group(group_id)
            return []

        await self._change("delete_security_group", "security group", group_id, epoch, act)

    async def plug(self, port_id: str) -> None:
        """A guest is plugged in, wherever the port is bound."""

        def act() -> list[str]:
            self.world.plugged.add(port_id)
            return [port_id]

        await self._act("plug", port_id, act)

    def binding(self, host: str) -> Binding:
        return Binding(vif_type="sim")

    async def is_up(self, port_id: str) -> bool:
        return self.world.is_up(port_id)

    async def inventory(self) -> Inventory:
        return Inventory(
            networks=frozenset(self.world.networks),
            ports=frozenset(self.world.ports),
            routers=frozenset(self.world.routers),
            security_groups=frozenset(self.world.security_groups),
        )

    def watch(self, changed: Callable[[str], Awaitable[None]]) -> None:
        self._watchers.append(changed)

    async def _change(
        self, verb: str, kind: str, subject_id: str, epoch: int, act: Callable[[], list[str]]
    ) -> None:
        def admitted() -> list[str]:
            self.world.admit(kind, subject_id, epoch)
            return act()

        await self._act(verb, subject_id, admitted)

    async def _act(self, verb: str, subject_id: str, act: Callable[[], list[str]]) -> None:
        """Act between the two moments of a fault; `act` gives the ports it may have brought up or down."""
        self.world.faults.before(verb, subject_id)
        touched = act()
        self.world.faults.after(verb, subject_id)
        for port_id in self.world.settle(touched):
            for changed in list(self._watchers):
                await changed(port_id)
