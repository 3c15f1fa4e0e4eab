"""Reads everything that devices hold, so that rotten bytes are found while there are sound copies."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import structlog

from pileus.drivers.object.cluster.member import Broken, Member
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError

log = structlog.get_logger("pileus.object_store")
EVERY_SECONDS = 3600.0
READS_A_SECOND = 100.0
READ_BYTES = 128 * 1024
"""A version counts as one read for each so many bytes of it."""


class Auditor:
    """A daemon. What is broken goes to quarantine; the replicator then brings it back from another device."""

    name = "object-auditor"
    every_seconds = EVERY_SECONDS
    per_second = READS_A_SECOND

    def __init__(self, members: Mapping[int, Member], local: Collection[int], part_power: int) -> None:
        self._members = members
        self._local = local
        self._power = part_power

    async def walk(self, walk: Walk) -> None:
        for id_ in sorted(self._local):
            try:
                await self._device(id_, self._members[id_], walk)
            except DeviceError as error:
                log.warning("a device can't be audited", device=id_, error=str(error))
                walk.count(failures=1)

    async def _device(self, id_: int, member: Member, walk: Walk) -> None:
        for partition in sorted(await member.summaries(self._power)):
            place = f"{id_:06d}/{partition:08d}"
            if place <= walk.since:
                continue
            await walk.step(place, 0)
            for key in await member.stamps(self._power, partition):
                size = 0
                try:
                    size = await member.check(key)
                    walk.count(checked=1, bytes=size)
                except Broken as error:
                    log.error("a version is in quarantine", device=id_, key=key.hex(), error=str(error))
                    walk.count(quarantined=1)
                await walk.step(place, 1 + size / READ_BYTES)
