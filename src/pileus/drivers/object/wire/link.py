"""One connection to a server, from the client's end: calls that wait for answers, or one stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pileus.drivers.object.lull import lull
from pileus.drivers.object.wire.connection import Connection, ProtocolError
from pileus.drivers.object.wire.errors import Unreachable, decode_error
from pileus.drivers.object.wire.frame import Kind
from pileus.drivers.object.wire.handshake import Handshake
from pileus.services.object_store.driver import DeviceError

if TYPE_CHECKING:
    from pileus.drivers.object.wire.stream import StreamOut

SILENCE_SECONDS = 3.0
"""A server that says nothing at all for so long, while it is asked, is taken for dead."""
LOOK_SECONDS = 0.5
AHEAD_BYTES = 4 * 1024 * 1024
"""A stream may be so far ahead of its connection: while one of several is late, or the next block is, the others go on."""


class _Waiting(NamedTuple):
    future: asyncio.Future[Any]
    deadline: float
    decode: Callable[[bytes], Any]
    asked: str
    """Server and device, for messages."""


class Link(Connection):
    """One connection to a server."""

    high_water = AHEAD_BYTES

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

    def gather(self, send: Callable[[], None]) -> None:
        lull().then(send)

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
