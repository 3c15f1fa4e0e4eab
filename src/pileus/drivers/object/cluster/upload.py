"""A large object on its way to several devices at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from pileus.drivers.object.cluster.member import MemberWriter
from pileus.drivers.object.cluster.peer import Peer, quorum
from pileus.drivers.object.cluster.waiting import within
from pileus.drivers.object.cluster.write import Tally
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, DeviceFull, Superseded

if TYPE_CHECKING:
    from pileus.drivers.object.cluster.device import ObjectCluster

SMALL_BYTES = 256 * 1024
"""Up to this size an object goes in one step."""
REPLAY_BYTES = 4 * 1024 * 1024
"""So much is kept, so that a handoff can take the place of a device that fails early: a full one does."""


class _Lane:
    def __init__(self, peer: Peer, writer: MemberWriter, *, primary: bool) -> None:
        self.peer = peer
        self.writer = writer
        self.primary = primary


class ClusterWriter:
    """An `ObjectWriter`. The slowest device dictates the pace, unless it takes too long."""

    def __init__(self, cluster: ObjectCluster, key: bytes, path: str) -> None:
        self._cluster = cluster
        self._key = key
        self._path = path
        self._seats = cluster.placement.of(key)
        self._quorum = quorum(len(self._seats.primaries))
        self._others: Iterator[Peer] = iter(self._seats.rest)
        self._lanes: list[_Lane] | None = None
        self._kept: list[bytes | memoryview] | None = []
        """All that came so far; None once it is too much."""
        self._size = 0
        self._why: DeviceError | None = None

    async def write(self, chunk: bytes | memoryview) -> None:
        if not chunk:
            return
        self._size += len(chunk)
        if self._kept is not None:
            self._kept.append(chunk)
        if self._lanes is None:
            if self._size > SMALL_BYTES:
                await self._open()
            return
        if self._size > REPLAY_BYTES:
            self._kept = None
        await self._send(self._lanes, [chunk])

    async def _open(self) -> None:
        peers = [peer for peer in self._seats.first if not peer.suspended]
        self._lanes = [self._lane(peer) for peer in peers]
        for _ in range(len(self._seats.first) - len(peers)):
            if (peer := self._handoff()) is not None:
                self._lanes.append(self._lane(peer))
        await self._send(self._lanes, self._kept or [])

    def _lane(self, peer: Peer) -> _Lane:
        return _Lane(peer, peer.member.writer(self._key, self._path), primary=peer in self._seats.primaries)

    def _handoff(self) -> Peer | None:
        return next((peer for peer in self._others if not peer.suspended), None)

    async def _send(self, lanes: list[_Lane], chunks: list[bytes | memoryview]) -> None:
        """To all of them, and to handoffs what those missed that fail. Raises DeviceError where too few are left."""
        while lanes:
            failed = await self._each(lanes, partial(_write, chunks))
            lanes = []
            for lane in failed:
                assert self._lanes is not None
                self._lanes.remove(lane)
                self._cluster.spawn(self._abort(lane))
                if self._kept is not None and (peer := self._handoff()) is not None:
                    lanes.append(self._lane(peer))
                    chunks = list(self._kept)
            if lanes:
                assert self._lanes is not None
                self._lanes += lanes
        self._check()

    def _check(self) -> None:
        lanes = self._lanes or []
        if len(lanes) < self._quorum or not any(lane.primary for lane in lanes):
            raise self._why or DeviceError(f"{len(lanes)} devices can take it, {self._quorum} must")

    async def _each(
        self, lanes: list[_Lane], job: Callable[[_Lane], Coroutine[Any, Any, None]]
    ) -> list[_Lane]:
        """Those of which it failed."""
        tasks = {lane: asyncio.ensure_future(job(lane)) for lane in lanes}
        try:
            await within(
                self._cluster.clock, self._cluster.placement.patience.answer_seconds, *tasks.values()
            )
        finally:
            for task in tasks.values():
                task.cancel()
        failed = []
        for lane, task in tasks.items():
            error: BaseException | None = DeviceError("no answer in time")
            if task.done() and not task.cancelled():
                error = task.exception()
            if error is None:
                continue
            if not isinstance(error, DeviceError):
                raise error
            if not isinstance(error, DeviceFull):
                lane.peer.ill(error)
            self._why = error
            failed.append(lane)
        return failed

    async def finish(self, timestamp: Timestamp, metadata: bytes) -> None:
        if self._lanes is None:
            body = b"".join(self._kept or [])
            await self._cluster.put(self._key, self._path, timestamp, metadata, body)
            return
        tally = Tally(len(self._seats.primaries))
        event = asyncio.Event()

        async def finish(lane: _Lane) -> None:
            try:
                await lane.writer.finish(timestamp, metadata)
                tally.durable(primary=lane.primary)
            except (DeviceError, Superseded) as error:
                tally.failed(error)
                await self._abort(lane)
            finally:
                tally.pending -= 1
                if tally.decided:
                    event.set()

        lanes, self._lanes = self._lanes, []
        tally.pending = len(lanes)
        for lane in lanes:
            self._cluster.spawn(finish(lane))
        await self._cluster.clock.wait(event, self._cluster.placement.patience.answer_seconds)
        if (error := tally.outcome()) is not None:
            raise error

    async def abort(self) -> None:
        lanes, self._lanes = self._lanes or [], []
        for lane in lanes:
            self._cluster.spawn(self._abort(lane))

    async def _abort(self, lane: _Lane) -> None:
        try:
            await lane.writer.abort()
        except DeviceError as error:
            lane.peer.ill(error)


async def _write(chunks: list[bytes | memoryview], lane: _Lane) -> None:
    for chunk in chunks:
        await lane.writer.write(chunk)
