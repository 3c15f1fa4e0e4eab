"""An erasure-coded device over disks in memory, which can be away, hang, be full or broken."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from typing import Any

from pileus.drivers.object.cluster.device import ObjectCluster
from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.erasure.archive import split_key
from pileus.drivers.object.erasure.assemble import record_ring
from pileus.drivers.object.erasure.code import Scheme, best
from pileus.drivers.object.erasure.device import ErasureDevice
from pileus.drivers.object.erasure.places import Places
from pileus.drivers.object.sim import MemoryFiles
from pileus.kernel.clock import SystemClock
from pileus.lib.ring import Builder
from pileus.lib.ring.affinity import Affinity, Nearness, alike
from pileus.services.object_store.driver import DeviceError, Version

SMALL_VOLUMES = 1024 * 1024
SEGMENT = 64 * 1024
READ_BYTES = 16 * 1024


class Flaky:
    """A member that can be `away`, or does not answer (`hangs`); also in the midst of a read."""

    def __init__(self, engine: ObjectEngine) -> None:
        self.engine = engine
        self.away = self.hangs = False
        self.asked = 0

    async def _trouble(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise DeviceError("the member is away")

    def __getattr__(self, verb: str) -> Any:
        async def call(*arguments: Any) -> Any:
            self.asked += 1
            await self._trouble()
            return await getattr(self.engine, verb)(*arguments)

        return lambda *arguments: asyncio.ensure_future(call(*arguments))

    def mark(self) -> str:
        return self.engine.mark()

    def writer(self, key: bytes, path: str) -> Any:
        return _FlakyWriter(self, self.engine.writer(key, path))

    async def read(self, key: bytes, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        async for chunk in self.engine.read(key, version, offset, length):
            for start in range(0, len(chunk), READ_BYTES):
                await self._trouble()
                yield chunk[start : start + READ_BYTES]


class _FlakyWriter:
    def __init__(self, member: Flaky, writer: Any) -> None:
        self._member, self._writer = member, writer

    def __getattr__(self, verb: str) -> Any:
        async def call(*arguments: Any) -> None:
            if verb != "abort":
                await self._member._trouble()
            await getattr(self._writer, verb)(*arguments)

        return call


class Rig:
    """`data`+`parity` over so many devices, each of which has fragments and records."""

    def __init__(
        self, data: int, parity: int, members: int, segment_bytes: int = SEGMENT, power: int = 3
    ) -> None:
        self.scheme = Scheme(best(), data, parity, segment_bytes)
        self._shape = power, members
        self.lay_ring(seed=1)
        self.disks = [MemoryFiles() for _ in range(members)]
        self.record_disks = [MemoryFiles() for _ in range(members)]
        self.members: dict[int, Flaky] = {}
        self.record_members: dict[int, Flaky] = {}
        self.near: Nearness = alike

    def lay_ring(self, seed: int) -> None:
        power, members = self._shape
        builder = Builder(power, self.scheme.fragments)
        for number in range(members):
            builder.add(zone=number, ip=f"10.0.0.{number}", port=1, device="d", weight=1)
        builder.rebalance(seed, 1e9)
        self.ring = builder.ring()

    def device(self, **more: float) -> ErasureDevice:
        """Again: after a restart."""
        self.members = {
            number: Flaky(ObjectEngine(disk, volume_bytes=SMALL_VOLUMES, suffix_power=16))
            for number, disk in enumerate(self.disks)
        }
        self.record_members = {
            number: Flaky(ObjectEngine(disk, volume_bytes=SMALL_VOLUMES, suffix_power=16))
            for number, disk in enumerate(self.record_disks)
        }
        ring = record_ring(self.ring, self.scheme)
        self.records = ObjectCluster(ring, self.record_members, SystemClock(), affinity=Affinity(self.near))
        return ErasureDevice(
            self.records, Places(self.ring, self.members, self.scheme, self.near), self.scheme, **more
        )

    def send_away(self, number: int, *, away: bool = True) -> None:
        """The device with all that it has: fragments and records."""
        self.members[number].away = self.record_members[number].away = away

    def fill(self, number: int, *, full: bool = True) -> None:
        def fault(what: str) -> None:
            if what == "write":
                raise OSError(errno.ENOSPC, "no space")

        for disk in (self.disks[number], self.record_disks[number]):
            disk.fault = fault if full else lambda what: None

    async def archives(self) -> dict[bytes, dict[int, list[int]]]:
        """By write, by index: who has it."""
        found: dict[bytes, dict[int, list[int]]] = {}
        for id_, member in self.members.items():
            for partition in range(self.ring.partitions):
                for key in await member.engine.stamps(self.ring.part_power, partition):
                    start, index = split_key(key)
                    found.setdefault(start, {}).setdefault(index, []).append(id_)
        return found

    def belong(self, start: bytes) -> dict[int, list[int]]:
        """Where the archives of a write ought to be."""
        partition = int.from_bytes(start[:4], "big") >> (32 - self.ring.part_power)
        return {index: [row[partition]] for index, row in enumerate(self.ring.rows)}
