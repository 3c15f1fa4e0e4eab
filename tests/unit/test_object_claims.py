"""Claims of names: what a device that starts again may promise, and what a proxy knows while it has one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest

from pileus.drivers.object.claims import APART_SECONDS, FORGET_SECONDS, Claims
from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.cluster.local import local_ring
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.sim import MemoryFiles
from pileus.lib.ring import Ring
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError
from pileus.testing.clock import FakeClock

KEY, OTHER = bytes(16), bytes([1]) * 16


def moment(clock: FakeClock, seconds: float = 0) -> Timestamp:
    """By a clock that is so far ahead."""
    return Timestamp.at((clock.now() + timedelta(seconds=seconds)).timestamp())


class Device:
    """An engine that starts again; not to be reached while it is `away`."""

    def __init__(self, clock: FakeClock, *, is_shared: bool = True) -> None:
        self.clock, self.is_shared = clock, is_shared
        self.files = MemoryFiles()

    async def start(self) -> ObjectEngine:
        engine = ObjectEngine(self.files, suffix_power=12, clock=self.clock, is_shared=self.is_shared)
        await engine.start()
        return engine


async def test_a_device_grants_at_once_in_its_first_life_and_what_is_surely_later_in_the_next() -> None:
    clock = FakeClock()
    device = Device(clock)
    engine = await device.start()
    assert await engine.claim(KEY, b"one", moment(clock, APART_SECONDS), 15)
    engine = await device.start()
    with pytest.raises(DeviceError, match="not known any more"):
        await engine.claim(KEY, b"another", moment(clock, APART_SECONDS), 15)
    assert not await engine.release(KEY, b"one"), "it was granted in another life"
    await clock.advance(APART_SECONDS + 1)
    assert await engine.claim(KEY, b"another", moment(clock), 15)


async def test_a_device_of_one_process_grants_at_once_in_each_life() -> None:
    clock = FakeClock()
    device = Device(clock, is_shared=False)
    for _ in range(2):
        engine = await device.start()
        assert await engine.claim(KEY, b"one", moment(clock), 15)


async def test_whose_clock_is_far_ahead_has_no_turn() -> None:
    clock = FakeClock()
    engine = await Device(clock).start()
    with pytest.raises(DeviceError, match="NTP"):
        await engine.claim(KEY, b"one", moment(clock, APART_SECONDS + 1), 15)
    assert await engine.claim(KEY, b"one", moment(clock, APART_SECONDS - 1), 15)


async def test_what_is_forgotten_for_its_age_counts_as_well() -> None:
    clock = FakeClock()
    claims = Claims(clock)
    early = moment(clock)
    assert claims.claim(KEY, b"dead", moment(clock, 5), 15)
    await clock.advance(FORGET_SECONDS + 16)
    assert claims.claim(OTHER, b"another", moment(clock), 15)
    with pytest.raises(DeviceError, match="not known any more"):
        claims.claim(KEY, b"old", early, 15)
    assert claims.claim(KEY, b"new", moment(clock), 15)


class Away:
    """A member that can't be reached."""

    def __getattr__(self, name: str) -> Callable[..., asyncio.Future[Any]]:
        def call(*_: object) -> asyncio.Future[Any]:
            answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            answer.set_exception(DeviceError("away"))
            return answer

        return call


def proxy(ring: Ring, members: Mapping[int, Any], clock: FakeClock) -> ObjectCluster:
    return ObjectCluster(ring, members, clock)


@pytest.mark.parametrize(("devices", "replicas"), [(3, 3), (5, 4), (3, 2), (2, 2)])
async def test_no_device_that_starts_again_gives_a_second_an_earlier_turn(
    devices: int, replicas: int
) -> None:
    """One has most of the devices; one of those starts again, and another proxy, whose clock is behind, asks."""
    clock, ring = FakeClock(), local_ring(devices, replicas)
    (group,) = proxy(ring, dict.fromkeys(range(devices), Away()), clock).placement.voters(KEY)
    for granting in combinations(sorted(peer.id for peer in group), len(group) // 2 + 1):
        owned = {number: Device(clock) for number in range(devices)}
        engines = {number: await device.start() for number, device in owned.items()}
        seen = {number: engine if number in granting else Away() for number, engine in engines.items()}
        one = proxy(ring, seen, clock)
        assert await one.claim(KEY, b"one", moment(clock, 3), 15)
        again = granting[0]
        one.placement.peers[again].member = engines[again] = await owned[again].start()
        second = proxy(ring, engines, clock)
        with suppress(DeviceError):  # too few may say
            assert not await second.claim(KEY, b"second", moment(clock, -3), 15)
        await clock.advance(APART_SECONDS + 4)
        assert await second.claim(KEY, b"second", moment(clock), 15), "later than any write of the first"
        assert not await one.release(KEY, b"one")
        assert await second.release(KEY, b"second")


async def test_whoever_has_the_turn_reads_what_is_sure_whatever_others_here_claim() -> None:
    clock = FakeClock(auto=True)
    engines = {number: await Device(clock).start() for number in range(3)}
    cluster = proxy(local_ring(3, 3), engines, clock)
    assert await cluster.claim(KEY, b"one", moment(clock), 15)
    assert not await cluster.claim(KEY, b"another", moment(clock), 15)
    assert not await cluster.release(KEY, b"another")
    away: Any = Away()
    for number in (0, 1):
        cluster.placement.peers[number].member = away
    with pytest.raises(DeviceError, match="newest"):
        await cluster.find(KEY)
