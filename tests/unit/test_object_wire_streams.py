"""The protocol between storage servers: streams either way, whole, in constant memory, and cut off."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator
from hashlib import md5

import pytest

from pileus.drivers.object.wire.errors import Unreachable
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, DeviceFull, Superseded
from tests.object_orchard import MIB, running


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
        async with asyncio.timeout(60):
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


async def test_streams_in_lie_in_memory_as_a_disk_can_take_them() -> None:
    sizes = (1, 8191, 300_000, 2 * MIB, 0, MIB + 17, 5, 4 * MIB)
    async with running() as world:
        sent = md5(usedforsecurity=False)
        for _ in range(2):
            basket = world.remote.basket("me")
            for size in sizes:
                await basket.write(chunk := os.urandom(size))
                sent.update(chunk)
            assert await basket.finish("done") == sum(sizes)
        assert world.orchard.received.digest() == sent.digest()
        assert world.orchard.misplaced == 0


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
        async with asyncio.timeout(60):
            await world.orchard.aborted.wait()
        with pytest.raises(Unreachable):
            await basket.finish("late")
        assert world.orchard.open_baskets == 0
