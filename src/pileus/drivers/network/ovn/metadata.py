"""169.254.169.254 on every network with guests, answered by an application of Pileus itself.

Each network's metadata port is one end of a veth pair; the other ends lie side by side in one namespace,
all with the same addresses, and each has listening sockets that are bound to it alone. So the socket tells
the network, and the peer's address the guest, however much networks overlap. The namespace has no routes:
a socket that is bound to a link takes every address to be on it, and what is bound to none cannot answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from pileus.drivers import netns, vif
from pileus.drivers.network.ovn import command, names, vswitch
from pileus.drivers.network.ovn.daemons import Stack
from pileus.drivers.network.ovn.resolver import Refuser
from pileus.drivers.network.ovn.switch import metadata_port_id
from pileus.kernel.http.exchange import App
from pileus.kernel.http.server import Limits, Server
from pileus.services.compute.driver import HypervisorError, Nic, Vif
from pileus.services.network.driver import Network, NetworkError

_HTTP, _DNS = 80, 53
LIMITS = Limits(connections=64, head_seconds=10.0, idle_seconds=10.0, stall_seconds=30.0)
"""For each network's guests, who are not trusted."""


class MetadataEndpoints:
    """The endpoints of one host. They stay when Pileus ends, and listen again when it is back.

    In a scope's `state` the application finds `network_id`, `client_ip`, and `port_id`: the port on that network that
    holds the address, or None.
    """

    def __init__(self, stack: Stack, app: App, port_at: Callable[[str, str], str | None]) -> None:
        self._stack = stack
        self._app = app
        self._port_at = port_at
        self._servers: dict[str, list[Server]] = {}
        self._refusers: dict[str, asyncio.DatagramTransport] = {}
        self._changing: dict[str, asyncio.Lock] = {}

    async def resume(self, networks: Iterable[Network]) -> None:
        """Listen on the endpoints that are there, and remove those of networks that are not."""
        links = await command.show("link", inside=self._stack.metadata_netns)
        present = {link["ifname"] for link in links} - {"lo"}
        found = [network for network in networks if _link_name(network.id) in present]
        await asyncio.gather(*(self.ensure(network) for network in found))
        for name in present.difference(_link_name(network.id) for network in found):
            await command.ip(f"link del {name}", inside=self._stack.metadata_netns)

    async def ensure(self, network: Network) -> None:
        """Have the network's endpoint answer."""
        if network.id in self._servers or not network.subnets:
            return
        async with self._changing.setdefault(network.id, asyncio.Lock()):
            if network.id in self._servers:
                return
            name, place = _link_name(network.id), self._stack.metadata_netns
            try:
                await vif.plug_veth(self._nic(network), place, name)
            except HypervisorError as error:
                raise NetworkError(f"network {network.id} has no metadata: {error}") from error
            await command.ip(
                f"address replace {names.METADATA_IPV4}/32 dev {name}",
                f"address replace {names.METADATA_IPV6}/64 dev {name} nodad",
                inside=place,
            )
            *listening, names_socket = await netns.run_in(place, lambda: _listen(name))
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(Refuser, sock=names_socket)
            self._refusers[network.id] = transport
            self._servers[network.id] = [await self._serve(network.id, each) for each in listening]

    async def forget(self, network_id: str, ips: Iterable[str]) -> None:
        """Have the endpoint ask anew who holds these addresses. Else it would answer a guest that was given the
        address of a former one at the former's MAC, for up to half a minute."""
        if network_id in self._servers:
            await command.forget_neighbours(_link_name(network_id), ips, self._stack.metadata_netns)

    async def remove(self, network_id: str) -> None:
        """Leave nothing of the network's endpoint."""
        if network_id not in self._changing:
            return
        await self._silence(network_id)
        place, name = self._stack.metadata_netns, _link_name(network_id)
        await vif.unplug(self._nic(Network(id=network_id, mtu=0)))
        if any(link["ifname"] == name for link in await command.show("link", inside=place)):
            await command.ip(f"link del {name}", inside=place)
        self._changing.pop(network_id, None)

    async def close(self) -> None:
        for network_id in list(self._servers):
            await self._silence(network_id)

    async def _silence(self, network_id: str) -> None:
        if network_id in self._refusers:
            self._refusers.pop(network_id).close()
        for server in self._servers.pop(network_id, ()):
            await server.stop()

    async def _serve(self, network_id: str, listening: socket.socket) -> Server:
        async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            client_ip = scope["client"][0].partition("%")[0]
            port_id = self._port_at(network_id, client_ip)
            scope["state"] = {"network_id": network_id, "client_ip": client_ip, "port_id": port_id}
            await self._app(scope, receive, send)

        host, port = listening.getsockname()[:2]
        server = Server(app, host, port, sock=listening, limits=LIMITS)
        await server.start()
        return server

    def _nic(self, network: Network) -> Nic:
        details = {
            "netns": self._stack.netns,
            "bridge": vswitch.INTEGRATION,
            "ovsdb": self._stack.socket,
        }
        mac = names.derived_mac(network.id, "metadata")
        place = Vif(type="ovs", details=details)
        return Nic(port_id=metadata_port_id(network.id), mac=mac, mtu=network.mtu, vif=place)


def _link_name(network_id: str) -> str:
    return f"md{network_id[:12]}"


def _listen(link: str) -> list[socket.socket]:
    """Sockets on a link in the calling thread's namespace: HTTP at both addresses, and the name server's."""
    index = socket.if_nametoindex(link)
    places: tuple[tuple[socket.AddressFamily, socket.SocketKind, Any], ...] = (
        (socket.AF_INET, socket.SOCK_STREAM, (names.METADATA_IPV4, _HTTP)),
        (socket.AF_INET6, socket.SOCK_STREAM, (names.METADATA_IPV6, _HTTP, 0, index)),
        (socket.AF_INET, socket.SOCK_DGRAM, (names.METADATA_IPV4, _DNS)),
    )
    with contextlib.ExitStack() as stack:
        sockets = []
        for family, kind, address in places:
            bound = stack.enter_context(socket.socket(family, kind))
            bound.setblocking(False)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
            bound.bind(address)
            sockets.append(bound)
        stack.pop_all()
    return sockets
