"""The server's end: devices of this host, each under its name, asked by whoever has the cluster's key."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec
import structlog

from pileus.drivers.object.wire.connection import Connection, ProtocolError
from pileus.drivers.object.wire.errors import Misunderstood, encode_error
from pileus.drivers.object.wire.fetching import FETCH_SECONDS, Fetch, Fetching
from pileus.drivers.object.wire.frame import MAX_FRAME, Kind
from pileus.drivers.object.wire.handshake import Handshake
from pileus.drivers.object.wire.incoming import STALL_SECONDS, Incoming
from pileus.drivers.object.wire.interface import Call, Interface, Shape, Verb, encode
from pileus.services.object_store.driver import DeviceError

log = structlog.get_logger("pileus.object_store")
STRANGERS = 64
"""Connections that have not shown the key yet; more are closed at once."""
CONNECTIONS = 1024
HANDSHAKE_SECONDS = 5.0
CALLS = 128
"""Calls of one connection that are worked on at a time."""
CALL_BYTES = 16 * 1024 * 1024
"""What they may hold of arguments; more is not read meanwhile."""
STREAM_BYTES = 2 * 1024 * 1024
"""Bytes of a stream in that may wait for the disk."""
REFUSED_SECONDS = 1.0
_decode_call = msgspec.msgpack.Decoder(Call).decode


class Served(NamedTuple):
    verbs: Interface
    thing: Any


class WireServer:
    """`serve` what there is, `start` listening, `close`."""

    def __init__(self, key: bytes, fetch: Fetch | None = None) -> None:
        """`fetch` is called with the name of what is asked for and not served, so that it may be by then."""
        self._key = key
        self._fetching = None if fetch is None else Fetching(fetch)
        self._served: dict[str, Served] = {}
        self._server: asyncio.Server | None = None
        self.strangers: set[_Peer] = set()
        self.peers: set[_Peer] = set()
        self.calls = 0
        """Answered since the start."""
        self._silent_until = 0.0

    def serve(self, target: str, verbs: Interface, thing: Any) -> None:
        """Those verbs may be asked of `thing` under the name `target`."""
        self._served[target] = Served(verbs, thing)

    def withdraw(self, target: str) -> None:
        """It is not served any more."""
        self._served.pop(target, None)

    def fetching(self, target: str) -> asyncio.Task[None] | None:
        """What may make it be served, and is worth waiting for; None where it is served, or can't be."""
        return None if target in self._served or self._fetching is None else self._fetching.of(target)

    @property
    def targets(self) -> list[str]:
        return list(self._served)

    async def start(self, host: str, port: int) -> None:
        """Raises OSError where nothing can listen there."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Peer(self, self._key), host, port, backlog=256)

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self, grace_seconds: float = 5.0) -> None:
        """Takes no more calls; answers those under way."""
        if self._server is None:
            return
        self._server.close()
        if self._fetching is not None:
            await self._fetching.close()
        working = [task for peer in self.peers for task in peer.finish()]
        if working:
            await asyncio.wait(working, timeout=grace_seconds)
        for peer in (*self.peers, *self.strangers):
            peer.close()
        self._server = None

    def refused(self, peer: str, reason: str) -> None:
        """Told to the log, though not so often that it could be flooded."""
        now = asyncio.get_running_loop().time()
        if now >= self._silent_until:
            log.warning("a connection is refused", peer=peer, reason=reason)
            self._silent_until = now + REFUSED_SECONDS

    def find(self, call: Call) -> tuple[Verb, Any]:
        """Raises Misunderstood."""
        served = self._served.get(call.target)
        if served is None:
            raise Misunderstood(f"there is no device {call.target!r} on this server")
        verb = served.verbs.get(call.verb)
        if verb is None:
            raise Misunderstood(f"{call.target} has no verb {call.verb!r}")
        return verb, served.thing


class _Peer(Connection):
    def __init__(self, server: WireServer, key: bytes) -> None:
        super().__init__(Handshake(key, server=True))
        self._server = server
        self._tasks: dict[int, asyncio.Future[Any]] = {}
        self._call_bytes = 0
        self._streams: dict[int, Incoming] = {}
        self._is_finishing = False
        self._waits = False
        """For what it asked for to be served."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._server.strangers) >= STRANGERS or len(self._server.peers) >= CONNECTIONS:
            self.fail("too many connections")
            return
        self._server.strangers.add(self)
        self._limit = self.loop.call_later(HANDSHAKE_SECONDS, self.fail, "it did not show the key in time")

    def ready(self) -> None:
        self._limit.cancel()
        self._server.strangers.discard(self)
        self._server.peers.add(self)

    def lost(self, reason: str) -> None:
        if self in self._server.strangers:
            self._server.refused(_name(self.transport), reason)
            self._limit.cancel()
        self._server.strangers.discard(self)
        self._server.peers.discard(self)
        for stream in self._streams.values():
            stream.cut()

    def finish(self) -> list[asyncio.Future[Any]]:
        """Takes no more; what is under way."""
        self._is_finishing = True
        for stream in self._streams.values():
            stream.cut()
        return list(self._tasks.values())

    def pause_writing(self) -> None:
        super().pause_writing()
        self.hold()  # who does not take answers may not ask more

    def resume_writing(self) -> None:
        super().resume_writing()
        self.balance()

    def balance(self) -> None:
        """Reads on where it was held and there is room again."""
        if not self.is_held:
            return
        full = (
            self._waits
            or len(self._tasks) >= CALLS
            or self._call_bytes >= CALL_BYTES
            or self.is_clogged
            or any(stream.waiting_bytes >= STREAM_BYTES for stream in self._streams.values())
        )
        if not full:
            self.go_on()

    def data(self, request: int, chunk: bytes) -> None:
        stream = self._streams.get(request)
        if stream is not None:  # else it has failed, which the other end will hear of
            stream.come(chunk, is_end=not self._data_left)
            if stream.waiting_bytes >= STREAM_BYTES:
                self.hold()

    def expects_stream(self) -> bool:
        return bool(self._streams)

    def place(self, request: int, length: int) -> memoryview | None:
        stream = self._streams.get(request)
        return None if stream is None else stream.place(length)

    def placed(self, request: int, length: int, *, is_end: bool) -> None:
        stream = self._streams.get(request)
        if stream is not None:
            stream.placed(length, is_end=is_end)
            if stream.waiting_bytes >= STREAM_BYTES:
                self.hold()

    def frame(self, kind: int, request: int, payload: bytes) -> None:
        if kind == Kind.CALL:
            self._called(request, payload)
        elif kind in (Kind.FINISH, Kind.ABORT):
            stream = self._streams.get(request)
            if stream is not None:
                stream.end(payload if kind == Kind.FINISH else None)
        else:
            raise ProtocolError(f"a frame of kind {kind}")

    def _called(self, request: int, payload: bytes) -> None:
        if request in self._tasks:
            raise ProtocolError(f"request {request} is under way already")
        try:
            call = _decode_call(payload)
            if (fetching := self._server.fetching(call.target)) is not None:
                self._wait(fetching, request, payload)
                return
            verb, thing = self._server.find(call)
            arguments = verb.decode_arguments(call.arguments)
        except (msgspec.DecodeError, UnicodeDecodeError, Misunderstood) as error:
            self._refuse(request, error)
            return
        if self._is_finishing:
            self._refuse(request, DeviceError("the server is ending"))
            return
        method = getattr(thing, verb.name)
        if verb.shape is Shape.CALL:
            self._ask(request, verb, method, arguments, len(payload))
            return
        if verb.shape is Shape.OUT:
            work = self._stream_out(request, verb, method, arguments)
        elif self._streams:
            raise ProtocolError("one stream in at a time")
        else:
            stream = self._streams[request] = Incoming(verb, self.balance)
            take = self._feed if verb.shape is Shape.FED else self._stream_in
            work = take(request, stream, method, arguments)
        self._begin(request, self.loop.create_task(work), len(payload), self._done)

    def _wait(self, fetching: asyncio.Task[None], request: int, payload: bytes) -> None:
        """Nothing more is read meanwhile, so that a stream stays behind its call."""
        self._waits = waits = True
        self.hold()

        def go_on() -> None:
            nonlocal waits
            if waits and not self.is_lost:
                self._waits = waits = False
                try:
                    self._called(request, payload)
                except ProtocolError as error:
                    self.fail(str(error))
                self.balance()

        fetching.add_done_callback(lambda _: go_on())
        self.loop.call_later(FETCH_SECONDS, go_on)

    def _ask(
        self, request: int, verb: Verb, method: Callable[..., Awaitable[Any]], arguments: Any, size: int
    ) -> None:
        try:
            asked = verb.call(method, arguments)
            outcome = asked if asyncio.isfuture(asked) else asyncio.ensure_future(asked)
        except Exception as error:
            self._failed(request, error)
            return
        self._begin(request, outcome, size, self._answer)

    def _begin(
        self,
        request: int,
        outcome: asyncio.Future[Any],
        size: int,
        then: Callable[[int, int, asyncio.Future[Any]], None],
    ) -> None:
        self._tasks[request] = outcome
        self._call_bytes += size
        if outcome.done():
            then(request, size, outcome)
            return
        outcome.add_done_callback(partial(then, request, size))
        if len(self._tasks) >= CALLS or self._call_bytes >= CALL_BYTES:
            self.hold()

    def _answer(self, request: int, size: int, outcome: asyncio.Future[Any]) -> None:
        self._done(request, size, outcome)
        try:
            payload = encode(outcome.result())
            if len(payload) > MAX_FRAME:
                raise DeviceError(f"the answer has {len(payload)} bytes, at most {MAX_FRAME} fit into one")
            self.send(Kind.RESULT, request, payload)
        except asyncio.CancelledError:
            self._failed(request, DeviceError("the server has given it up"))
        except Exception as error:
            self._failed(request, error)

    def _refuse(self, request: int, error: Exception) -> None:
        answer = encode_error(error if isinstance(error, DeviceError) else Misunderstood(str(error)))
        assert answer is not None
        self.send(Kind.ERROR, request, answer)

    def _failed(self, request: int, error: Exception) -> None:
        answer = encode_error(error)
        if answer is None:
            log.error("a request failed", peer=_name(self.transport), exc_info=error)
            answer = encode_error(
                DeviceError(f"the server failed: {type(error).__name__}; its log says more")
            )
            assert answer is not None
        self.send(Kind.ERROR, request, answer)

    def _done(self, request: int, size: int, outcome: asyncio.Future[Any]) -> None:
        self._server.calls += 1
        self._call_bytes -= size
        del self._tasks[request]
        self.balance()

    async def _stream_out(self, request: int, verb: Verb, method: Callable[..., Any], arguments: Any) -> None:
        chunks: AsyncIterator[Any] | None = None
        try:
            chunks = verb.call(method, arguments)
            async for chunk in chunks:
                if self.is_lost:
                    return
                if verb.of_bytes:
                    self.send_data(request, chunk)
                else:
                    self.send(Kind.ITEM, request, encode(chunk))
                    self._flush()
                await self.drain(STALL_SECONDS)
            self.send(Kind.END, request, b"")
        except TimeoutError:
            self.fail("it takes nothing more of a stream")
        except Exception as error:
            self._failed(request, error)
        finally:
            if inspect.isasyncgen(chunks):
                await chunks.aclose()

    async def _stream_in(
        self, request: int, stream: Incoming, method: Callable[..., Any], arguments: Any
    ) -> None:
        writer = None
        try:
            writer = stream.verb.call(method, arguments)
            while chunks := await stream.next(STALL_SECONDS):
                for chunk in chunks:
                    await writer.write(chunk)
            finish, stream.finish_arguments = stream.finish_arguments, None
            if finish is None:
                await writer.abort()
                result = None
            else:
                assert stream.verb.finish is not None
                result = await stream.verb.finish.call(
                    writer.finish, stream.verb.finish.decode_arguments(finish)
                )
            writer = None
            self.send(Kind.RESULT, request, encode(result))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._refuse(request, error)
        except TimeoutError:
            self.fail("nothing more comes of a stream")
        except Exception as error:
            self._failed(request, error)
        finally:
            if writer is not None:
                with contextlib.suppress(DeviceError):
                    await writer.abort()
            del self._streams[request]

    async def _feed(self, request: int, stream: Incoming, method: Callable[..., Any], arguments: Any) -> None:
        try:
            self.send(
                Kind.RESULT, request, encode(await stream.verb.call(method, arguments, stream.chunks()))
            )
        except TimeoutError:
            self.fail("nothing more comes of a stream")
        except Exception as error:
            self._failed(request, error)
        finally:
            del self._streams[request]


def _name(transport: asyncio.Transport) -> str:
    host, port = (transport.get_extra_info("peername") or ("?", 0))[:2]
    return f"{host}:{port}"
