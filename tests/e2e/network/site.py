"""A machine with a cloud's network on it, for tests with real packets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from pileus.drivers import vif
from pileus.drivers.network.ovn import OvnEngine
from pileus.drivers.network.ovn.daemons import Stack
from pileus.services.compute.driver import Nic, Vif
from pileus.testing.network import new_id
from tests.e2e.network.guests import HOST, Cloud, Machine, cloud, namespace


async def tell_all(scope: Any, receive: Any, send: Any) -> None:
    """A metadata application that answers with what it was told of the asker."""
    body = json.dumps({**scope["state"], "path": scope["path"]}).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Site:
    """A machine with a cloud's network on it."""

    def __init__(self, directory: Path, host_netns: str) -> None:
        self.directory = directory
        self.machine = Machine(host_netns)

    def new_engine(self) -> OvnEngine:
        return OvnEngine(
            self.directory,
            HOST,
            host_addresses=("172.24.4.1/24", "fd99::1/64"),
            host_netns=self.machine.netns,
            metadata=tell_all,
        )

    def cloud(self) -> contextlib.AbstractAsyncContextManager[Cloud]:
        return cloud(self.new_engine())


@contextlib.contextmanager
def a_site(directory: Path) -> Iterator[Site]:
    """A machine of its own, which nothing is left of."""
    with namespace() as host_netns:
        site = Site(directory, host_netns)
        try:
            yield site
        finally:
            asyncio.run(site.new_engine().teardown())


@contextlib.asynccontextmanager
async def outside(site: Site) -> AsyncIterator[Machine]:
    """Another machine on the external network, plugged into its bridge: 172.24.4.200."""
    stack = Stack(site.directory, HOST, "public")
    details = {"netns": stack.netns, "bridge": "br-ex", "ovsdb": stack.socket}
    nic = Nic(port_id=new_id(), mac="fa:16:3e:aa:aa:aa", mtu=1500, vif=Vif(type="ovs", details=details))
    with namespace() as place:
        await vif.plug_veth(nic, place, "eth0")
        machine = Machine(place)
        await machine.ip("address", "add", "172.24.4.200/24", "dev", "eth0")
        try:
            yield machine
        finally:
            await vif.unplug(nic)
