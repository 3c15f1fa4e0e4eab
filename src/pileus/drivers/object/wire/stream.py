"""Streams, from the client's end: each has a connection of its own as long as it lasts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pileus.drivers.object.wire.connection import ProtocolError
from pileus.drivers.object.wire.errors import Unreachable, decode_error
from pileus.drivers.object.wire.frame import Kind
from pileus.drivers.object.wire.interface import Verb, encode, encode_call
from pileus.drivers.object.wire.link import Link
from pileus.services.object_store.driver import DeviceError

if TYPE_CHECKING:
    from pileus.drivers.object.wire.client import Peer

STREAM_SECONDS = 60.0
"""For the next piece of a stream."""
QUEUED_BYTES = 2 * 1024 * 1024
"""Of a stream out that its reader has not taken yet."""


class StreamOut:
    """What came of a stream and is not taken yet."""

    def __init__(self, link: Link, request: int) -> None:
        self.request = request
        self.is_over = False
        """It ended, by an error perhaps, and the connection is as before."""
        self._link = link
        self._values: list[bytes] = []
        self._bytes = 0
        self._error: Exception | None = None
        self._wake: asyncio.Future[None] | None = None

    def data(self, chunk: bytes) -> None:
        self._values.append(chunk)
        self._bytes += len(chunk)
        if self._bytes >= QUEUED_BYTES:
            self._link.hold()
        self._awake()

    def frame(self, kind: int, payload: bytes) -> None:
        if kind == Kind.ITEM:
            self.data(payload)
            return
        if kind == Kind.ERROR:
            self._error = decode_error(payload)
        elif kind != Kind.END:
            raise ProtocolError(f"a frame of kind {kind}")
        self.is_over = True
        self._awake()

    def fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._awake()

    def _awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def next(self) -> list[bytes] | None:
        """None at the end. Raises what went wrong, once all before it is taken."""
        if not (self._values or self.is_over or self._error):
            self._wake = self._link.loop.create_future()
            try:
                await asyncio.wait_for(self._wake, STREAM_SECONDS)
            except TimeoutError:
                raise Unreachable("nothing more comes") from None
        if self._values:
            values, self._values, self._bytes = self._values, [], 0
            self._link.go_on()
            return values
        if self._error is not None:
            raise self._error
        return None


class StreamIn:
    """A stream on its way to a server: `write`, then `finish` or `abort`."""

    def __init__(self, peer: Peer, target: str, verb: Verb, arguments: list[Any]) -> None:
        self._peer, self._verb = peer, verb
        self._payload = encode_call(target, verb, arguments)
        self._link: Link | None = None
        self._asked = f"{peer.address}/{target}"
        self._answer: asyncio.Future[Any]
        self._request = 0

    async def _begin(self) -> Link:
        if self._link is None:
            self._link = await self._peer.borrow()
            self._request = self._link.next_number()
            self._answer = self._link.ask(
                Kind.CALL, self._request, self._payload, float("inf"), self._verb.decode_result, self._asked
            )
        return self._link

    async def write(self, chunk: bytes | memoryview) -> None:
        """Returns when more may come. Raises what the server said meanwhile."""
        link = await self._begin()
        if self._answer.done():
            await self._outcome(0)
            raise DeviceError(f"{self._asked}: it answered before the end")
        link.send_data(self._request, chunk)
        if link.is_clogged:
            try:
                await link.drain(STREAM_SECONDS)
            except TimeoutError:
                link.fail("it takes nothing more")

    async def finish(self, *values: Any, **named: Any) -> Any:
        link = await self._begin()
        finish = self._verb.finish
        arguments = encode(finish.bind(*values, **named)) if finish is not None else b""
        link.send(Kind.FINISH, self._request, arguments)
        return await self._outcome(STREAM_SECONDS)

    async def _outcome(self, seconds: float) -> Any:
        """The answer; the connection is free again, or gone."""
        link = self._link
        assert link is not None
        try:
            answer = await asyncio.wait_for(asyncio.shield(self._answer), seconds)
        except TimeoutError:
            link.fail("it took too long")
            raise Unreachable(f"{self._asked}: it took too long") from None
        except asyncio.CancelledError:
            link.fail("the writer left")
            raise
        except Exception:
            self._let_go()
            raise
        self._let_go()
        return answer

    def _let_go(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            self._peer.give_back(link)

    async def abort(self) -> None:
        """Nothing is left of what was written, when this returns and the server can be reached."""
        link = self._link
        if link is None or link.is_lost or self._answer.done():
            self._let_go()
            return
        if link.is_clogged:
            link.fail("the writer left")
            self._let_go()
            return
        link.send(Kind.ABORT, self._request, b"")
        try:
            await self._outcome(STREAM_SECONDS)
        except DeviceError:
            self._let_go()
