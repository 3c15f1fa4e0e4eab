"""The protocol between storage servers: calls, what they bring back, and servers that come and go."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from pileus.drivers.object.wire import link
from pileus.drivers.object.wire.client import Peer
from pileus.drivers.object.wire.errors import Misunderstood, Unreachable
from pileus.drivers.object.wire.frame import Kind
from pileus.drivers.object.wire.interface import Interface, encode
from pileus.drivers.object.wire.remote import Remote
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, Missing, Superseded
from tests.object_orchard import FAILURES, KEY, VERBS, Fruit, Orchard, running


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


async def test_calls_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "LOOK_SECONDS", 0.02)
    async with running() as world:
        world.peer.call_seconds = 0.1
        with pytest.raises(Unreachable, match="too long"):
            await world.remote.hang()
        world.peer.call_seconds = 60
        assert (await world.remote.pick("apple")).name == "apple"


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


@pytest.mark.slow
async def test_a_dead_server_is_found_dead_long_before_a_call_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(link, "SILENCE_SECONDS", 1.0)
    async with running() as world:
        await world.remote.pick("apple")
        hanging = asyncio.ensure_future(world.remote.hang())
        done, _ = await asyncio.wait((hanging,), timeout=1.5)
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
    async with asyncio.timeout(60):
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
        async with asyncio.timeout(60):
            while not world.orchard.hanging:
                await world.remote.pick("others go on")
        closing = asyncio.ensure_future(world.server.close(5))
        await asyncio.sleep(0)
        world.orchard.slowly.set()
        await closing
        assert (await task).name == "apple"
