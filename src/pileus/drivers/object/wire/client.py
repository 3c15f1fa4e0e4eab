"""The client's end: one server, reached over one connection for calls and one more for each stream.

Calls of all share a connection, so that what is asked until the next lull goes out with one system call. A stream has
one of its own as long as it lasts: who reads slowly stops the sender by TCP's own means, and nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from pileus.drivers.object.wire.errors import Unreachable
from pileus.drivers.object.wire.frame import Kind
from pileus.drivers.object.wire.interface import Verb, encode_call
from pileus.drivers.object.wire.link import Link
from pileus.drivers.object.wire.stream import StreamIn, StreamOut
from pileus.services.object_store.driver import whole_or_nothing

CONNECT_SECONDS = 0.5
CALL_SECONDS = 10.0
SLOW_SECONDS = 600.0
AGAIN_SECONDS, REFUSED_AGAIN_SECONDS = 1.0, 0.05
"""A server that did not answer, or refused, is not waited for: it is tried again so often, and what is asked meanwhile
fails at once."""
IDLE_STREAMS = 8
"""Connections kept for the next stream."""


class Peer:
    """A server of the cluster. Connects when it is first asked, and again when the connection was lost."""

    def __init__(self, host: str, port: int, key: bytes, *, call_seconds: float = CALL_SECONDS) -> None:
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.call_seconds = call_seconds
        self._host, self._port = host, port
        self._key = key
        self._link: Link | None = None
        self._linking: asyncio.Task[Link] | None = None
        self._idle: list[Link] = []
        self._is_closed = False
        self._broken = ""
        """Why it can't be reached; empty as long as nothing is wrong."""
        self._again_at = 0.0

    async def close(self) -> None:
        self._is_closed = True
        if self._linking is not None:
            self._linking.cancel()
            await asyncio.wait((self._linking,))
        for link in (*self._idle, *([self._link] if self._link else [])):
            link.close()
        self._idle.clear()
        self._link = None

    async def _connect(self) -> Link:
        if self._is_closed:
            raise Unreachable(f"{self.address}: closed")
        loop = asyncio.get_running_loop()
        link = Link(self._key)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(lambda: link, self._host, self._port)
                await link.open
        except TimeoutError:
            link.close()
            raise self._break(f"{self.address} does not answer", AGAIN_SECONDS) from None
        except OSError as error:
            why = f"{self.address} can't be reached: {error.strerror or error}"
            raise self._break(why, REFUSED_AGAIN_SECONDS) from None
        except Unreachable as error:
            why = f"{self.address} refuses the connection ({error}); does it have the same cluster key?"
            raise self._break(why, AGAIN_SECONDS) from None
        except BaseException:
            link.close()
            raise
        self._broken = ""
        return link

    def _break(self, why: str, seconds: float) -> Unreachable:
        self._broken = why
        self._again_at = asyncio.get_running_loop().time() + seconds
        return Unreachable(why)

    def _is_hopeless(self) -> bool:
        """Whether it is not worth waiting for; it is tried again behind the scenes."""
        if not self._broken:
            return False
        if asyncio.get_running_loop().time() >= self._again_at and self._linking is None:
            self._link_up()
        return True

    def _link_up(self) -> asyncio.Task[Link]:
        self._linking = asyncio.create_task(self._connect())
        self._linking.add_done_callback(self._linked)
        return self._linking

    async def _calling(self) -> Link:
        """The connection for calls; those that find none share the making of one."""
        return await asyncio.shield(self._linking or self._link_up())

    def _linked(self, task: asyncio.Task[Link]) -> None:
        self._linking = None
        if not task.cancelled() and task.exception() is None:
            self._link = task.result()

    def call(self, target: str, verb: Verb, arguments: list[Any]) -> asyncio.Future[Any]:
        """Has begun when it returns, and goes on where the future is cancelled.

        The future fails with what the other side raised, or with Unreachable.
        """
        link = self._link
        if link is None or link.is_lost:
            if link is not None and link.was_silent and not self._broken:
                self._break(f"{self.address} {link.reason}", 0.0)
            if self._is_hopeless():
                return _failed(self._broken)
            return asyncio.shield(self._call_later(target, verb, arguments))
        if link.is_clogged:
            return asyncio.shield(self._call_later(target, verb, arguments))
        return self._ask(link, target, verb, encode_call(target, verb, arguments))

    def _ask(self, link: Link, target: str, verb: Verb, payload: bytes) -> asyncio.Future[Any]:
        seconds = SLOW_SECONDS if verb.is_slow else self.call_seconds
        asked = f"{self.address}/{target}"
        return link.ask(Kind.CALL, link.next_number(), payload, seconds, verb.decode_result, asked)

    async def _call_later(self, target: str, verb: Verb, arguments: list[Any]) -> Any:
        payload = encode_call(target, verb, arguments)
        link = self._link
        if link is None or link.is_lost:
            link = await self._calling()
        try:
            await link.drain(self.call_seconds)
        except TimeoutError:
            raise Unreachable(f"{self.address} takes nothing more") from None
        return await self._ask(link, target, verb, payload)

    async def borrow(self) -> Link:
        """A connection for one stream; `give_back` where it ended well, else close it."""
        while self._idle:
            link = self._idle.pop()
            if not link.is_lost:
                return link
        if self._is_hopeless():
            raise Unreachable(self._broken)
        return await self._connect()

    def give_back(self, link: Link) -> None:
        link.stream = None
        link.go_on()
        if link.is_lost:
            return
        if len(self._idle) >= IDLE_STREAMS or self._is_closed:
            link.close()
        else:
            self._idle.append(link)

    async def stream_out(self, target: str, verb: Verb, arguments: list[Any]) -> AsyncIterator[Any]:
        """Values as they come; the server waits where they are not taken."""
        payload = encode_call(target, verb, arguments)
        link = await self.borrow()
        stream = link.stream = StreamOut(link, link.next_number())
        link.send(Kind.CALL, stream.request, payload)
        try:
            while (values := await stream.next()) is not None:
                for value in values:
                    yield value if verb.of_bytes else verb.decode_result(value)
        except Unreachable as error:
            raise Unreachable(f"{self.address}/{target}: {error}") from None
        finally:
            if stream.is_over:
                self.give_back(link)
            else:
                link.fail("the reader left")

    async def feed(self, target: str, verb: Verb, arguments: list[Any], chunks: AsyncIterator[bytes]) -> Any:
        """A call with a stream as its last argument."""
        async with whole_or_nothing(StreamIn(self, target, verb, arguments)) as stream:
            async for chunk in chunks:
                await stream.write(chunk)
            return await stream.finish()


def _failed(why: str) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(Unreachable(why))
    return future
