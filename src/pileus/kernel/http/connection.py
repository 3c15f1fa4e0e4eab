"""A client's connection: requests come one after the other, and each is answered before the next is looked at."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from pileus.kernel.http.exchange import Exchange
from pileus.kernel.http.head import MAX_HEAD_BYTES, BadHead, Request, answer_head, header_lines_of
from pileus.kernel.write_flow import WriteFlow

if TYPE_CHECKING:
    from pileus.kernel.http.server import Connections

HIGH_WATER = 1024 * 1024
"""Bytes that may wait to be sent before an application has to wait."""
_EARLY_BYTES = 64 * 1024
"""What may come of the next request before the one before is answered."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket whose end is a reset (socket(7))."""


class Connection(WriteFlow, asyncio.BufferedProtocol):
    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.loop = connections.loop
        self.transport: asyncio.Transport
        self.client: Any = None
        self.server: Any = None
        self._head = b""
        """What has come of the next request."""
        self._searched = 0
        """So far there is no end of the head in it."""
        self._exchange: Exchange | None = None
        self._is_held = False
        self.is_lost = False
        self._lingers = False
        """Whether all is said, and what comes is thrown away until the client has noticed."""
        self._since = self.heard = self.loop.time()
        """When this state began: idle, a head that comes, lingering."""
        self.sent = 0
        """Bytes past the transport's buffer."""
        self._progress = (0, 0, 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none by its class.
        self.transport = transport = cast(asyncio.Transport, transport)
        try:
            peer, own = (transport.get_extra_info(name) for name in ("peername", "sockname"))
        except OSError:
            peer = own = None
        if not peer or not own:
            # It was reset before anybody looked, and has no address any more.
            self.is_lost = True
            transport.abort()
            return
        self.client, self.server = peer[:2], own[:2]
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        self._connections.discard(self)
        if self._exchange is not None:
            self._exchange.disconnect()
        self.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._exchange is not None and self._exchange.target is not None:
            return self._exchange.target
        return self._connections.scratch

    def buffer_updated(self, size: int) -> None:
        self.heard = self.loop.time()
        if self._exchange is not None and self._exchange.target is not None:
            self._exchange.landed(size)
        elif not self._lingers:
            self._take(bytes(self._connections.scratch[:size]))

    def _take(self, data: bytes) -> None:
        try:
            exchange = self._exchange
            if exchange is not None and not exchange.is_complete:
                data = exchange.feed(data)
            if data:
                self._head = self._head + data if self._head else data
            if self._exchange is None:
                self._next()
            elif len(self._head) > _EARLY_BYTES:
                self.hold()
        except BadHead as error:
            self.refuse(error.status, str(error))

    def _next(self) -> None:
        """Begins with the next request, where its head is there. Raises BadHead."""
        data = self._head
        if not self._searched:
            data = data.lstrip(b"\r\n")  # RFC 9112, 2.2
            if data:
                self._since = self.heard
        end = data.find(b"\r\n\r\n", max(0, self._searched - 3))
        if (end if end >= 0 else len(data)) > MAX_HEAD_BYTES:
            raise BadHead(f"a request's head has at most {MAX_HEAD_BYTES} bytes", 431)
        if end < 0:
            self._head, self._searched = data, len(data)
            return
        end += 4
        self._head, self._searched = b"", 0
        request = Request()
        request.feed_head(data[:end] if len(data) > end else data)
        exchange = self._exchange = Exchange(self, request)
        if len(data) > end:
            rest = data[end:]
            self._head = rest if exchange.is_complete else exchange.feed(rest)
        self._connections.run(exchange)

    def ended(self) -> None:
        """The exchange's answer is on its way."""
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        self._since = self.loop.time()
        if self.is_lost:
            return
        if not exchange.keep_alive or self.is_ending:
            self._close(at_once=exchange.is_complete)
            return
        self.go_on()
        if self._head:
            self._take(b"")

    def ran(self, exchange: Exchange) -> None:
        """The application has returned from it."""
        self._connections.running.pop(exchange, None)

    def refuse(self, status: int, message: str) -> None:
        """Answers what can't go to the application, and ends the connection."""
        if self._exchange is not None:
            exchange, self._exchange = self._exchange, None
            exchange.disconnect()
            if exchange.has_begun:
                self.abort()
                return
        body = f"{message}\n".encode()
        headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
        if not self.is_lost:
            self.transport.write(answer_head(status, header_lines_of(headers), b"connection: close") + body)
            self._close(at_once=False)

    def _close(self, *, at_once: bool) -> None:
        """After what is to be sent. To close what a client is still sending to would take the answer from it."""
        self._head = b""
        if at_once:
            self.transport.close()
        else:
            self._lingers = True
            self._since = self.loop.time()
            self.transport.write_eof()
            self.go_on()

    def abort(self) -> None:
        """In the midst of an answer by a reset: of one that goes on until the end nothing else tells that it broke off."""
        if self.is_lost:
            return
        if self._exchange is not None:
            if self._exchange.has_begun:
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._exchange.disconnect()
        self.transport.abort()

    @property
    def is_ending(self) -> bool:
        return self._connections.is_ending

    def end_if_idle(self) -> None:
        if self._exchange is None and not self.is_lost:
            self.transport.close()

    def expire(self, now: float) -> None:
        """Ends what takes too long."""
        limits, exchange = self._connections.limits, self._exchange
        unsent = self.transport.get_write_buffer_size()
        if unsent or self.is_clogged:
            # Also what was answered long ago: an application that sends all at once has not to wait for it.
            # The kernel takes more only when a good part of its megabytes is gone, which takes a slow reader minutes.
            progress = (self.sent, unsent, self._unacknowledged())
            if self._progress != progress:
                self._progress = progress
                self._since = now
            late = now - self._since > limits.stall_seconds
        elif self._lingers:
            late = now - self._since > limits.linger_seconds
        elif exchange is None and self._head:
            late = now - self._since > limits.head_seconds
        elif exchange is None:
            late = now - self._since > limits.idle_seconds
        else:
            late = exchange.is_waiting and now - self.heard > limits.stall_seconds
        if late:
            self.abort()

    def _unacknowledged(self) -> int:
        """Bytes that the kernel keeps for the client (tcp(7), SIOCOUTQ)."""
        descriptor = self.transport.get_extra_info("socket").fileno()
        return int.from_bytes(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def hold(self) -> None:
        """Takes nothing more from the client until `go_on`."""
        if not self._is_held and not self.is_lost:
            self._is_held = True
            self.transport.pause_reading()

    def go_on(self) -> None:
        if self._is_held and not self.is_lost:
            self._is_held = False
            self.transport.resume_reading()

    async def writable(self) -> None:
        """Returns at the next `resume_writing`."""
        self.pause_writing()
        await self.drained()

    @contextmanager
    def unbuffered(self) -> Iterator[None]:
        """What is written within is sent at once, and `drained` waits until all of it was."""
        self.transport.set_write_buffer_limits(high=0)
        try:
            yield
        finally:
            if not self.is_lost:
                self.transport.set_write_buffer_limits(high=HIGH_WATER)
