"""Everything goes wrong with a ring of devices, and nothing that was acknowledged is lost; what is deleted stays deleted."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from pileus.drivers.object import engine as engine_module
from pileus.drivers.object import large as large_module
from pileus.drivers.object import volume as volume_module
from pileus.drivers.object.cluster import upload as upload_module
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, Missing, Superseded, Version
from pileus.testing.contract.object.suite import body_of, key_of
from tests.object_cluster_world import RECLAIM_SECONDS, Disk, World

Order = tuple[Timestamp, Timestamp]
NEVER = (Timestamp(0), Timestamp(0))
OBJECTS = 40
CLIENTS = 6
LONG = [(3, 3, 3, False), (4, 7, 3, True), (5, 5, 3, False), (6, 6, 4, True)]


@pytest.fixture(autouse=True)
def small_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_module, "ZERO_STEP", 8192)
    monkeypatch.setattr(volume_module, "SCAN_BYTES", 8192)
    monkeypatch.setattr(engine_module, "SMALL_BYTES", 3000)
    monkeypatch.setattr(upload_module, "SMALL_BYTES", 3000)
    monkeypatch.setattr(upload_module, "REPLAY_BYTES", 6000)
    monkeypatch.setattr(large_module, "WRITE_BYTES", 2000)


@dataclass
class History:
    """What was asked for one object, and what was promised of it."""

    bodies: dict[Timestamp, bytes | None] = field(default_factory=dict)
    """By timestamp of the data; None for a deletion."""
    metadata: dict[Timestamp, bytes] = field(default_factory=dict)
    """By timestamp of the metadata."""
    promised: Order = NEVER

    def promise(self, timestamp: Timestamp, changed: Timestamp) -> None:
        self.promised = max(self.promised, (timestamp, changed))

    def check(self, version: Version | None, body: bytes | None, promised: Order, when: object) -> None:
        """What was found is what was promised, or something later that was asked for."""
        if version is None:
            assert promised == NEVER or self.bodies[promised[0]] is None, (when, promised)
            return
        order = (version.timestamp, version.changed)
        assert order >= promised, (when, order, promised)
        assert version.timestamp in self.bodies, (when, order)
        assert body == self.bodies[version.timestamp], (when, order)
        if not version.deleted:
            assert version.metadata == self.metadata[version.changed], (when, order)


class Story:
    def __init__(self, world: World) -> None:
        self.world = world
        self.chance = random.Random(world.chance.random())
        self.objects = {f"a/c/{number}": History() for number in range(OBJECTS)}
        self.acknowledged = self.refused = self.seen = 0
        self.strict = True
        """Whether reads must be right also while things are wrong."""

    async def client(self, operations: int) -> None:
        for _ in range(operations):
            path = self.chance.choice(list(self.objects))
            proxy = self.chance.randrange(len(self.world.proxies))
            kind = self.chance.choices(("put", "update", "delete", "get"), (40, 15, 12, 33))[0]
            try:
                await getattr(self, kind)(proxy, path, self.objects[path])
                self.acknowledged += 1
            except (DeviceError, Superseded, Missing):
                self.refused += 1
            await self.world.clock.sleep(self.chance.expovariate(1.0))

    async def put(self, proxy: int, path: str, history: History) -> None:
        now = self.world.now(proxy)
        size = self.chance.choice((0, 30, 400, 2500, 9000))
        body = self.chance.randbytes(size)
        history.bodies[now], history.metadata[now] = body, b"put %d" % now.units
        device = self.world.proxies[proxy]
        if size > 2500 or self.chance.random() < 0.2:
            writer = device.writer(key_of(path), path)
            try:
                for start in range(0, size, 1500):
                    await writer.write(body[start : start + 1500])
                await writer.finish(now, history.metadata[now])
            except BaseException:
                await writer.abort()
                raise
        else:
            await device.put(key_of(path), path, now, history.metadata[now], body)
        history.promise(now, now)

    async def update(self, proxy: int, path: str, history: History) -> None:
        now = self.world.now(proxy)
        history.metadata[now] = b"update %d" % now.units
        version = await self.world.proxies[proxy].update(key_of(path), now, lambda old: history.metadata[now])
        history.promise(version.timestamp, version.changed)

    async def delete(self, proxy: int, path: str, history: History) -> None:
        now = self.world.now(proxy)
        history.bodies[now] = None
        await self.world.proxies[proxy].delete(key_of(path), path, now)
        history.promise(now, now)

    async def get(self, proxy: int, path: str, history: History) -> None:
        network, promised = self.world.network, history.promised
        sees_most, isolations = network.sees_most(proxy), network.isolations[proxy]
        device = self.world.proxies[proxy]
        version = await device.find(key_of(path))
        body = None
        if version is not None and not version.deleted:
            chunks = device.read(key_of(path), version, 0, version.size_bytes)
            body = b"".join([chunk async for chunk in chunks])
        if self.strict and sees_most and network.isolations[proxy] == isolations:
            history.check(version, body, promised, self.world.clock.monotonic())
            self.seen += 1

    async def everything_is_right(self, when: str) -> None:
        for proxy in range(len(self.world.proxies)):
            device = self.world.proxies[proxy]
            for path, history in self.objects.items():
                version = await device.find(key_of(path))
                body = await body_of(device, path)
                history.check(version, body, history.promised, (when, proxy, path))

    async def replicas_agree(self) -> None:
        power = self.world.ring.part_power
        held = [await disk.engine.summaries(power) for disk in self.world.disks]
        for partition in {partition for each in held for partition in each}:
            primaries = {device.id for device in self.world.ring.primaries(partition)}
            numbers = {held[id_].get(partition) for id_ in primaries}
            assert len(numbers) == 1, partition
            assert all(id_ in primaries for id_, each in enumerate(held) if partition in each), partition


KINDS = ("kill", "cut", "cut", "fill", "fill", "slow", "slow", "rot", "rot", "tidy", "walk")


class Trouble:
    """One device or zone at a time is not to be reached; disks fill up, dawdle and rot besides."""

    def __init__(self, world: World, *, rot: bool) -> None:
        self.world = world
        self.chance = random.Random(world.chance.random())
        self.rotting = self.chance.choice(world.disks) if rot else None
        """What goes bad of one object goes bad in one place: no more can be asked of any number of replicas."""
        self.kinds: dict[str, int] = {}
        self.walking: asyncio.Task[None] | None = None

    async def forever(self) -> None:
        while True:
            for kind in self.chance.sample(KINDS, len(KINDS)):
                await self.world.clock.sleep(self.chance.uniform(0, 4))
                await getattr(self, kind)(self.chance.choice(self.world.disks))
                self.kinds[kind] = self.kinds.get(kind, 0) + 1

    async def kill(self, disk: Disk) -> None:
        await disk.kill()
        await self.world.clock.sleep(self.chance.uniform(0, 15))
        await disk.revive()

    async def cut(self, disk: Disk) -> None:
        others = [each.number for each in self.world.disks if each is not disk]
        self.world.network.cut(
            disk.number, others if self.chance.random() < 0.5 else self.chance.sample(others, 2)
        )
        await self.world.clock.sleep(self.chance.uniform(0, 15))
        self.world.network.cuts.clear()

    async def fill(self, disk: Disk) -> None:
        disk.fill(disk.files.fault.__name__ != "fault")

    async def slow(self, disk: Disk) -> None:
        disk.slow_seconds = self.chance.choice((0.0, 0.0, 0.8, 3.0))

    async def rot(self, disk: Disk) -> None:
        if self.rotting is not None and not self.rotting.down:
            self.rotting.rot()

    async def tidy(self, disk: Disk) -> None:
        if not disk.down:
            now = self.world.clock.now().timestamp()
            await disk.engine.tidy(Timestamp.at(now - RECLAIM_SECONDS))

    async def walk(self, disk: Disk) -> None:
        """Walks go on while everything else happens."""
        if self.walking is None or self.walking.done():
            self.walking = asyncio.create_task(self._walk())

    async def _walk(self) -> None:
        with suppress(DeviceError):
            await self.world.walk()

    async def end(self) -> None:
        if self.walking is not None:
            await self.walking


@pytest.mark.parametrize(
    ("seed", "devices", "replicas", "rot", "operations"),
    [
        (1, 5, 3, False, 100),
        (2, 5, 3, True, 100),
        *((*each, 300) for each in LONG),
    ],
)
@pytest.mark.slow
async def test_nothing_acknowledged_is_lost(
    seed: int, devices: int, replicas: int, rot: bool, operations: int
) -> None:
    await live_through(World(seed, devices, replicas), rot=rot, operations=operations)


async def live_through(world: World, *, rot: bool, operations: int) -> None:
    await world.start()
    story, trouble = Story(world), Trouble(world, rot=rot)
    story.strict = not rot
    troubles = asyncio.create_task(trouble.forever())
    await asyncio.gather(*(story.client(operations) for _ in range(CLIENTS)))
    troubles.cancel()
    with suppress(asyncio.CancelledError):
        await troubles
    world.heal()
    for disk in world.disks:
        if disk.down:
            await disk.revive()
    await trouble.end()
    assert story.acknowledged > operations * CLIENTS / 2
    assert story.refused
    assert set(trouble.kinds) == set(KINDS) or operations < 300
    assert story.seen or rot
    await world.clock.sleep(60)  # suspensions end
    if not rot:
        await story.everything_is_right("healed")
    for _ in range(3):
        counts = await world.walk()
    assert not counts.get("pushed"), counts
    await story.everything_is_right("replicated")
    await story.replicas_agree()
    await world.clock.sleep(2 * RECLAIM_SECONDS)
    for disk in world.disks:
        await disk.engine.tidy(Timestamp.at(world.clock.now().timestamp() - RECLAIM_SECONDS))
        await disk.kill()
        await disk.revive()
    await world.walk()
    await story.everything_is_right("deletions forgotten")
    await world.close()
