"""One request and its answer, as ASGI's `receive` and `send`.

Beyond ASGI's core it knows three extensions: `http.response.zerocopysend`, ASGI's own, by which a file's bytes go out
without passing through this process; `pileus.body`, by which a body's bytes come into the application's memory; and
`pileus.answer`, by which a whole answer is given with one call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import structlog

from pileus.kernel.http.head import BadAnswer, Request, answer_head, header_lines, header_lines_of
from pileus.kernel.http.sending import send_file

if TYPE_CHECKING:
    from pileus.kernel.http.connection import Connection

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
"""An ASGI application; its first argument is the scope."""

log = structlog.get_logger("pileus.http")
AHEAD_BYTES = 512 * 1024
"""So much of a body is taken before the application asks for it."""
_TOGETHER_BYTES = 64 * 1024
"""Up to here head and body are put together, which costs less than a second write."""
_EVENTS = b"text/event-stream"
_NO_BODY = frozenset({204, 304})


class Disconnected(OSError):
    """The client closed the connection before it had the whole answer."""


class Exchange:
    __slots__ = (
        "_ahead",
        "_chunks",
        "_connection",
        "_expects",
        "_is_bodiless",
        "_is_chunked",
        "_is_delivered",
        "_left",
        "_length",
        "_lines",
        "_promised",
        "_request",
        "_status",
        "_waiter",
        "has_begun",
        "has_ended",
        "is_complete",
        "is_endless",
        "is_gone",
        "keep_alive",
        "target",
    )

    def __init__(self, connection: Connection, request: Request) -> None:
        self._connection = connection
        self._request = request
        self._left = request.length
        """Bytes of the body to come, where its length is known."""
        self._expects = request.expects_continue and request.version == "1.1"
        self._chunks: list[bytes] = []
        self._ahead = 0
        """Bytes in `_chunks`."""
        self.is_complete = not request.is_chunked and not request.length
        """Whether all of the body has come."""
        self._is_delivered = False
        """Whether the application has got all of it."""
        self.target: memoryview | None = None
        """Where the body's next bytes go at once."""
        self._waiter: asyncio.Future[None] | None = None
        """Of who waits for what comes."""
        self.is_gone = False
        """Whether the client is, or has its answer."""
        self._status = 0
        self._lines = b""
        self._length: str | bytes | None = None
        """What the answer's headers say of its length."""
        self._promised: int | None = None
        """Bytes of the answer to be sent still, where its length was said."""
        self._is_chunked = self._is_bodiless = False
        self.has_begun = self.has_ended = False
        """The answer."""
        self.is_endless = False
        """Whether the answer goes on for as long as the client listens."""
        self.keep_alive = request.keep_alive

    async def run(self, app: App) -> None:
        request, connection = self._request, self._connection
        scope = request.scope(connection.client, connection.server)
        scope["extensions"] = {
            "http.response.zerocopysend": {},
            "pileus.body": self.read_into,
            "pileus.answer": self.answer,
        }
        if self._expects and not (request.is_chunked or request.length or self.is_gone):
            # botocore (boto/botocore#3755) takes the status of an answer that came without it for the next one's, too.
            self._continue()
        try:
            await app(scope, self.receive, self.send)
        except Disconnected:
            pass
        except Exception:
            log.exception("request failed", method=request.method, path=scope["path"])
        finally:
            connection.ran(self)
        if not self.has_ended and not self.is_gone:
            # Nobody may take a part of an answer for the whole.
            connection.abort() if self.has_begun else connection.refuse(500, "The cloud made a mistake.")

    async def receive(self) -> Message:
        if not self._is_delivered:
            if not self._chunks and not self.is_complete:
                await self._more()
            if self._chunks or self.is_complete:
                chunks, self._chunks, self._ahead = self._chunks, [], 0
                self._is_delivered = self.is_complete
                body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                return {"type": "http.request", "body": body, "more_body": not self.is_complete}
        else:
            await self._more()
        return {"type": "http.disconnect"}

    async def read_into(self, view: memoryview) -> int:
        """Fills `view`, of bytes, with the body's next; fewer only at its end. Raises Disconnected."""
        filled = 0
        while filled < len(view) and (self._chunks or not self.is_complete):
            if self._chunks:
                chunk = self._chunks.pop(0)
                part = chunk[: len(view) - filled]
                view[filled : filled + len(part)] = part
                filled += len(part)
                self._ahead -= len(part)
                if len(part) < len(chunk):
                    self._chunks.insert(0, chunk[len(part) :])
            elif self._request.is_chunked:
                await self._more()
            else:
                self.target = view[filled : filled + self._left]
                filled += len(self.target)
                try:
                    await self._more()
                finally:
                    self.target = None
            if self.is_gone and not self._chunks and not self.is_complete:
                raise Disconnected("the client closed the connection in the midst of the body")
        return filled

    async def _more(self) -> None:
        """Returns when something came, the target is full, or nothing more comes."""
        if self.is_gone:
            return
        if self._expects and not self.has_begun:
            self._continue()
        self._connection.heard = self._connection.loop.time()
        self._connection.go_on()
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _continue(self) -> None:
        self._expects = False
        self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def is_waiting(self) -> bool:
        """Whether the application can't go on before more of the body comes."""
        return self._waiter is not None and not self.is_complete

    def feed(self, data: bytes) -> bytes:
        """Takes what came of the body; returns what is not of it. Raises BadHead."""
        rest = b""
        if self._request.is_chunked:
            chunks = self._request.feed_chunks(data)
            self.is_complete = self._request.is_whole
            if self._request.is_beyond:
                self.keep_alive = False
        else:
            chunks = [data]
            if len(data) > self._left:
                chunks, rest = [data[: self._left]], data[self._left :]
            self._left -= len(data) - len(rest)
            self.is_complete = not self._left
        if not self.has_ended:
            self._chunks += chunks
            self._ahead += sum(map(len, chunks))
            if self._ahead > AHEAD_BYTES:
                self._connection.hold()
        if chunks or self.is_complete:
            # Half a chunk's first line is nothing that anybody waits for.
            self.wake()
        return rest

    def landed(self, size: int) -> None:
        """So many bytes came to the target."""
        assert self.target is not None
        self._left -= size
        self.target = self.target[size:]
        if not self.target:
            self.target = None
            self.is_complete = not self._left
            if self._left:
                # The next target takes them without a copy.
                self._connection.hold()
            self.wake()

    def disconnect(self) -> None:
        self.is_gone = True
        self.wake()

    async def send(self, message: Message) -> None:
        if self.is_gone:
            raise Disconnected("the client closed the connection")
        kind = message["type"]
        if kind == "http.response.start":
            headers = dict(message["headers"])
            self._status, self._lines = message["status"], header_lines(message["headers"])
            self._length = headers.get(b"content-length")
            self.is_endless = headers.get(b"content-type") == _EVENTS
            return
        more = message.get("more_body", False)
        if kind == "http.response.body":
            self._send_body(message.get("body", b""), more)
        else:
            await self._send_file(message["file"], message["offset"], message["count"])
        if not more:
            self._end()
        elif self._connection.is_clogged:
            await self._connection.drained()
            if self.is_gone:
                raise Disconnected("the client closed the connection")

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """All of an answer; header names in lower case. Raises Disconnected."""
        if self.is_gone:
            raise Disconnected("the client closed the connection")
        self._status, self._lines = status, header_lines_of(headers)
        self._length = headers.get("content-length")
        self._send_body(body, more=False)
        self._end()

    def _send_body(self, body: bytes | memoryview, more: bool) -> None:
        size = len(body)
        write = self._connection.transport.write
        head = b"" if self.has_begun else self._head(None if more else size)
        if self._is_bodiless:
            body, size = b"", 0
        elif self._promised is not None:
            self._promised -= size
            if self._promised < 0:
                raise BadAnswer("an answer is longer than it said")
        if self._is_chunked and size:
            head += b"%x\r\n" % size
        self.has_begun = True
        if size <= _TOGETHER_BYTES:
            if head or size:
                write(head + body if size else head)
        else:
            if head:
                write(head)
            write(body)
        if self._is_chunked:
            if size:
                write(b"\r\n" if more else b"\r\n0\r\n\r\n")
            elif not more:
                write(b"0\r\n\r\n")

    async def _send_file(self, file: int, offset: int, count: int) -> None:
        connection = self._connection
        with connection.unbuffered():
            if not self.has_begun:
                connection.transport.write(self._head(None))
                self.has_begun = True
            if self._is_bodiless:
                return
            if self._promised is None or count > self._promised:
                raise BadAnswer("a file is sent in an answer of known length")
            self._promised -= count
            await send_file(connection, file, offset, count)
        if self.is_gone:
            raise Disconnected("the client closed the connection")

    def _head(self, size: int | None) -> bytes:
        """`size` is that of the whole body, where it is known by now."""
        status = self._status
        assert status, "an answer begins with its status"
        more = []
        length = None if self._length is None else int(self._length)
        self._is_bodiless = self._request.method == "HEAD" or status in _NO_BODY
        if not self._is_bodiless:
            self._promised = length if length is not None else size
            if length is None and size is not None:
                more.append(b"content-length: %d" % size)
            elif length is None and self._request.version == "1.1":
                self._is_chunked = True
                more.append(b"transfer-encoding: chunked")
            elif length is None:
                self.keep_alive = False
        self.keep_alive = self.keep_alive and self.is_complete and not self._connection.is_ending
        if not self.keep_alive:
            more.append(b"connection: close")
        elif self._request.version == "1.0":
            more.append(b"connection: keep-alive")
        return answer_head(status, self._lines, *more)

    def _end(self) -> None:
        if self._promised:
            raise BadAnswer("an answer is shorter than it said")
        self.has_ended = True
        self._chunks.clear()
        # Whatever the application asks for or sends from now on, there is nobody for it.
        self.disconnect()
        self._connection.ended()
