"""An `ObjectDevice` that is a ring of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import msgspec
import structlog

from pileus.drivers.object.answers import chunks_of
from pileus.drivers.object.cluster.absent import AbsentMember
from pileus.drivers.object.cluster.claiming import Claiming
from pileus.drivers.object.cluster.copying import bring
from pileus.drivers.object.cluster.look import Look
from pileus.drivers.object.cluster.member import Member, Stamp
from pileus.drivers.object.cluster.peer import PATIENCE, Patience, Peer, Placement
from pileus.drivers.object.cluster.reading import Reading
from pileus.drivers.object.cluster.upload import SMALL_BYTES, ClusterWriter
from pileus.drivers.object.cluster.write import Write
from pileus.kernel.clock import Clock
from pileus.lib.ring.affinity import NONE, Affinity
from pileus.lib.ring.ring import Ring
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import (
    DeviceError,
    Missing,
    Superseded,
    Told,
    Version,
    whole_or_nothing,
)

log = structlog.get_logger("pileus.object_store")
REMEMBERED = 65536
"""Objects of which it is known what was told last."""


class ObjectCluster:
    """Versions on as many devices as the ring has replicas; a write is acknowledged when a quorum has it durably."""

    def __init__(
        self,
        ring: Ring,
        members: Mapping[int, Member],
        clock: Clock,
        patience: Patience = PATIENCE,
        affinity: Affinity = NONE,
    ) -> None:
        self.placement = Placement(ring, members, clock, patience, affinity)
        self.clock = clock
        self._claiming = Claiming(self.placement, clock)
        self._background: set[asyncio.Task[None]] = set()
        self._told: dict[str, Stamp] = {}
        self._teller: Told = lambda version: None

    async def start(self, told: Told, since: str) -> None:
        """A device that does not start is passed over. Each tells of its own changes, from its own part of the mark."""
        marks = msgspec.json.decode(since, type=dict[int, str]) if since else {}
        self._teller = partial(self._hear, told)
        failures = []
        for peer in self.placement.peers.values():
            try:
                await peer.member.start(self._teller, marks.get(peer.id, ""))
            except (DeviceError, OSError) as error:
                log.error("a device of the ring does not start", device=peer.id, error=str(error))
                failures.append(error)
                peer.member = AbsentMember(f"device {peer.id} did not start: {error}", marks.get(peer.id, ""))
        if len(failures) == len(self.placement.peers):
            raise DeviceError(f"no device of the ring starts: {failures[0]}")

    async def change(self, ring: Ring, members: Mapping[int, Member]) -> None:
        """Goes by another ring of the same part power from now on; writes under way finish by the old one."""
        known = {id(peer.member) for peer in self.placement.peers.values()}
        for member in members.values():
            if id(member) not in known:
                await member.start(self._teller, "")
        self.placement.change(ring, members)

    def _hear(self, told: Told, version: Version) -> None:
        """Once of what several devices tell, and never of something older than before."""
        stamp = Stamp.of(version)
        if self._told.get(version.path, stamp) > stamp or self._told.get(version.path) == stamp:
            return
        if len(self._told) >= REMEMBERED:
            self._told.clear()
        self._told[version.path] = stamp
        told(version)

    def mark(self) -> str:
        marks = {peer.id: peer.member.mark() for peer in self.placement.peers.values()}
        return msgspec.json.encode(marks).decode()

    async def close(self) -> None:
        if self._background:
            await asyncio.wait(self._background)
        await asyncio.gather(*(peer.member.close() for peer in self.placement.peers.values()))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Goes on after the answer; `close` waits for it."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def find(self, key: bytes) -> Version | None:
        look = Look(self.placement.of(key), key, self.clock, self.placement.patience)
        return await look.run(must_be_sure=self._claiming.is_held(key))

    async def put(self, key: bytes, path: str, timestamp: Timestamp, metadata: bytes, body: bytes) -> None:
        if len(body) > SMALL_BYTES:
            async with whole_or_nothing(self.writer(key, path)) as writer:
                await writer.write(body)
                await writer.finish(timestamp, metadata)
            return
        await self._write(key, Version(path, timestamp, timestamp, len(body), metadata, False, body))

    def writer(self, key: bytes, path: str) -> ClusterWriter:
        return ClusterWriter(self, key, path)

    def read(self, key: bytes, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        if version.body is not None:
            return chunks_of(version.body[offset : offset + length])
        seats = self.placement.of(key)
        return Reading(seats, key, version, offset, length, self.clock, self.placement.patience).chunks()

    async def update(self, key: bytes, timestamp: Timestamp, change: Callable[[bytes], bytes]) -> Version:
        """The newest version's metadata are changed once, here, and the outcome goes to all that ought to have it."""
        known = await self.find(key)
        if known is None or known.deleted:
            raise Missing(None if known is None else known.timestamp)
        if timestamp <= known.changed:
            raise Superseded(known.changed, deleted=False)
        version = known._replace(changed=timestamp, metadata=change(known.metadata))
        await self._write(key, version)
        return version

    async def delete(self, key: bytes, path: str, timestamp: Timestamp) -> None:
        await self._write(key, Version(path, timestamp, timestamp, 0, b"", True, None))

    async def _write(self, key: bytes, version: Version) -> None:
        seats, patience = self.placement.of(key), self.placement.patience
        await Write(seats, key, version, self.clock, patience, partial(self._bring, key, version)).run()

    async def _bring(self, key: bytes, version: Version, target: Peer) -> None:
        """A large object to a device that has only been sent new metadata of it."""
        why = DeviceError(f"the data of {version.path} can't be found")
        for source in self.placement.every(key):
            if source is target or source.suspended:
                continue
            try:
                stamp = await source.member.peek(key)
                if stamp is not None and not stamp.deleted and stamp.timestamp == version.timestamp:
                    await bring(source.member, target.member, key, version)
                    return
            except DeviceError as error:
                why = error
        raise why

    async def claim(self, key: bytes, holder: bytes, timestamp: Timestamp, seconds: float) -> bool:
        return await self._claiming.claim(key, holder, timestamp, seconds)

    async def release(self, key: bytes, holder: bytes) -> bool:
        return await self._claiming.release(key, holder)

    async def tidy(self, forget_before: Timestamp) -> int:
        freed = [await peer.member.tidy(forget_before) for peer in self.placement.peers.values()]
        return sum(freed)
