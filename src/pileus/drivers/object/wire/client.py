"""The client's end: one server, reached over one connection for calls and one more for each stream.

Calls of all share a connection, so that what is asked in one turn of the loop goes out with one system call. A stream has
one of its own as long as it lasts: who reads slowly stops the sender by TCP's own means, and nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import msgspec

from pileus.drivers.object.wire.connection import Connection, ProtocolError
from pileus.drivers.object.wire.errors import Unreachable, decode_error
from pileus.drivers.object.wire.frame import MAX_FRAME, Kind
from pileus.drivers.object.wire.handshake import Handshake
from pileus.drivers.object.wire.interface import Call, Verb, encode
from pileus.services.object_store.driver import DeviceError

CONNECT_SECONDS = 0.5
CALL_SECONDS = 10.0
SLOW_SECONDS = 600.0
SILENCE_SECONDS = 3.0
"""A server that says nothing at all for so long, while it is asked, is taken for dead."""
LOOK_SECONDS = 0.5
STREAM_SECONDS = 60.0
"""For the next piece of a stream."""
AGAIN_SECONDS, REFUSED_AGAIN_SECONDS = 1.0, 0.05
"""A server that did not answer, or refused, is not waited for: it is tried again so often, and what is asked meanwhile
fails at once."""
QUEUED_BYTES = 2 * 1024 * 1024
"""Of a stream out that its reader has not taken yet."""
IDLE_STREAMS = 8
"""Connections kept for the next stream."""


class _Waiting(NamedTuple):
    future: asyncio.Future[Any]
    deadline: float
    decode: Callable[[bytes], Any]
    asked: str
    """Server and device, for messages."""


class _Link(Connection):
    """One connection to a server."""

    def __init__(self, key: bytes) -> None:
        super().__init__(Handshake(key, server=False))
        self.open: asyncio.Future[None] = self.loop.create_future()
        self.reason = ""
        """Why it was lost."""
        self.was_silent = False
        self._calls: dict[int, _Waiting] = {}
        self._number = 0
        self._looking: asyncio.TimerHandle | None = None
        self._asked = 0.0
        """When something was sent last after silence, so that silence counts from there."""
        self.stream: StreamOut | None = None

    def ready(self) -> None:
        if not self.open.done():
            self.open.set_result(None)

    def lost(self, reason: str) -> None:
        self.reason = reason
        if self._looking is not None:
            self._looking.cancel()
        if not self.open.done():
            self.open.set_exception(Unreachable(reason))
            self.open.exception()  # it may be that nobody waits any more
        calls, self._calls = self._calls, {}
        for waiting in calls.values():
            if not waiting.future.done():
                waiting.future.set_exception(Unreachable(f"{waiting.asked}: {reason}"))
        if self.stream is not None:
            self.stream.fail(Unreachable(reason))

    def ask(
        self,
        kind: Kind,
        request: int,
        payload: bytes,
        seconds: float,
        decode: Callable[[bytes], Any],
        asked: str,
    ) -> asyncio.Future[Any]:
        """Sends a frame; the answer, decoded, or Unreachable after so many seconds."""
        now = self.loop.time()
        future: asyncio.Future[Any] = self.loop.create_future()
        if self.is_lost:
            future.set_exception(Unreachable(f"{asked}: {self.reason}"))
            return future
        if not self._calls:
            self._asked = now
        self._calls[request] = _Waiting(future, now + seconds, decode, asked)
        self.send(kind, request, payload)
        if self._looking is None:
            self._looking = self.loop.call_later(LOOK_SECONDS, self._look)
        return future

    def next_number(self) -> int:
        self._number = self._number % 0xFFFFFFFF + 1
        return self._number

    def _look(self) -> None:
        """From time to time, while answers are waited for: is the server there, and does it take too long?"""
        self._looking = None
        now = self.loop.time()
        for request, waiting in list(self._calls.items()):
            if waiting.future.done():
                del self._calls[request]
            elif now > waiting.deadline:
                del self._calls[request]
                waiting.future.set_exception(Unreachable(f"{waiting.asked}: it took too long"))
        if not self._calls:
            return
        silent = now - max(self.heard, self._asked)
        if silent > SILENCE_SECONDS:
            self.was_silent = True
            self.fail("is silent")
            return
        if silent > LOOK_SECONDS:
            self.send(Kind.PING, 0, b"")
        self._looking = self.loop.call_later(LOOK_SECONDS, self._look)

    def frame(self, kind: int, request: int, payload: bytes) -> None:
        stream = self.stream
        if stream is not None and stream.request == request:
            stream.frame(kind, payload)
            return
        waiting = self._calls.pop(request, None)
        if waiting is None or waiting.future.done():
            return  # nobody waits any more
        if kind == Kind.RESULT:
            try:
                waiting.future.set_result(waiting.decode(payload))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                waiting.future.set_exception(
                    DeviceError(f"{waiting.asked}: the answer can't be read: {error}")
                )
        elif kind == Kind.ERROR:
            waiting.future.set_exception(decode_error(payload))
        else:
            raise ProtocolError(f"a frame of kind {kind}")

    def data(self, request: int, chunk: bytes) -> None:
        if self.stream is not None and self.stream.request == request:
            self.stream.data(chunk)


class Peer:
    """A server of the cluster. Connects when it is first asked, and again when the connection was lost."""

    def __init__(self, host: str, port: int, key: bytes, *, call_seconds: float = CALL_SECONDS) -> None:
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.call_seconds = call_seconds
        self._host, self._port = host, port
        self._key = key
        self._link: _Link | None = None
        self._linking: asyncio.Task[_Link] | None = None
        self._idle: list[_Link] = []
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

    async def _connect(self) -> _Link:
        if self._is_closed:
            raise Unreachable(f"{self.address}: closed")
        loop = asyncio.get_running_loop()
        link = _Link(self._key)
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

    def _link_up(self) -> asyncio.Task[_Link]:
        self._linking = asyncio.create_task(self._connect())
        self._linking.add_done_callback(self._linked)
        return self._linking

    async def _calling(self) -> _Link:
        """The connection for calls; those that find none share the making of one."""
        return await asyncio.shield(self._linking or self._link_up())

    def _linked(self, task: asyncio.Task[_Link]) -> None:
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
        return self._ask(link, target, verb, _call(target, verb, arguments))

    def _ask(self, link: _Link, target: str, verb: Verb, payload: bytes) -> asyncio.Future[Any]:
        seconds = SLOW_SECONDS if verb.is_slow else self.call_seconds
        asked = f"{self.address}/{target}"
        return link.ask(Kind.CALL, link.next_number(), payload, seconds, verb.decode_result, asked)

    async def _call_later(self, target: str, verb: Verb, arguments: list[Any]) -> Any:
        payload = _call(target, verb, arguments)
        link = self._link
        if link is None or link.is_lost:
            link = await self._calling()
        try:
            await link.drain(self.call_seconds)
        except TimeoutError:
            raise Unreachable(f"{self.address} takes nothing more") from None
        return await self._ask(link, target, verb, payload)

    async def borrow(self) -> _Link:
        """A connection for one stream; `give_back` where it ended well, else close it."""
        while self._idle:
            link = self._idle.pop()
            if not link.is_lost:
                return link
        if self._is_hopeless():
            raise Unreachable(self._broken)
        return await self._connect()

    def give_back(self, link: _Link) -> None:
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
        payload = _call(target, verb, arguments)
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
        stream = StreamIn(self, target, verb, arguments)
        try:
            async for chunk in chunks:
                await stream.write(chunk)
            return await stream.finish()
        except BaseException:
            await stream.abort()
            raise


class StreamOut:
    """What came of a stream and is not taken yet."""

    def __init__(self, link: _Link, request: int) -> None:
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
        self._payload = _call(target, verb, arguments)
        self._link: _Link | None = None
        self._asked = f"{peer.address}/{target}"
        self._answer: asyncio.Future[Any]
        self._request = 0

    async def _begin(self) -> _Link:
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


def _failed(why: str) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(Unreachable(why))
    return future


def _call(target: str, verb: Verb, arguments: list[Any]) -> bytes:
    payload = encode(Call(target, verb.name, msgspec.Raw(encode(arguments))))
    if len(payload) > MAX_FRAME:
        raise DeviceError(f"a call of {len(payload)} bytes: at most {MAX_FRAME} go over the wire at once")
    return payload
