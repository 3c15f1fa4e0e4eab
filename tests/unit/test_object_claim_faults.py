"""Everything goes wrong with a ring of devices, and of writes on a condition each that was done follows the one before."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest

from pileus.services.object_store.driver import DeviceError, Superseded
from pileus.services.object_store.turns import TURN_SECONDS
from pileus.testing.contract.object.suite import body_of, key_of
from tests.object_cluster_world import World
from tests.unit.test_object_cluster_faults import Trouble

pytestmark = pytest.mark.slow
PATH, KEY = "a/c/o", key_of("a/c/o")
CLIENTS = 6
FIRST = b"first"


class Chain:
    """One object; who writes it names what it found there."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)
        self.before: dict[bytes, bytes] = {}
        """Of each body that was written, the one that its writer found."""
        self.done: list[bytes] = []
        self.refused = 0

    async def client(self, operations: int) -> None:
        for _ in range(operations):
            await self.world.clock.sleep(self.chance.expovariate(0.2))
            proxy = self.chance.randrange(len(self.world.proxies))
            try:
                done = await self.write(proxy)
            except (DeviceError, Superseded):
                done = False
            self.refused += not done

    async def write(self, proxy: int) -> bool:
        """As `turns.turn`; whoever gets no answer to its write does not release what it has claimed."""
        device, now = self.world.proxies[proxy], self.world.now(proxy)
        holder = body = b"%d by %d" % (len(self.before), proxy)
        self.before[body] = b""
        until = self.world.clock.monotonic() + TURN_SECONDS
        if not await device.claim(KEY, holder, now, TURN_SECONDS):
            return False
        there = await device.find(KEY)
        if there is not None and there.timestamp >= now:
            await device.release(KEY, holder)
            return False
        found = await body_of(device, PATH)
        self.before[body] = found or FIRST
        if self.world.clock.monotonic() > until:
            await device.release(KEY, holder)
            return False
        if self.chance.random() < 0.05:
            await self.world.clock.sleep(self.chance.uniform(0, 2 * TURN_SECONDS))
        if self.chance.random() < 0.02:
            return False  # it dies
        await device.put(KEY, PATH, now, b"m", body)
        if not await device.release(KEY, holder):
            return False
        self.done.append(body)
        return True


@pytest.mark.parametrize(("seed", "devices", "replicas"), [(1, 5, 3), (2, 3, 3), (3, 6, 4), (4, 4, 2)])
async def test_what_was_done_follows_what_was_done_before(seed: int, devices: int, replicas: int) -> None:
    world = World(seed, devices, replicas)
    for disk in world.disks:
        disk.clock = world.clock
        disk.engine = disk._new()
    await world.start()
    chain, trouble = Chain(world, seed), Trouble(world, rot=False)
    troubles = asyncio.create_task(trouble.forever())
    await asyncio.gather(*(chain.client(150) for _ in range(CLIENTS)))
    troubles.cancel()
    with suppress(asyncio.CancelledError):
        await troubles
    world.heal()
    for disk in world.disks:
        if disk.down:
            await disk.revive()
    await trouble.end()
    await world.clock.sleep(60)
    body = await body_of(world.proxies[0], PATH)
    assert body is not None
    history = []
    while body != FIRST:
        history.append(body)
        body = chain.before[body]
    assert not set(chain.done) - set(history), "each found the one before it"
    assert len(chain.done) > 20
    assert chain.refused
    await world.close()
