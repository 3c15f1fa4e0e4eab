"""A ring of simulated disks in simulated zones, under virtual time, and all that can go wrong with them."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pileus.drivers.object.cluster.auditor import Auditor
from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.cluster.local import local_ring
from pileus.drivers.object.cluster.member import Capacity, MemberWriter, Stamp
from pileus.drivers.object.cluster.peer import Patience, Placement
from pileus.drivers.object.cluster.replicator import Replicator
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.sim import MemoryFiles
from pileus.kernel.clock import Clock
from pileus.lib.ring.affinity import NONE, Affinity
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.daemons import Daemons
from pileus.services.object_store.driver import DeviceError, Told, Version
from pileus.testing.clock import FakeClock

RECLAIM_SECONDS = 5000.0
VOLUME_BYTES = 48 * 1024


class CountingExecutor(ThreadPoolExecutor):
    """Tells whether anything runs in it, so that virtual time waits for it."""

    def __init__(self) -> None:
        super().__init__(4)
        self.running = 0

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.running += 1
        loop = asyncio.get_running_loop()
        future = super().submit(work, *args, **kwargs)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._ended))
        return future

    def _ended(self) -> None:
        self.running -= 1


class Disk:
    """A device: its disk, and the process that serves it."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.number = number
        self.clock: Clock | None = None
        """By which claims run out; None: the machine's."""
        self.files = MemoryFiles(recording=True)
        self.engine = self._new()
        self.down = False
        self.slow_seconds = 0.0
        self._chance = chance

    def _new(self) -> ObjectEngine:
        return ObjectEngine(
            self.files,
            volume_bytes=VOLUME_BYTES,
            suffix_power=12,
            clock=self.clock,
            is_shared=self.clock is not None,
        )

    async def kill(self) -> None:
        """The power fails: what was not synced may be gone, and so are all answers under way."""
        with self.files.lock:
            left, _ = self.files.after(len(self.files.log), self._chance)
        old, self.down = self.engine, True
        left.recording = True
        for name, inode in left.names.items():
            left.log += [
                ("write", inode, 0, bytes(inode.data)),
                ("sync", inode, None, None),
                ("name", name, inode, None),
                ("sync folder", name.rpartition("/")[0], None, None),
            ]
        self.files = left
        await old.close()

    async def revive(self) -> None:
        self.engine = self._new()
        await self.engine.start()
        self.down = False

    def fill(self, full: bool) -> None:
        def fault(what: str) -> None:
            if what in ("write", "create"):
                raise OSError(errno.ENOSPC, "No space left on device")

        self.files.fault = fault if full else lambda what: None

    def rot(self) -> bool:
        """Turns over some byte of some record."""
        volumes = [inode for name, inode in self.files.names.items() if name.endswith(".vol")]
        files = [inode for name, inode in self.files.names.items() if name.startswith("large/")]
        inode = self._chance.choice(files if files and self._chance.random() < 0.4 else volumes)
        used = [at for at in range(0, len(inode.data), 16) if inode.data[at : at + 16] != bytes(16)]
        if not used:
            return False
        spot = self._chance.choice(used) + self._chance.randrange(16)
        inode.data[spot] ^= 1 << self._chance.randrange(8)
        if spot < len(inode.durable):
            inode.durable[spot] = inode.data[spot]
        self.files.log.append(("write", inode, spot, bytes(inode.data[spot : spot + 1])))
        self.files.log.append(("sync", inode, None, None))
        return True


class Network:
    """Which zones can talk; requests and answers take time, and get lost."""

    def __init__(self, clock: FakeClock, chance: random.Random, zones: int) -> None:
        self.isolations = dict.fromkeys(range(zones), 0)
        """How often each did not see most of the others."""
        self.cuts: set[frozenset[int]] = set()
        self.breaks = True
        """Whether connections break at times, in the middle of a body."""
        self.clock = clock
        self.chance = chance

    def apart(self, one: int, other: int) -> bool:
        return frozenset((one, other)) in self.cuts

    def cut(self, one: int, others: Collection[int]) -> None:
        self.cuts |= {frozenset((one, other)) for other in others}
        for zone in self.isolations:
            self.isolations[zone] += not self.sees_most(zone)

    def sees_most(self, zone: int) -> bool:
        """Whether all but one other zone can be reached: fewer than a write was acknowledged by."""
        return sum(zone in cut for cut in self.cuts) < 2

    async def carry(self, zone: int, disk: Disk, work: Callable[[ObjectEngine], Awaitable[Any]]) -> Any:
        if disk.down:
            raise DeviceError("connection refused")
        if self.apart(zone, disk.number):
            await self.clock.sleep(self.chance.choice((0.0, 20.0)))
            raise DeviceError("no route, or no answer")
        await self.clock.sleep(self.chance.uniform(0.001, 0.01) + disk.slow_seconds)
        engine = disk.engine
        if disk.down or self.apart(zone, disk.number):
            raise DeviceError("the request is lost")
        try:
            answer = await work(engine)
        finally:
            await self.clock.sleep(self.chance.uniform(0.001, 0.005))
            if disk.engine is not engine or disk.down or self.apart(zone, disk.number):
                raise DeviceError("the answer is lost")
        return answer


class Link:
    """A `Member`: a disk as somebody in a zone sees it."""

    def __init__(self, network: Network, zone: int, disk: Disk) -> None:
        self._network = network
        self._zone = zone
        self._disk = disk

    async def _do(self, work: Callable[[ObjectEngine], Awaitable[Any]]) -> Any:
        return await self._network.carry(self._zone, self._disk, work)

    def _ask(self, work: Callable[[ObjectEngine], Awaitable[Any]]) -> asyncio.Future[Any]:
        return asyncio.ensure_future(self._do(work))

    async def start(self, told: Told, since: str) -> None:
        """The disk was started by itself."""

    def mark(self) -> str:
        return ""

    async def close(self) -> None:
        """The disk goes on."""

    def find(self, key: bytes) -> asyncio.Future[Version | None]:
        return self._ask(lambda engine: engine.find(key))

    def peek(self, key: bytes) -> asyncio.Future[Stamp | None]:
        return self._ask(lambda engine: engine.peek(key))

    def store(self, key: bytes, version: Version) -> asyncio.Future[None]:
        return self._ask(lambda engine: engine.store(key, version))

    async def put(self, key: bytes, path: str, timestamp: Timestamp, metadata: bytes, body: bytes) -> None:
        raise NotImplementedError

    async def update(self, key: bytes, timestamp: Timestamp, change: Callable[[bytes], bytes]) -> Version:
        raise NotImplementedError

    async def delete(self, key: bytes, path: str, timestamp: Timestamp) -> None:
        raise NotImplementedError

    async def claim(self, key: bytes, holder: bytes, timestamp: Timestamp, seconds: float) -> bool:
        return bool(await self._do(lambda engine: engine.claim(key, holder, timestamp, seconds)))

    async def release(self, key: bytes, holder: bytes) -> bool:
        return bool(await self._do(lambda engine: engine.release(key, holder)))

    async def tidy(self, forget_before: Timestamp) -> int:
        return 0

    def writer(self, key: bytes, path: str) -> MemberWriter:
        return LinkWriter(self._do, key, path)

    async def read(self, key: bytes, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        async def whole(engine: ObjectEngine) -> list[bytes]:
            return [chunk async for chunk in engine.read(key, version, offset, length)]

        body = b"".join(await self._do(whole))
        for start in range(0, len(body), 2000):
            if self._network.breaks and self._network.chance.random() < 0.05:
                raise DeviceError("the connection broke")
            yield body[start : start + 2000]

    async def summaries(self, part_power: int) -> Mapping[int, int]:
        found: Mapping[int, int] = await self._do(lambda engine: engine.summaries(part_power))
        return found

    async def suffixes(self, part_power: int, partition: int) -> Mapping[int, int]:
        found: Mapping[int, int] = await self._do(lambda engine: engine.suffixes(part_power, partition))
        return found

    async def stamps(
        self, part_power: int, partition: int, suffixes: Collection[int] | None = None
    ) -> Mapping[bytes, Stamp]:
        found: Mapping[bytes, Stamp] = await self._do(
            lambda engine: engine.stamps(part_power, partition, suffixes)
        )
        return found

    async def drop(self, key: bytes, stamp: Stamp) -> bool:
        return bool(await self._do(lambda engine: engine.drop(key, stamp)))

    async def check(self, key: bytes) -> int:
        return int(await self._do(lambda engine: engine.check(key)))

    async def capacity(self) -> Capacity:
        raise NotImplementedError

    async def ring(self) -> str:
        return str(await self._do(lambda engine: engine.ring()))


class LinkWriter:
    def __init__(
        self, do: Callable[[Callable[[ObjectEngine], Awaitable[Any]]], Awaitable[Any]], key: bytes, path: str
    ) -> None:
        self._do = do
        self._key = key
        self._path = path
        self._writer: MemberWriter | None = None
        self._engine: ObjectEngine | None = None

    def _own(self, engine: ObjectEngine) -> MemberWriter:
        if self._writer is None:
            self._writer, self._engine = engine.writer(self._key, self._path), engine
        if engine is not self._engine:
            raise DeviceError("the server is another by now")
        return self._writer

    async def write(self, chunk: bytes) -> None:
        await self._do(lambda engine: self._own(engine).write(chunk))

    async def finish(self, timestamp: Timestamp, metadata: bytes, changed: Timestamp | None = None) -> None:
        await self._do(lambda engine: self._own(engine).finish(timestamp, metadata, changed))

    async def abort(self) -> None:
        if self._writer is not None:
            await self._writer.abort()


class World:
    """Disks, each in a zone of its own, and a proxy in each zone. Every other proxy writes to its half of the zones first."""

    def __init__(
        self,
        seed: int,
        devices: int,
        replicas: int,
        disk: Callable[[int, random.Random], Disk] = Disk,
    ) -> None:
        self.chance = random.Random(seed)
        self.executor = CountingExecutor()
        self.clock = FakeClock(auto=True, busy=self._busy)
        self.network = Network(self.clock, self.chance, devices)
        self.disks = [disk(number, self.chance) for number in range(devices)]
        self.ring = local_ring(devices, replicas)
        patience = Patience(errors=4, suspended_seconds=20)
        self.proxies = [
            ObjectCluster(self.ring, self._links(zone), self.clock, patience, self._affinity(zone, devices))
            for zone in range(devices)
        ]
        self.skews = [self.chance.uniform(-3, 3) for _ in range(devices)]
        self._last = 0

    @staticmethod
    def _affinity(zone: int, zones: int) -> Affinity:
        half = zone < zones // 2
        return Affinity(local=lambda device: (device.zone - 1 < zones // 2) is half) if zone % 2 else NONE

    def _links(self, zone: int) -> dict[int, Link]:
        return {disk.number: Link(self.network, zone, disk) for disk in self.disks}

    def _busy(self) -> bool:
        return self.executor.running > 0 or any(disk.engine.busy for disk in self.disks)

    async def start(self) -> None:
        asyncio.get_running_loop().set_default_executor(self.executor)
        for disk in self.disks:
            await disk.engine.start()

    async def close(self) -> None:
        for proxy in self.proxies:
            await proxy.close()
        for disk in self.disks:
            await disk.engine.close()

    def now(self, proxy: int) -> Timestamp:
        """By the proxy's own clock; never the same twice anywhere."""
        units = Timestamp.at(self.clock.now().timestamp() + self.skews[proxy]).units
        self._last += 1
        return Timestamp(units // 10_000 * 10_000 + self._last % 10_000)

    async def walk(self) -> dict[str, int]:
        """Every disk's auditor, then its replicator, once each."""
        placement = Placement(self.ring, self._links(0), self.clock, Patience())
        daemons = Daemons(self.clock)
        members = {id_: peer.member for id_, peer in placement.peers.items()}
        daemons.add(Auditor(members, members, self.ring.part_power))
        daemons.add(Replicator(placement, members, self.clock, RECLAIM_SECONDS))
        counts: dict[str, int] = {}
        for name in ("object-auditor", "object-replicator"):
            counts |= (await daemons.run_once(name)).counts
        return counts

    def heal(self) -> None:
        self.network.cuts.clear()
        self.network.breaks = False
        for disk in self.disks:
            disk.fill(False)
            disk.slow_seconds = 0.0
