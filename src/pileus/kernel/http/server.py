"""Serving an ASGI application on a socket, inside our own event loop."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from dataclasses import dataclass

from pileus.kernel.http.connection import Connection
from pileus.kernel.http.exchange import App, Exchange

BACKLOG = 1024
SCRATCH_BYTES = 256 * 1024
STOP_SECONDS = 3.0
"""What requests get that run when the server stops."""


class AddressError(Exception):
    """What is to be listened on is not to be had; the message says why, and what helps."""


def check_address(host: str, port: int) -> None:
    """Raises AddressError where nothing could listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            remedy = "choose another with --listen ADDR:PORT"
            if error.errno == errno.EADDRINUSE:
                remedy += f", or end the program that has it (ss -ltnp 'sport = :{port}' names it)"
            raise AddressError(f"can't listen on {host}:{port}: {error.strerror}; {remedy}") from error


@dataclass(frozen=True)
class Limits:
    """What clients may keep a server busy with."""

    connections: int = 10_000
    """At one time; never more than half of the files that the process may open."""
    head_seconds: float = 30.0
    """For a request's head to come."""
    idle_seconds: float = 120.0
    """Between two requests."""
    stall_seconds: float = 300.0
    """Without a byte of a body that is waited for, or of an answer that is taken."""
    linger_seconds: float = 10.0
    """To notice an answer that came before all of the request was sent."""
    sweep_seconds: float = 5.0
    """How often all of this is looked at."""


class Connections:
    """Those of one application: they are made, bounded and ended here."""

    def __init__(self, app: App, limits: Limits | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.limits = limits or Limits()
        self.scratch = memoryview(bytearray(SCRATCH_BYTES))
        """Where bytes come to that belong to nobody yet: one for all, as each is emptied before the next is filled."""
        self.is_ending = False
        self._app = app
        self._open: set[Connection] = set()
        self.running: dict[Exchange, asyncio.Task[None]] = {}
        self._sweeping = self.loop.call_later(self.limits.sweep_seconds, self._sweep)

    def __len__(self) -> int:
        return len(self._open)

    def protocol(self) -> Connection:
        return Connection(self)

    def add(self, connection: Connection) -> None:
        self._open.add(connection)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = self.limits.connections
        if files != resource.RLIM_INFINITY:
            most = min(most, files // 2)
        if len(self._open) > most or self.is_ending:
            connection.abort()

    def discard(self, connection: Connection) -> None:
        self._open.discard(connection)

    def run(self, exchange: Exchange) -> None:
        self.running[exchange] = self.loop.create_task(exchange.run(self._app))

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in list(self._open):
            connection.expire(now)
        self._sweeping = self.loop.call_later(self.limits.sweep_seconds, self._sweep)

    async def end(self) -> None:
        """What runs is finished, where it does not take too long."""
        self.is_ending = True
        self._sweeping.cancel()
        for connection in list(self._open):
            connection.end_if_idle()
        for exchange, task in self.running.items():
            if exchange.is_endless:
                task.cancel()
        if self.running:
            _, late = await asyncio.wait(self.running.values(), timeout=STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in list(self._open):
            connection.transport.close()


class Server:
    """HTTP/1.1 on an address, or on a socket that is bound already; handlers run on the loop that it was started in."""

    def __init__(
        self,
        app: App,
        host: str,
        port: int,
        *,
        sock: socket.socket | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.host, self.port = host, port
        self._app = app
        self._socket = sock
        self._limits = limits
        self._listening: asyncio.Server | None = None

    async def start(self) -> None:
        """Returns when connections are taken. Raises AddressError."""
        self._connections = Connections(self._app, self._limits)
        make = self._connections.protocol
        loop = self._connections.loop
        if self._socket is not None:
            self._listening = await loop.create_server(make, sock=self._socket, backlog=BACKLOG)
        else:
            check_address(self.host, self.port)
            self._listening = await loop.create_server(make, self.host, self.port, backlog=BACKLOG)

    @property
    def connections(self) -> int:
        """That are open."""
        return len(self._connections)

    async def stop(self) -> None:
        """Takes no more connections, finishes what runs."""
        if self._listening is not None:
            self._listening.close()
            await self._connections.end()
