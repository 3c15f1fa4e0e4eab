"""Guests imitated by network namespaces, plugged into a real cloud's network as containers are."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterator

import msgspec

from pileus.drivers import netns, vif
from pileus.services.compute.driver import Nic, Vif
from pileus.services.network.driver import Network, NetworkEngine, Port, Router, SecurityGroup
from pileus.testing.waiting import until

HOST = "host-1"


@contextlib.contextmanager
def namespace() -> Iterator[str]:
    """A network namespace with no way out."""
    name = f"pt-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        # Addresses serve at once, not only when nobody has objected for a second.
        for scope in ("all", "default"):
            setting = f"net.ipv6.conf.{scope}.accept_dad=0"
            subprocess.run(["ip", "netns", "exec", name, "sysctl", "-q", setting], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


class Machine:
    """Whatever sends and receives packets in a namespace."""

    def __init__(self, place: str) -> None:
        self.netns = place

    async def run(self, *argv: str, seconds: float = 60.0) -> tuple[int, str]:
        """Exit status and all output of a program run here."""
        inside = ("nsenter", f"--net={netns.path_of(self.netns)}")
        process = await asyncio.create_subprocess_exec(
            *inside, *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            async with asyncio.timeout(seconds):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def ip(self, *arguments: str) -> None:
        status, output = await self.run("ip", *arguments)
        assert status == 0, output

    async def pings(self, address: str, seconds: float = 1.0, *options: str) -> bool:
        """Whether the address answers one packet within that time."""
        status, _ = await self.run("ping", "-c1", f"-W{seconds}", *options, address)
        return status == 0

    async def reaches(self, address: str, *options: str) -> bool:
        """Whether the address answers one of many packets: one may be late, or get lost."""
        status, _ = await self.run("ping", "-c1", "-w30", "-i0.2", *options, address)
        return status == 0

    @contextlib.asynccontextmanager
    async def serve(self, port: int, address: str = "0.0.0.0") -> AsyncIterator[None]:
        """Answer each TCP connection to this port with the address that it came from."""

        def listen() -> socket.socket:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return socket.create_server((address, port), family=family)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                writer.write(writer.get_extra_info("peername")[0].encode())
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, sock=await netns.run_in(self.netns, listen))
        try:
            yield
        finally:
            server.close()

    async def ask(self, address: str, port: int, seconds: float = 30.0) -> str | None:
        """What a server there answers, or None when there is no connection in time."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        client = await netns.run_in(self.netns, lambda: socket.socket(family, socket.SOCK_STREAM))
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                await loop.sock_connect(client, (address, port))
                return (await loop.sock_recv(client, 1000)).decode()
        except (TimeoutError, OSError):
            return None
        finally:
            client.close()


async def fails(*attempts: Awaitable[object]) -> bool:
    """Whether none of the attempts to reach something succeeds, all made at once."""
    return not any(await asyncio.gather(*attempts))


class Guest(Machine):
    def __init__(self, place: str, port: Port, nic: Nic) -> None:
        super().__init__(place)
        self.port = port
        self.nic = nic

    async def configure(self, *addresses: str, gateway: str | None = None) -> None:
        for address in addresses:
            extra = ("nodad",) if ":" in address else ()
            await self.ip("address", "add", address, "dev", "eth0", *extra)
        if gateway is not None:
            await self.ip("route", "add", "default", "via", gateway)


class Cloud:
    """What a test declares and plugs, all of it gone when its context ends."""

    def __init__(self, engine: NetworkEngine, stack: contextlib.AsyncExitStack) -> None:
        self.engine = engine
        self._stack = stack

    async def declare(self, *things: Network | SecurityGroup | Port | Router) -> None:
        for thing in things:
            match thing:
                case Network():
                    await self.engine.ensure_network(thing, 1)
                    self._stack.push_async_callback(self.engine.delete_network, thing.id, 9)
                case SecurityGroup():
                    await self.engine.ensure_security_group(thing, 1)
                    self._stack.push_async_callback(self.engine.delete_security_group, thing.id, 9)
                case Port():
                    await self.engine.ensure_port(thing, 1)
                    self._stack.push_async_callback(self.engine.delete_port, thing.id, 9)
                case Router():
                    await self.engine.ensure_router(thing, 1)
                    self._stack.push_async_callback(self.engine.delete_router, thing.id, 9)

    async def boot(self, port: Port, network: Network, *, configure: bool = True) -> Guest:
        """A guest on this port, declared here too, up, and unless told otherwise with its addresses."""
        port = msgspec.structs.replace(port, host=HOST)
        await self.declare(port)
        binding = self.engine.binding(HOST)
        place = Vif(type=binding.vif_type, details=binding.vif_details)
        nic = Nic(port_id=port.id, mac=port.mac, mtu=network.mtu, vif=place)
        guest = Guest(self._stack.enter_context(namespace()), port, nic)
        await vif.plug_veth(nic, guest.netns, "eth0")
        self._stack.push_async_callback(vif.unplug, nic)
        await until(lambda: self.engine.is_up(port.id))
        if configure:
            by_id = {subnet.id: subnet for subnet in network.subnets}
            for address in port.addresses:
                subnet = by_id[address.subnet_id]
                prefix = ipaddress.ip_network(subnet.cidr).prefixlen
                await guest.configure(f"{address.ip}/{prefix}", gateway=subnet.gateway_ip)
        return guest


@contextlib.asynccontextmanager
async def cloud(engine: NetworkEngine) -> AsyncIterator[Cloud]:
    await engine.start()
    try:
        async with contextlib.AsyncExitStack() as stack:
            yield Cloud(engine, stack)
    finally:
        await engine.close()
