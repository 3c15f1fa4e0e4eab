"""Serving an ASGI application on a socket, inside our own event loop."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any


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


class Server:
    """granian's embedded server: HTTP in Rust, handlers on this loop."""

    def __init__(self, app: Any, host: str, port: int) -> None:
        from granian.constants import HTTPModes, Interfaces
        from granian.server.embed import Server as Granian

        self.host, self.port = host, port
        self._granian = Granian(
            app,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            log_enabled=False,
            websockets=True,
            backlog=1024,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self, deadline_seconds: float = 5.0) -> None:
        """Returns when connections are taken. Raises AddressError."""
        check_address(self.host, self.port)
        self._task = asyncio.create_task(self._granian.serve())
        async with asyncio.timeout(deadline_seconds):
            while not await self._answers():
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.005)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def stop(self) -> None:
        """Takes no more connections, finishes what runs."""
        if self._task is not None:
            self._granian.stop()
            await self._task
