"""Makes the replicas of each partition agree, and brings home what handoffs hold."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import NamedTuple

import structlog

from pileus.drivers.object.cluster.copying import push
from pileus.drivers.object.cluster.member import Stamp
from pileus.drivers.object.cluster.peer import Peer, Placement
from pileus.kernel.clock import Clock
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.daemons import Walk
from pileus.services.object_store.driver import DeviceError

log = structlog.get_logger("pileus.object_store")
EVERY_SECONDS = 30.0
PARTITIONS_A_SECOND = 200.0


class _Known(NamedTuple):
    """Of another device."""

    ring: str
    summaries: Mapping[int, int]


class Replicator:
    """A daemon. Each device pushes what it has to those that ought to have it and don't; nobody pulls.

    Devices compare a number for each partition, then for each suffix of those that differ, then the stamps in these. A
    handoff forgets what all primaries have. A deletion older than `reclaim_seconds` is pushed only where there is
    something to delete: others have forgotten it by right.
    """

    name = "object-replicator"
    every_seconds = EVERY_SECONDS
    per_second = PARTITIONS_A_SECOND

    def __init__(
        self, placement: Placement, local: Collection[int], clock: Clock, reclaim_seconds: float
    ) -> None:
        """`local`: ids of the devices that are this process's to look after; they may grow."""
        self._placement = placement
        self._local = local
        self._clock = clock
        self._reclaim_seconds = reclaim_seconds
        self._power = placement.ring.part_power
        """That of every ring to come."""

    async def walk(self, walk: Walk) -> None:
        for id_ in sorted(self._local):
            peer = self._placement.peers[id_]
            try:
                mine = await peer.member.summaries(self._power)
            except DeviceError as error:
                log.warning("a device can't be replicated from", device=id_, error=str(error))
                walk.count(failures=1)
                continue
            theirs: dict[Peer, _Known | None] = {}
            for partition, summary in sorted(mine.items()):
                place = f"{id_:06d}/{partition:08d}"
                if place > walk.since:
                    await self._partition(peer, partition, summary, theirs, walk)
                    await walk.step(place)

    async def _partition(
        self, peer: Peer, partition: int, summary: int, theirs: dict[Peer, _Known | None], walk: Walk
    ) -> None:
        ring = self._placement.ring
        primaries = self._placement.seats(partition).primaries
        at_home = peer in primaries
        # Before anything is compared: what comes later is not for this walk to forget. For the same reason a handoff's
        # numbers are asked for anew.
        held = {} if at_home else await peer.member.stamps(self._power, partition)
        everywhere = True
        for other in primaries:
            if other is peer:
                continue
            if other not in theirs:
                theirs[other] = await self._ask(other)
            known = theirs[other]
            if known is None:
                walk.count(unreachable=1)
                everywhere = False
            elif not at_home or known.summaries.get(partition, 0) != summary:
                # Who goes by another ring may take this device for a primary, and forget what it relies on it to keep.
                everywhere &= known.ring in ("", ring.digest)
                try:
                    everywhere &= await self._push(peer, other, partition, walk)
                except DeviceError as error:
                    log.warning(
                        "a partition can't be replicated",
                        partition=partition,
                        device=other.id,
                        error=str(error),
                    )
                    walk.count(failures=1)
                    everywhere = False
        if everywhere:
            for key, stamp in held.items():
                if self._placement.ring is not ring:
                    return
                if await peer.member.drop(key, stamp):
                    walk.count(brought_home=1)

    async def _ask(self, other: Peer) -> _Known | None:
        try:
            return _Known(await other.member.ring(), await other.member.summaries(self._power))
        except DeviceError as error:
            other.ill(error)
            return None

    async def _push(self, peer: Peer, other: Peer, partition: int, walk: Walk) -> bool:
        """Whether `other` has all of it now."""
        mine, theirs = await asyncio.gather(
            peer.member.suffixes(self._power, partition), other.member.suffixes(self._power, partition)
        )
        differing = {suffix for suffix, number in mine.items() if theirs.get(suffix) != number}
        if not differing:
            return True
        held, known = await asyncio.gather(
            peer.member.stamps(self._power, partition, differing),
            other.member.stamps(self._power, partition, differing),
        )
        complete = True
        for key, stamp in held.items():
            if not self._wanted(stamp, known.get(key)):
                continue
            try:
                pushed = await push(peer.member, other.member, key, known.get(key))
                walk.count(pushed=pushed)
            except DeviceError as error:
                log.warning("a version can't be replicated", key=key.hex(), device=other.id, error=str(error))
                walk.count(failures=1)
                complete = False
        return complete

    def _wanted(self, stamp: Stamp, known: Stamp | None) -> bool:
        if known is not None:
            return known < stamp
        forgotten = Timestamp.at(max(0.0, self._clock.now().timestamp() - self._reclaim_seconds))
        return not (stamp.deleted and stamp.timestamp < forgotten)
