"""The protocol between storage servers: calls, streams, errors, and those who do not keep to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.drivers.object.cluster.member import Broken
from pileus.drivers.object.wire import link, server
from pileus.drivers.object.wire.client import Peer
from pileus.drivers.object.wire.connection import HIGH_WATER
from pileus.drivers.object.wire.errors import Misunderstood, Unreachable
from pileus.drivers.object.wire.frame import MAX_FRAME, PREFIX, Kind
from pileus.drivers.object.wire.handshake import (
    HELLO_BYTES,
    MAGIC,
    PROOF_BYTES,
    VERSION,
    Handshake,
    HandshakeError,
    KeyFileError,
    read_key,
)
from pileus.drivers.object.wire.interface import Call, Interface, encode
from pileus.drivers.object.wire.remote import Remote
from pileus.drivers.object.wire.server import WireServer
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, DeviceFull, Missing, Superseded
from pileus.services.object_store.listings import NoSuchContainer, NotEmpty

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
MIB = 1024 * 1024


class Fruit(NamedTuple):
    name: str
    ripe: Timestamp
    body: bytes | None = None


class Basket(Protocol):
    async def write(self, chunk: bytes) -> None: ...

    async def finish(self, name: str, changed: Timestamp | None = None) -> int: ...

    async def abort(self) -> None: ...


class Orchard(Protocol):
    async def ripen(self, fruit: Fruit, *, seconds: float = 1.0) -> Fruit: ...

    def pick(self, name: str) -> Awaitable[Fruit | None]: ...

    async def fail(self, number: int) -> None: ...

    async def hang(self) -> None: ...

    def juice(self, count: int, size: int) -> AsyncIterator[bytes]: ...

    def fruits(self, count: int) -> AsyncIterator[Fruit]: ...

    def basket(self, owner: str) -> Basket: ...

    async def press(self, name: str, fruits: AsyncIterator[bytes]) -> int: ...

    def local(self, change: Callable[[], None]) -> None: ...


VERBS = Interface(Orchard, local=("local",))
FAILURES: list[Exception] = [
    Superseded(Timestamp(7, 3), deleted=True),
    Missing(Timestamp(9)),
    Missing(),
    DeviceFull("full to the brim"),
    DeviceError("out of order"),
    Broken("rotten"),
    NoSuchContainer(),
    NotEmpty(),
    KeyError("a defect"),
]


class _Basket:
    def __init__(self, orchard: _Orchard) -> None:
        self._orchard = orchard
        self._size = 0
        orchard.open_baskets += 1

    async def write(self, chunk: bytes) -> None:
        await self._orchard.slowly.wait()
        self._size += len(chunk)
        if self._size > 50 * MIB:
            raise DeviceFull("the basket is full")

    async def finish(self, name: str, changed: Timestamp | None = None) -> int:
        if changed is not None:
            raise Superseded(changed, deleted=False)
        self._orchard.open_baskets -= 1
        return self._size

    async def abort(self) -> None:
        self._orchard.open_baskets -= 1
        self._orchard.aborted.set()


class _Orchard:
    def __init__(self) -> None:
        self.open_baskets = 0
        self.aborted = asyncio.Event()
        self.closed = asyncio.Event()
        self.slowly = asyncio.Event()
        self.slowly.set()
        self.sent = 0
        self.hanging = 0

    async def ripen(self, fruit: Fruit, *, seconds: float = 1.0) -> Fruit:
        self.hanging += 1
        await self.slowly.wait()
        self.hanging -= 1
        return fruit._replace(ripe=Timestamp.at(seconds))

    def pick(self, name: str) -> asyncio.Future[Fruit | None]:
        future: asyncio.Future[Fruit | None] = asyncio.get_running_loop().create_future()
        future.set_result(Fruit(name, Timestamp(1), b"x" * 10) if name else None)
        return future

    async def fail(self, number: int) -> None:
        raise FAILURES[number]

    async def hang(self) -> None:
        self.hanging += 1
        await asyncio.Event().wait()

    async def juice(self, count: int, size: int) -> AsyncIterator[bytes]:
        try:
            for number in range(count):
                self.sent += size
                yield number.to_bytes(1, "big") * size
            if not size:
                raise DeviceError("no juice")
        finally:
            self.closed.set()

    async def fruits(self, count: int) -> AsyncIterator[Fruit]:
        for number in range(count):
            yield Fruit(str(number), Timestamp(number))

    async def press(self, name: str, fruits: AsyncIterator[bytes]) -> int:
        size = 0
        async for chunk in fruits:
            size += len(chunk)
            if size > 50 * MIB:
                raise DeviceFull("the press is full")
        return size

    def basket(self, owner: str) -> _Basket:
        return _Basket(self)


class World(NamedTuple):
    orchard: _Orchard
    server: WireServer
    peer: Peer
    remote: Any


@asynccontextmanager
async def running(key: bytes = KEY) -> AsyncIterator[World]:
    orchard = _Orchard()
    serving = WireServer(KEY)
    serving.serve("orchard/1", VERBS, orchard)
    await serving.start("127.0.0.1", 0)
    peer = Peer("127.0.0.1", serving.port, key)
    try:
        yield World(orchard, serving, peer, Remote(VERBS, peer, "orchard/1"))
    finally:
        await peer.close()
        await serving.close(0.1)


async def test_calls_bring_values_back() -> None:
    async with running() as world:
        fruit = Fruit("apple", Timestamp(1), os.urandom(300_000))
        assert await world.remote.ripen(fruit) == fruit._replace(ripe=Timestamp.at(1))
        assert await world.remote.ripen(fruit, seconds=5) == fruit._replace(ripe=Timestamp.at(5))
        assert await world.remote.pick("") is None
        many = await asyncio.gather(*(world.remote.pick(str(n)) for n in range(1000)))
        assert [each.name for each in many] == [str(n) for n in range(1000)]
        assert len(world.server.peers) == 1


async def test_what_begins_has_begun_before_it_is_waited_for() -> None:
    async with running() as world:
        await world.remote.pick("warm")
        future = world.remote.pick("apple")
        assert isinstance(future, asyncio.Future)
        await asyncio.wait((future,))
        assert future.result().name == "apple"


@pytest.mark.parametrize("number", range(len(FAILURES)))
async def test_errors_come_as_what_they_are(number: int) -> None:
    expected = FAILURES[number]
    kind = type(expected) if not isinstance(expected, KeyError) else DeviceError
    async with running() as world:
        with pytest.raises(kind) as caught:
            await world.remote.fail(number)
        if isinstance(expected, Superseded | Missing):
            assert vars(caught.value) == vars(expected)
        elif isinstance(expected, DeviceError):
            assert str(caught.value) == str(expected)
        assert (await world.remote.pick("still")).name == "still"


async def test_streams_out_come_whole_and_in_order() -> None:
    async with running() as world:
        got = b"".join([chunk async for chunk in world.remote.juice(20, 700_001)])
        assert got == b"".join(bytes([n]) * 700_001 for n in range(20))
        assert [each.name async for each in world.remote.fruits(300)] == [str(n) for n in range(300)]
        assert [chunk async for chunk in world.remote.juice(0, 1)] == []
        with pytest.raises(DeviceError, match="no juice"):
            [chunk async for chunk in world.remote.juice(0, 0)]
        assert len(world.server.peers) == 1, "one stream after the other goes over one connection"


async def test_a_reader_that_stalls_stops_the_sender_and_nobody_else() -> None:
    async with running() as world:
        chunks = world.remote.juice(200, MIB)
        await anext(chunks)
        sent = 0
        while world.orchard.sent != sent:
            sent = world.orchard.sent
            for _ in range(20):
                await world.remote.pick("others go on")
        assert sent < 40 * MIB
        assert sum([len(chunk) async for chunk in chunks]) > 190 * MIB


async def test_a_reader_that_leaves_ends_the_stream_at_the_other_end() -> None:
    async with running() as world:
        chunks = world.remote.juice(200, MIB)
        await anext(chunks)
        await chunks.aclose()
        async with asyncio.timeout(5):
            await world.orchard.closed.wait()


async def test_streams_in_come_whole() -> None:
    async with running() as world:
        basket = world.remote.basket("me")
        for _ in range(10):
            await basket.write(os.urandom(3 * MIB + 1))
        assert await basket.finish("done") == 10 * (3 * MIB + 1)
        assert await world.remote.basket("me").finish("empty") == 0
        again = world.remote.basket("me")
        await again.write(b"x")
        with pytest.raises(Superseded):
            await again.finish("late", Timestamp(5))
        given_up = world.remote.basket("me")
        await given_up.write(b"x" * MIB)
        await given_up.abort()
        assert world.orchard.open_baskets == 0
        assert len(world.server.peers) == 1


async def test_a_call_may_take_a_stream() -> None:
    async def fruits(count: int) -> AsyncIterator[bytes]:
        for number in range(count):
            yield bytes(MIB + number)

    async with running() as world:
        assert await world.remote.press("me", fruits(5)) == 5 * MIB + 10
        assert await world.remote.press("me", fruits(0)) == 0
        with pytest.raises(DeviceFull):
            await world.remote.press("me", fruits(70))
        assert await world.remote.press("me", fruits(1)) == MIB
        with pytest.raises(KeyError):
            await world.remote.press("me", _rotten())
        assert await world.remote.press("me", fruits(1)) == MIB


async def _rotten() -> AsyncIterator[bytes]:
    yield b"x"
    raise KeyError("rotten")


async def test_a_stream_in_is_refused_midway() -> None:
    async with running() as world:
        basket = world.remote.basket("me")

        async def fill() -> None:
            for _ in range(200):
                await basket.write(bytes(MIB))
                await world.remote.pick("others go on")

        with pytest.raises(DeviceFull, match="basket is full"):
            await fill()
        await basket.abort()
        assert world.orchard.open_baskets == 0


async def test_a_slow_disk_stops_the_writer_in_constant_memory() -> None:
    async with running() as world:
        world.orchard.slowly.clear()
        basket = world.remote.basket("me")
        written = 0

        async def write() -> None:
            nonlocal written
            for _ in range(48):
                await basket.write(bytes(MIB))
                written += 1

        tracemalloc.start()
        task = asyncio.create_task(write())
        before = -1
        while written != before:
            before = written
            for _ in range(20):
                await world.remote.pick("others go on")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert written < 40
        assert peak < 16 * MIB
        world.orchard.slowly.set()
        await task
        assert await basket.finish("done") == 48 * MIB


async def test_a_writer_that_goes_away_leaves_nothing() -> None:
    async with running() as world:
        basket = world.remote.basket("me")
        await basket.write(bytes(MIB))
        basket._link.fail("as a crash would")
        async with asyncio.timeout(5):
            await world.orchard.aborted.wait()
        with pytest.raises(Unreachable):
            await basket.finish("late")
        assert world.orchard.open_baskets == 0


async def test_who_has_another_key_is_refused_at_both_ends() -> None:
    async with running(OTHER_KEY) as world:
        with pytest.raises(Unreachable, match="cluster key"):
            await world.remote.pick("apple")
        assert not world.server.peers


@pytest.mark.slow
async def test_a_server_that_is_not_there_or_silent() -> None:
    async with running() as world:
        await world.server.close()
        with pytest.raises(Unreachable, match=f"127.0.0.1:{world.peer.address.rpartition(':')[2]}"):
            await world.remote.pick("apple")
    held = list[asyncio.StreamWriter]()  # one that nobody has would be closed
    silent = await asyncio.start_server(lambda reader, writer: held.append(writer), "127.0.0.1", 0)
    peer = Peer("127.0.0.1", silent.sockets[0].getsockname()[1], KEY)
    with pytest.raises(Unreachable, match="does not answer"):
        await Remote(VERBS, peer, "orchard/1").pick("apple")  # type: ignore[attr-defined]  # made of verbs
    await peer.close()
    silent.close()


async def test_calls_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "LOOK_SECONDS", 0.02)
    async with running() as world:
        world.peer.call_seconds = 0.1
        with pytest.raises(Unreachable, match="too long"):
            await world.remote.hang()
        assert (await world.remote.pick("apple")).name == "apple"


@pytest.mark.slow
async def test_a_dead_server_is_found_dead_long_before_a_call_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(link, "SILENCE_SECONDS", 0.2)
    async with running() as world:
        await world.remote.pick("apple")
        hanging = asyncio.ensure_future(world.remote.hang())
        done, _ = await asyncio.wait((hanging,), timeout=0.5)
        assert not done, "it is slow, but it answers pings"
        for peer in world.server.peers:
            peer.hold()
        with pytest.raises(Unreachable, match="silent"):
            await hanging
        with pytest.raises(Unreachable, match="silent"):
            await world.remote.pick("not waited for")
        assert (await reached(world.remote)).name == "again"


async def reached(remote: Any) -> Any:
    """Asks until it is answered, which it is soon: a connection is made behind the scenes."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await remote.pick("again")
            except Unreachable:
                await asyncio.sleep(0.01)


async def test_a_server_that_comes_back_is_found() -> None:
    async with running() as world:
        await world.remote.pick("apple")
        port = world.server.port
        await world.server.close()
        for _ in range(3):
            with pytest.raises(Unreachable):
                await world.remote.pick("apple")
        await world.server.start("127.0.0.1", port)
        assert (await reached(world.remote)).name == "again"
        assert b"".join([chunk async for chunk in world.remote.juice(2, 10)]) == b"\0" * 10 + b"\1" * 10


async def test_what_is_under_way_ends_before_the_server_does() -> None:
    async with running() as world:
        world.orchard.slowly.clear()
        await world.remote.pick("apple")
        task = asyncio.ensure_future(world.remote.ripen(Fruit("apple", Timestamp(1))))
        async with asyncio.timeout(5):
            while not world.orchard.hanging:
                await world.remote.pick("others go on")
        closing = asyncio.ensure_future(world.server.close(5))
        await asyncio.sleep(0)
        world.orchard.slowly.set()
        await closing
        assert (await task).name == "apple"


async def test_unknown_devices_verbs_and_arguments() -> None:
    async with running() as world:
        nowhere = Remote(VERBS, world.peer, "orchard/2")
        with pytest.raises(Misunderstood, match="no device 'orchard/2'"):
            await nowhere.pick("apple")  # type: ignore[attr-defined]  # made of verbs
        for target, verb, arguments in (
            ("orchard/1", "local", encode([1])),
            ("orchard/1", "_private", encode([])),
            ("orchard/1", "pick", encode([1])),
            ("orchard/1", "pick", encode([])),
            ("orchard/1", "pick", b"\xa2\xff\xff"),
        ):
            payload = b"\x93" + encode(target) + encode(verb) + arguments
            link = await world.peer._calling()
            with pytest.raises(Misunderstood):
                await link.ask(Kind.CALL, link.next_number(), payload, 5, lambda data: data, "")


def test_what_can_not_cross_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="local"):
        Interface(Orchard)


@asynccontextmanager
async def stranger(world: World, key: bytes = KEY, shake: bool = True) -> AsyncIterator[Any]:
    """Sends whatever it wants, after the handshake perhaps."""
    port = world.server.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if shake:
        handshake = Handshake(key, server=False)
        writer.write(handshake.begin())
        answer, _ = handshake.feed(await reader.readexactly(HELLO_BYTES))
        writer.write(answer)
        handshake.feed(await reader.readexactly(PROOF_BYTES))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


CALLS = [
    encode(Call("orchard/1", "pick", b"\x91\xa1x")),  # type: ignore[arg-type]  # as Raw is
    encode(["orchard/1", "basket", ["me"]]),
    encode(["orchard/1", "juice", [3, 10]]),
    encode(["orchard/1", "hang", []]),
]
frames = st.builds(
    lambda kind, request, payload: PREFIX.pack(len(payload), request, kind) + payload,
    st.integers(0, 255) | st.sampled_from([int(kind) for kind in Kind]),
    st.integers(0, 3),
    st.binary(max_size=60) | st.sampled_from(CALLS),
)
rubbish = st.lists(frames | st.binary(max_size=40), max_size=12).map(b"".join)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rubbish, min_size=1, max_size=8), st.booleans())
def test_rubbish_never_hurts_the_server(parts: list[bytes], shake: bool) -> None:
    async def story() -> None:
        async with running() as world:
            async with stranger(world, shake=shake) as (_, writer):
                for part in parts:
                    writer.write(part)
                    await asyncio.sleep(0)
            assert (await world.remote.pick("apple")).name == "apple"

    asyncio.run(story())


@given(st.lists(st.binary(max_size=50), max_size=6), st.booleans())
def test_no_rubbish_passes_for_a_handshake(parts: list[bytes], is_server: bool) -> None:
    handshake = Handshake(KEY, server=is_server)
    said = handshake.begin()
    with contextlib.suppress(HandshakeError):
        for part in parts:
            said += handshake.feed(part)[0]
    assert not handshake.done
    assert KEY not in said


@given(st.integers(0, 70))
def test_a_handshake_in_any_pieces(cut: int) -> None:
    client, server = Handshake(KEY, server=False), Handshake(KEY, server=True)
    to_server, to_client = client.begin(), b""
    while to_server or to_client:
        pieces = (to_server[:cut], to_server[cut:])
        to_client += b"".join(server.feed(piece)[0] for piece in pieces if piece)
        pieces, to_client = (to_client[:cut], to_client[cut:]), b""
        to_server = b"".join(client.feed(piece)[0] for piece in pieces if piece)
    assert client.done
    assert server.done


def test_an_answer_can_not_be_turned_back_or_used_again() -> None:
    first, victim = Handshake(KEY, server=False), Handshake(KEY, server=True)
    hello, _ = victim.feed(first.begin())
    proof, _ = first.feed(hello)
    with pytest.raises(HandshakeError, match="key"):
        first.feed(proof)  # its own, sent back
    second = Handshake(KEY, server=True)
    second.feed(first.begin())
    with pytest.raises(HandshakeError, match="key"):
        second.feed(proof)


def test_another_version_is_told() -> None:
    with pytest.raises(HandshakeError, match=f"version 9 of the protocol, this one {VERSION}"):
        Handshake(KEY, server=True).feed(MAGIC + b"\0\x09" + bytes(32))


async def test_strangers_are_few_and_must_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 0.1)
    monkeypatch.setattr(server, "STRANGERS", 3)
    async with running() as world:
        async with contextlib.AsyncExitStack() as stack:
            several = [await stack.enter_async_context(stranger(world, shake=False)) for _ in range(5)]
            async with asyncio.timeout(5):
                for reader, _ in several:
                    assert await reader.read(100) == b"", "closed, and nothing said"
        assert (await world.remote.pick("apple")).name == "apple"


async def test_frames_are_bounded() -> None:
    async with running() as world:
        async with stranger(world) as (reader, writer):
            writer.write(PREFIX.pack(MAX_FRAME + 1, 1, Kind.CALL))
            async with asyncio.timeout(5):
                assert await reader.read(100) == b""
        with pytest.raises(DeviceError, match="at most"):
            await world.remote.ripen(Fruit("a", Timestamp(1), bytes(MAX_FRAME)))


@pytest.mark.slow
async def test_who_asks_much_and_reads_nothing_costs_little() -> None:
    async with running() as world:
        async with stranger(world) as (_, writer):
            payload = encode(["orchard/1", "ripen", [["a", [1, 0], bytes(200_000)], 1.0]])
            writer.transport.set_write_buffer_limits(high=HIGH_WATER)
            tracemalloc.start()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    for number in range(1000):
                        writer.write(PREFIX.pack(len(payload), number, Kind.CALL) + payload)
                        await writer.drain()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert number < 999, "it was made to wait"
            assert peak < 80 * MIB
            writer.transport.abort()


async def test_calls_under_way_are_bounded() -> None:
    async with running() as world:
        async with stranger(world) as (_, writer):
            payload = encode(["orchard/1", "hang", []])
            for number in range(10 * server.CALLS):
                writer.write(PREFIX.pack(len(payload), number, Kind.CALL) + payload)
            async with asyncio.timeout(5):
                while world.orchard.hanging < server.CALLS:
                    await world.remote.pick("others go on")
            for _ in range(50):
                await world.remote.pick("others go on")
            assert world.orchard.hanging == server.CALLS


@pytest.fixture
def key_file(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "key"
    file.write_text(KEY.hex() + "\n")
    file.chmod(0o600)
    return file


def test_the_key_is_read_from_a_private_file(key_file: Path, tmp_path: Path) -> None:
    assert read_key(key_file) == KEY
    key_file.chmod(0o640)
    with pytest.raises(KeyFileError, match=f"chmod 600 {key_file}"):
        read_key(key_file)
    key_file.chmod(0o600)
    for text in ("", "zz" * 32, "00" * 31, "é"):
        key_file.write_text(text)
        with pytest.raises(KeyFileError):
            read_key(key_file)
    with pytest.raises(KeyFileError, match="pileus keys cluster"):
        read_key(tmp_path / "none")
