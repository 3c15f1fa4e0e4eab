"""The network engine over a private Open vSwitch and OVN on this host."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pileus.drivers import ovsdb
from pileus.drivers.network.ovn import names, vswitch
from pileus.drivers.network.ovn.daemons import Stack
from pileus.drivers.network.ovn.external import HostLink
from pileus.drivers.network.ovn.metadata import MetadataEndpoints
from pileus.drivers.network.ovn.northbound import Northbound
from pileus.drivers.network.ovn.supervision import Supervisor
from pileus.kernel.http.exchange import App
from pileus.services.network.driver import (
    Binding,
    Capabilities,
    Inventory,
    Network,
    NetworkError,
    Port,
    Router,
    SecurityGroup,
)

PHYSICAL_NETWORK = "public"
_PATIENCE_SECONDS = 10.0


class OvnEngine:
    """A `NetworkEngine` whose daemons and databases live under `state_directory`."""

    def __init__(
        self,
        state_directory: Path,
        host: str,
        *,
        host_addresses: Sequence[str] = (),
        host_netns: str = "",
        metadata: App | None = None,
    ) -> None:
        """`host` is the name under which this machine's hypervisors bind ports. `host_addresses` are the
        host's own on the external networks, with prefix length (`172.24.4.1/24`), from where it reaches
        floating IPs; `host_netns` names the namespace that stands for the host, "" for the host's own.
        `metadata` answers guests at 169.254.169.254; without it nothing does.
        """
        self._host = host
        self._stack = Stack(state_directory, host, PHYSICAL_NETWORK)
        self._host_link = HostLink(self._stack, host_addresses, host_netns)
        self._northbound = Northbound(self._stack.socket, host, PHYSICAL_NETWORK)
        self._metadata = metadata and MetadataEndpoints(self._stack, metadata, self._northbound.port_at)
        self._raising = asyncio.Lock()
        self._supervisor = Supervisor(self._stack.daemons, self._raise)
        self._watchers: list[Callable[[str], Awaitable[None]]] = []
        self._northbound.database.watch(self._notice)
        self._telling: set[asyncio.Task[None]] = set()

    async def start(self) -> Capabilities:
        await self._raise()
        self._supervisor.follow()
        await self._northbound.start(_PATIENCE_SECONDS)
        if self._metadata:
            networks = (
                self._northbound.network(network_id) for network_id in self._northbound.ids("network")
            )
            await self._metadata.resume(networks)
        return Capabilities(
            engine="ovn",
            # One host needs no tunnels, so nothing is taken off the Ethernet frame.
            max_mtu=1500,
            physical_network=PHYSICAL_NETWORK,
            metadata=self._metadata is not None,
        )

    async def close(self) -> None:
        self._supervisor.stop()
        for task in self._telling:
            task.cancel()
        if self._metadata:
            await self._metadata.close()
        await self._northbound.close()

    async def teardown(self) -> None:
        await self.close()
        await self._host_link.remove()
        await self._stack.teardown()

    async def ensure_network(self, network: Network, epoch: int) -> None:
        await self._northbound.ensure_network(network, epoch)

    async def delete_network(self, network_id: str, epoch: int) -> None:
        await self._northbound.delete_network(network_id, epoch)
        if self._metadata:
            await self._metadata.remove(network_id)

    async def ensure_port(self, port: Port, epoch: int) -> None:
        if self._metadata and port.host == self._host:
            before = self._northbound.port(port.id)
            if before is None or _whereabouts(before) != _whereabouts(port):
                await self._metadata.forget(port.network_id, [address.ip for address in port.addresses])
        await self._northbound.ensure_port(port, epoch)
        if self._metadata and port.host == self._host:
            await self._metadata.ensure(self._northbound.network(port.network_id))

    async def delete_port(self, port_id: str, epoch: int) -> None:
        await self._northbound.delete_port(port_id, epoch)

    async def ensure_router(self, router: Router, epoch: int) -> None:
        before = self._northbound.router(router.id)
        await self._northbound.ensure_router(router, epoch)
        await self._host_link.forget(_external_ips(router) - (_external_ips(before) if before else set()))

    async def delete_router(self, router_id: str, epoch: int) -> None:
        await self._northbound.delete_router(router_id, epoch)

    async def ensure_security_group(self, group: SecurityGroup, epoch: int) -> None:
        await self._northbound.ensure_security_group(group, epoch)

    async def delete_security_group(self, group_id: str, epoch: int) -> None:
        await self._northbound.delete_security_group(group_id, epoch)

    def binding(self, host: str) -> Binding:
        if host != self._host:
            raise NetworkError(f"no network engine serves host {host}; this one serves {self._host}")
        details = {"netns": self._stack.netns, "bridge": vswitch.INTEGRATION, "ovsdb": self._stack.socket}
        return Binding(vif_type="ovs", vif_details=details)

    async def is_up(self, port_id: str) -> bool:
        return self._northbound.is_up(port_id)

    async def inventory(self) -> Inventory:
        return Inventory(
            networks=self._northbound.ids("network"),
            ports=self._northbound.ids("port"),
            routers=self._northbound.ids("router"),
            security_groups=self._northbound.ids("security_group"),
        )

    def watch(self, changed: Callable[[str], Awaitable[None]]) -> None:
        self._watchers.append(changed)

    async def _raise(self) -> None:
        """Have all daemons running, and what only a running switch can hold."""
        async with self._raising:
            await self._stack.start()
            await self._host_link.ensure()

    def _notice(self, table: str, row_id: str, old: ovsdb.Row | None, new: ovsdb.Row | None) -> None:
        """Tell the watchers of a port that came up or went down."""
        if table != names.SWITCH_PORT or not self._watchers or _carries(old) is _carries(new):
            return
        for changed in self._watchers:
            task = asyncio.ensure_future(changed(row_id))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)


def _external_ips(router: Router) -> set[str]:
    """Addresses that the router answers for on its external network."""
    if router.gateway is None:
        return set()
    own = {address.partition("/")[0] for address in router.gateway.addresses}
    return own | {each.floating_ip for each in router.floating_ips}


def _whereabouts(port: Port) -> tuple[object, ...]:
    """Where its addresses are found."""
    return port.host, port.mac, port.addresses


def _carries(row: ovsdb.Row | None) -> bool:
    return row is not None and True in row["up"] and True in row["enabled"]
