"""One end of a connection: the handshake, frames in, frames out. Server and client derive from it.

What comes is parsed where it lies, and bytes of streams go where they belong, or are handed on, without being gathered.
What is sent within one turn of the event loop, or until the next lull, goes out with one system call.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import cast

from pileus.drivers.object.wire.frame import MAX_FRAME, PREFIX, PREFIX_BYTES, Kind
from pileus.drivers.object.wire.handshake import Handshake, HandshakeError
from pileus.kernel.write_flow import WriteFlow

READ_BYTES = 256 * 1024
"""Read at once, at most."""
HIGH_WATER = 1024 * 1024
"""Bytes that may wait to be sent before senders are asked to wait."""
KEEPALIVE_SECONDS, KEEPALIVE_EVERY, KEEPALIVE_TRIES = 30, 10, 3


class ProtocolError(Exception):
    """The other end does not keep to the protocol; the message says how."""


class Connection(WriteFlow, asyncio.BufferedProtocol):
    high_water = HIGH_WATER

    def __init__(self, handshake: Handshake) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.heard = self.loop.time()
        """When something came last."""
        self._handshake: Handshake | None = handshake
        self._pending = bytearray()
        """The beginning of a frame, or what is not to be looked at yet."""
        self._needed = 0
        """Bytes of `_pending` that make it worth looking at."""
        self._data_left = 0
        """Bytes to come of a DATA frame."""
        self._data_request = 0
        self._buffer = memoryview(bytearray(READ_BYTES))
        """What comes, unless it has a place of its own."""
        self._has_place = False
        self.is_held = False
        self._out: list[bytes] = []
        self.is_lost = False

    def gather(self, send: Callable[[], None]) -> None:
        """Calls `send` when what is to go with it has come: at the end of this turn of the loop."""
        self.loop.call_soon(send)

    def ready(self) -> None:
        """The other end has the key."""
        raise NotImplementedError

    def frame(self, kind: int, request: int, payload: bytes) -> None:
        """A whole frame came. Whatever it raises closes the connection."""
        raise NotImplementedError

    def data(self, request: int, chunk: bytes) -> None:
        """Bytes of a stream came."""
        raise NotImplementedError

    def lost(self, reason: str) -> None:
        """Nothing more comes or goes. Called once."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none by its class.
        self.transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(high=self.high_water)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_EVERY)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_TRIES)
        assert self._handshake is not None
        transport.write(self._handshake.begin())

    def connection_lost(self, error: Exception | None) -> None:
        self._ended(str(error) if error else "it closed the connection")

    def fail(self, reason: str) -> None:
        """Ends the connection at once."""
        self._ended(reason)
        self.transport.abort()

    def _ended(self, reason: str) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self._pending.clear()
        self.resume_writing()
        self.lost(reason)

    def place(self, request: int, length: int) -> memoryview | None:
        """Where the next bytes of a stream may go at once, `length` of them at most; None where they may not."""
        return None

    def placed(self, request: int, length: int, *, is_end: bool) -> None:
        """So many bytes went there; `is_end`: no more come of this frame."""

    def expects_stream(self) -> bool:
        """Whether what comes next is the bytes of a stream, which are not to be copied."""
        return False

    def get_buffer(self, sizehint: int) -> memoryview:
        self._has_place = False
        if self._pending and len(self._pending) >= self._needed:
            return self._buffer
        if self._data_left:
            place = self.place(self._data_request, self._data_left)
            if place is not None:
                self._has_place = True
                return place
        elif self.expects_stream():
            # Nothing of what is behind the next frame's prefix, which may have a place of its own.
            return self._buffer[: max(self._needed, PREFIX_BYTES) - len(self._pending)]
        return self._buffer

    def buffer_updated(self, length: int) -> None:
        if not self._has_place:
            self._received(bytes(self._buffer[:length]))
            return
        self.heard = self.loop.time()
        self._data_left -= length
        self.placed(self._data_request, length, is_end=not self._data_left)

    def _received(self, data: bytes) -> None:
        self.heard = self.loop.time()
        try:
            if self._handshake is not None:
                data = self._shake(self._handshake, data)
            if self._pending:
                self._pending += data
                if len(self._pending) < self._needed or self.is_held:
                    return
                data = bytes(self._pending)
                self._pending.clear()
                self._needed = 0
            self._parse(data)
        except (ProtocolError, HandshakeError) as error:
            self.fail(str(error))

    def _shake(self, handshake: Handshake, data: bytes) -> bytes:
        answer, rest = handshake.feed(data)
        if answer:
            self.transport.write(answer)
        if handshake.done:
            self._handshake = None
            self.ready()
        return rest

    def _parse(self, data: bytes) -> None:
        at, end = 0, len(data)
        while at < end and not self.is_lost:
            needed = 0
            if self.is_held:
                break
            if self._data_left:
                part = data[at : at + self._data_left] if at or end > self._data_left else data
                at += len(part)
                self._data_left -= len(part)
                self.data(self._data_request, part)
                continue
            needed = PREFIX_BYTES
            if end - at < needed:
                break
            length, request, kind = PREFIX.unpack_from(data, at)
            if length > MAX_FRAME:
                raise ProtocolError(f"a frame of {length} bytes: at most {MAX_FRAME} are allowed")
            if kind == Kind.DATA:
                self._data_left, self._data_request = length, request
                at += PREFIX_BYTES
                continue
            needed += length
            if end - at < needed:
                break
            payload = data[at + PREFIX_BYTES : at + needed]
            at += needed
            if kind == Kind.PING:
                self.send(Kind.PONG, request, b"")
            elif kind != Kind.PONG:
                self.frame(kind, request, payload)
        if at < end and not self.is_lost:
            self._pending += data[at:] if at else data
            self._needed = needed

    def hold(self) -> None:
        """Takes nothing more from the other end, which has to wait, until `go_on`."""
        if not self.is_held:
            self.is_held = True
            self.transport.pause_reading()

    def go_on(self) -> None:
        if not self.is_held or self.is_lost:
            return
        self.is_held = False
        self.transport.resume_reading()
        if self._pending:
            # Not from here: whoever calls may be in the midst of something.
            self.loop.call_soon(self._look_again)

    def _look_again(self) -> None:
        if not self.is_lost and not self.is_held and self._pending:
            heard = self.heard
            self._received(b"")
            self.heard = heard

    def send(self, kind: Kind, request: int, payload: bytes) -> None:
        """A little later, together with all else."""
        if self.is_lost:
            return
        if not self._out:
            self.gather(self._flush)
        self._out += (PREFIX.pack(len(payload), request, kind), payload)

    def send_data(self, request: int, chunk: bytes | memoryview) -> None:
        """Bytes of a stream; `drain` before the next."""
        self._flush()
        for start in range(0, len(chunk), MAX_FRAME):
            part = chunk[start : start + MAX_FRAME] if len(chunk) > MAX_FRAME else chunk
            if not self.is_lost:
                self.transport.write(PREFIX.pack(len(part), request, Kind.DATA))
                self.transport.write(part)

    def _flush(self) -> None:
        if self._out and not self.is_lost:
            self.transport.write(b"".join(self._out))
        self._out.clear()

    async def drain(self, seconds: float) -> None:
        """Returns when more may be sent; raises TimeoutError where the other end does not take it."""
        if self.is_clogged:
            await asyncio.wait_for(self.drained(), seconds)

    def close(self) -> None:
        """After what is to be sent has been sent."""
        self._flush()
        with contextlib.suppress(AttributeError):  # not connected yet
            self.transport.close()
