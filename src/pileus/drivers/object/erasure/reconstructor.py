"""The walk that puts fragments where they belong: lost ones are made anew, strayed ones moved, those of no use dropped."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import structlog

from pileus.drivers.object.cluster.member import Member, Stamp
from pileus.drivers.object.erasure.archive import KEY_BYTES, archive_of, record_of, split_key
from pileus.drivers.object.erasure.device import ErasureDevice
from pileus.drivers.object.erasure.lane import in_time
from pileus.drivers.object.erasure.repair import Repair
from pileus.kernel.clock import Clock
from pileus.lib.ring import Ring
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError

log = structlog.get_logger("pileus.object_store")
UNFINISHED_SECONDS = 24 * 3600.0
"""Archives without a record this old are of a write that came to no end."""


class Write(NamedTuple):
    """The archives of one write."""

    start: bytes
    """Of their keys."""
    timestamp: Timestamp
    devices: dict[int, list[int]]
    """By index the ids of the devices that have it."""


class Reconstructor:
    """A daemon. `record_members` are those of the device that keeps the records."""

    def __init__(
        self,
        device: ErasureDevice,
        record_members: Mapping[int, Member],
        clock: Clock,
        *,
        name: str = "object-reconstructor",
        local: Collection[int] | None = None,
        every_seconds: float = 30.0,
        per_second: float = math.inf,
    ) -> None:
        """`local`: ids of the fragments' devices that are this process's to look after, which may grow; None: all.

        A partition is looked after by whoever has the first of its devices that answers.
        """
        self.name = name
        self._local = local
        self.every_seconds = every_seconds
        self.per_second = per_second
        """Partitions."""
        self._device = device
        self._places = device.places
        self._record_members = record_members
        self._clock = clock
        self._agreed: Ring | None = None
        """The ring that all went by when the walk began: only then it is sure which fragments are astray."""

    async def walk(self, walk: Walk) -> None:
        if self._local is not None and not self._local:
            return
        first = int(walk.since) + 1 if walk.since else 0
        used: set[int] = set()
        away: set[int] = set()
        self._agreed = self._places.ring
        for id_, member in self._places.members.items():
            try:
                theirs = await in_time(member.ring(), self._device.patience_seconds)
                if theirs not in ("", self._places.ring.digest):
                    self._agreed = None
                work = member.summaries(self._places.ring.part_power)
                used.update(await in_time(work, self._device.patience_seconds))
            except DeviceError:
                away.add(id_)
        for partition in sorted(used):
            if partition >= first and self._is_mine(partition, away):
                await self._partition(partition, walk)
                await walk.step(str(partition))

    def _is_mine(self, partition: int, away: set[int]) -> bool:
        there = [id_ for id_ in self._places.primary_ids(partition) if id_ not in away]
        return self._local is None or (bool(there) and there[0] in self._local)

    async def _partition(self, partition: int, walk: Walk) -> None:
        away: set[int] = set()
        writes = await self._writes(partition, away)
        if not writes:
            return
        objects, all_told = await self._objects(partition)
        for write in writes:
            known = objects.get(write.start[:KEY_BYTES])
            try:
                if known is None or known.timestamp < write.timestamp:
                    if (
                        all_told
                        and write.timestamp.seconds < self._clock.now().timestamp() - UNFINISHED_SECONDS
                    ):
                        await self._drop(write, walk, "unfinished")
                elif known.timestamp > write.timestamp or known.deleted:
                    if not self._device.is_held(write.start[KEY_BYTES:]):
                        await self._drop(write, walk, "superseded")
                else:
                    await self._set_right(partition, write, away, walk)
            except DeviceError as error:
                walk.count(failed=1)
                log.warning("fragments can't be set right now", partition=partition, reason=str(error))

    async def _writes(self, partition: int, away: set[int]) -> list[Write]:
        """What the fragments' members have of a partition; who does not answer is added to `away`."""
        found: dict[bytes, Write] = {}
        for id_, member in self._places.members.items():
            stamps = await self._stamps(member, partition)
            if stamps is None:
                away.add(id_)
                continue
            for key, stamp in stamps.items():
                start, index = split_key(key)
                write = found.setdefault(start, Write(start, stamp.timestamp, {}))
                if not stamp.deleted:
                    write.devices.setdefault(index, []).append(id_)
        return list(found.values())

    async def _objects(self, partition: int) -> tuple[dict[bytes, Stamp], bool]:
        """The newest stamps by the part of the key that archives have; whether each member told."""
        newest: dict[bytes, Stamp] = {}
        all_told = True
        for member in list(self._record_members.values()):
            stamps = await self._stamps(member, partition)
            if stamps is None:
                all_told = False
                continue
            for key, stamp in stamps.items():
                start = key[:KEY_BYTES]
                newest[start] = max(newest.get(start, stamp), stamp)
        return newest, all_told

    async def _stamps(self, member: Member, partition: int) -> dict[bytes, Stamp] | None:
        try:
            work = member.stamps(self._places.ring.part_power, partition)
            return dict(await in_time(work, self._device.patience_seconds))
        except DeviceError:
            return None

    async def _drop(self, write: Write, walk: Walk, why: str) -> None:
        for index, ids in write.devices.items():
            for id_ in ids:
                await self._drop_one(write, index, id_)
        walk.count(**{why: 1})

    async def _drop_one(self, write: Write, index: int, id_: int) -> None:
        stamp = Stamp(write.timestamp, write.timestamp)
        work = self._places.members[id_].drop(write.start + bytes((index,)), stamp)
        await in_time(work, self._device.patience_seconds)

    async def _set_right(self, partition: int, write: Write, away: set[int], walk: Walk) -> None:
        primary = self._places.primary_ids(partition)
        astray = [
            (index, id_) for index, ids in write.devices.items() for id_ in ids if id_ != primary[index]
        ]
        missing = [
            index
            for index, id_ in enumerate(primary)
            if id_ not in away and id_ not in write.devices.get(index, ())
        ]
        if not missing and not astray:
            return
        repair = await self._repair(write)
        if repair is None:
            await self._drop(write, walk, "superseded")
            return
        lost = [index for index in missing if index not in write.devices]
        done = await repair.rebuild({index: self._places.members[primary[index]] for index in lost})
        walk.count(rebuilt=len(done))
        for index in missing:
            if index in write.devices and await repair.move(index, self._places.members[primary[index]]):
                done.append(index)
                walk.count(moved=1)
        if len(done) < len(missing):
            walk.count(failed=1)
        for index, id_ in astray:
            if self._places.ring is not self._agreed:
                return
            if index in done or primary[index] in write.devices[index]:
                await self._drop_one(write, index, id_)

    async def _repair(self, write: Write) -> Repair | None:
        """None where the object is of another write, of the same moment."""
        holders = {index: [self._places.members[id_] for id_ in ids] for index, ids in write.devices.items()}
        index, (member, *_) = next(iter(holders.items()))
        found = await in_time(member.find(write.start + bytes((index,))), self._device.patience_seconds)
        if found is None or found.deleted:
            raise DeviceError("a fragment archive went away while it was looked at")
        archive = archive_of(found)
        kept = await self._device.records.find(archive.key)
        if kept is None or kept.deleted or kept.timestamp != write.timestamp:
            raise DeviceError(f"{found.path} changed while it was looked at")
        record = record_of(kept)
        if record.write != write.start[KEY_BYTES:]:
            return None
        return Repair(self._device, archive.key, found.path, write.timestamp, record, holders)
