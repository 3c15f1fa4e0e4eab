"""The simulator's own promises: faults by count and by seed, time by its clock, a world that outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pileus.drivers.hypervisor.sim import Faults, SimHypervisor, World
from pileus.services.compute.driver import Guest, HypervisorError, Image, Power
from pileus.testing.clock import FakeClock

IMAGE = Image(id="image", disk_format="qcow2", size_bytes=3)


def guest(name: str = "one") -> Guest:
    return Guest(id=name, hostname=name, vcpus=1, memory_mib=64, root_gib=1, image=IMAGE)


async def open_image(image_id: str) -> AsyncIterator[bytes]:
    yield b"abc"


async def ready(world: World, clock: FakeClock, faults: Faults) -> SimHypervisor:
    driver = SimHypervisor(world, "host", clock, faults)
    await driver.start()
    await driver.ensure_image(IMAGE, open_image)
    return driver


async def power_of(driver: SimHypervisor, name: str = "one") -> Power | None:
    state = await driver.observe(name)
    return state.power if state else None


def test_the_nth_call_fails_before_or_after_its_effect() -> None:
    async def play() -> None:
        faults = Faults()
        driver = await ready(World(), FakeClock(), faults)
        faults.fail("ensure", 2, message="no room", after=False)
        faults.fail("ensure", 3, message="answer lost", after=True)
        await driver.ensure(guest("one"), Power.RUNNING, 1)
        with pytest.raises(HypervisorError, match="no room"):
            await driver.ensure(guest("two"), Power.RUNNING, 1)
        assert await power_of(driver, "two") is None
        with pytest.raises(HypervisorError, match="answer lost"):
            await driver.ensure(guest("three"), Power.RUNNING, 1)
        assert await power_of(driver, "three") is Power.RUNNING
        await driver.ensure(guest("two"), Power.RUNNING, 1)
        assert len(await driver.list_guests()) == 3

    asyncio.run(play())


def test_a_call_takes_as_long_as_its_latency() -> None:
    async def play() -> None:
        clock, faults = FakeClock(auto=True), Faults()
        driver = await ready(World(), clock, faults)
        faults.latency["ensure"] = (2.0, 3.0)
        before = clock.monotonic()
        await driver.ensure(guest(), Power.RUNNING, 1)
        assert 2.0 <= clock.monotonic() - before <= 3.0

    asyncio.run(play())


def test_powering_off_takes_its_time_and_outlives_the_driver() -> None:
    async def play() -> None:
        world, clock, faults = World(), FakeClock(), Faults()
        faults.latency["power_off"] = (10.0, 10.0)
        first = await ready(world, clock, faults)
        await first.ensure(guest(), Power.RUNNING, 1)
        await first.shut_down("one", 1)
        await clock.advance(5)
        assert await power_of(first) is Power.RUNNING
        await first.close()
        second = await ready(world, clock, faults)
        told: list[str] = []

        async def changed(guest_id: str) -> None:
            told.append(guest_id)

        second.watch(changed)
        await clock.advance(6)
        assert told == ["one"]
        assert await power_of(second) is Power.STOPPED
        await second.close()

    asyncio.run(play())


def test_a_deaf_guest_does_not_power_off() -> None:
    async def play() -> None:
        clock, faults = FakeClock(), Faults()
        faults.deaf_probability = 1.0
        driver = await ready(World(), clock, faults)
        await driver.ensure(guest(), Power.RUNNING, 1)
        await driver.shut_down("one", 1)
        await clock.advance(3600)
        assert await power_of(driver) is Power.RUNNING

    asyncio.run(play())


def crashes(seed: int) -> list[tuple[str, str | None]]:
    """Which of twenty guests crash within a minute, in the order of their ids."""

    async def play() -> list[tuple[str, str | None]]:
        clock, faults = FakeClock(), Faults(seed)
        faults.crash_probability = 0.5
        driver = await ready(World(), clock, faults)
        for number in range(20):
            await driver.ensure(guest(f"guest-{number:02}"), Power.RUNNING, 1)
        await clock.advance(60)
        states = await driver.list_guests()
        await driver.close()
        return [(state.id, state.reason) for state in states if state.power is Power.CRASHED]

    return asyncio.run(play())


def test_equal_seeds_give_equal_faults() -> None:
    assert crashes(1) == crashes(1)
    assert crashes(1) != crashes(2)
    assert 0 < len(crashes(1)) < 20


def test_hosts_are_separate() -> None:
    async def play() -> None:
        world, clock = World(), FakeClock()
        one = await ready(world, clock, Faults())
        other = SimHypervisor(world, "other", clock)
        await other.start()
        await one.ensure(guest(), Power.RUNNING, 1)
        assert await other.list_guests() == []
        with pytest.raises(HypervisorError, match="not in this host's cache"):
            await other.ensure(guest(), Power.RUNNING, 1)

    asyncio.run(play())
