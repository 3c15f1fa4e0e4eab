"""The protocol between storage servers, and those who do not keep to it."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.drivers.object.wire import server
from pileus.drivers.object.wire.connection import HIGH_WATER
from pileus.drivers.object.wire.errors import Unreachable
from pileus.drivers.object.wire.frame import MAX_FRAME, PREFIX, Kind
from pileus.drivers.object.wire.handshake import (
    HELLO_BYTES,
    PROOF_BYTES,
    Handshake,
)
from pileus.drivers.object.wire.interface import Call, encode
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError
from tests.object_orchard import KEY, MIB, OTHER_KEY, Fruit, World, running


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


async def test_who_has_another_key_is_refused_at_both_ends() -> None:
    async with running(OTHER_KEY) as world:
        with pytest.raises(Unreachable, match="cluster key"):
            await world.remote.pick("apple")
        assert not world.server.peers


async def test_strangers_are_few_and_must_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 0.1)
    monkeypatch.setattr(server, "STRANGERS", 3)
    async with running() as world:
        async with contextlib.AsyncExitStack() as stack:
            several = [await stack.enter_async_context(stranger(world, shake=False)) for _ in range(5)]
            async with asyncio.timeout(60):
                for reader, _ in several:
                    assert await reader.read(100) == b"", "closed, and nothing said"
        monkeypatch.undo()
        assert (await world.remote.pick("apple")).name == "apple"


async def test_frames_are_bounded() -> None:
    async with running() as world:
        async with stranger(world) as (reader, writer):
            writer.write(PREFIX.pack(MAX_FRAME + 1, 1, Kind.CALL))
            async with asyncio.timeout(60):
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
            async with asyncio.timeout(60):
                while world.orchard.hanging < server.CALLS:
                    await world.remote.pick("others go on")
            for _ in range(50):
                await world.remote.pick("others go on")
            assert world.orchard.hanging == server.CALLS


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
