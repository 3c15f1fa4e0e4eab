"""A server of the test's own on loopback, and clients that speak in bytes."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop

from pileus.kernel.http.server import Limits, Server

MIB = 1024 * 1024
_WITHOUT_HOST = re.compile(rb" HTTP/1\.1\r\n(?!Host:)")

Test = Callable[..., Coroutine[Any, Any, None]]


def on_both_loops(test: Test) -> Callable[..., None]:
    """A cloud runs on uvloop, tests on asyncio's event loop."""

    @functools.wraps(test)
    def running(*, run: Callable[[Coroutine[Any, Any, None]], None], **fixtures: Any) -> None:
        run(test(**fixtures))

    wanted = inspect.signature(test)
    own = inspect.Parameter("run", inspect.Parameter.KEYWORD_ONLY)
    running.__signature__ = wanted.replace(parameters=[*wanted.parameters.values(), own])  # type: ignore[attr-defined]
    marked: Callable[..., None] = pytest.mark.parametrize(
        "run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"]
    )(running)
    return marked


class Client:
    """A connection, and what came over it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def write(self, data: bytes) -> None:
        """With a Host in each request that came without; `writer` sends things as they are."""
        self.writer.write(_WITHOUT_HOST.sub(rb"\g<0>Host: rig\r\n", data))

    async def head(self) -> tuple[int, dict[str, str]]:
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        pairs = (line.partition(": ") for line in lines if line)
        return int(first.split()[1]), {name: value for name, _, value in pairs}

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """One of known length."""
        status, headers = await self.head()
        return status, headers, await self.reader.readexactly(int(headers["content-length"]))

    async def rest(self) -> bytes:
        """All that comes before the server closes, by an abort or not."""
        got = b""
        with suppress(ConnectionResetError):
            while part := await self.reader.read(65536):
                got += part
        return got


class Rig:
    def __init__(self, server: Server, port: int) -> None:
        self.server, self.port = server, port
        self.clients: list[Client] = []

    async def client(self, *data: bytes) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        for each in data:
            client.write(each)
        return client

    def sweep(self, later: float) -> None:
        """Ends what takes too long, as if it were `later` seconds later."""
        for connection in list(self.server._connections._open):
            connection.expire(asyncio.get_running_loop().time() + later)


class Echo:
    """Answers with the request's method, path and body, and remembers what it was asked."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        await answer(send, f"{scope['method']} {scope['path']} ".encode() + body)


async def answer(send: Any, body: bytes, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(app: Any, **limits: Any) -> AsyncIterator[Rig]:
    escaped: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: escaped.append(context))
    sock = socket.create_server(("127.0.0.1", 0))
    server = Server(app, *sock.getsockname(), sock=sock, limits=Limits(**limits))
    await server.start()
    rig = Rig(server, server.port)
    try:
        yield rig
    finally:
        for client in rig.clients:
            client.writer.close()
        await server.stop()
    gc.collect()  # what nobody waited for tells its error when it goes
    assert escaped == []
