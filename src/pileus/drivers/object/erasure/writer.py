"""Objects on their way in: fragments first, then the record that makes them the object."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from pileus.drivers.object.engine import SMALL_BYTES
from pileus.drivers.object.erasure.archive import Archive, Record, archive_key, encode, new_write
from pileus.drivers.object.erasure.lane import Lane, refusal, targets
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, Superseded

if TYPE_CHECKING:
    from pileus.drivers.object.erasure.device import ErasureDevice


class ErasureWriter:
    """An `ObjectWriter`. Holds two segments at most, whatever the object's size."""

    def __init__(self, device: ErasureDevice, key: bytes, path: str) -> None:
        self._device = device
        self._code = device.code
        self._key, self._path = key, path
        self._write = new_write()
        self._gathered = bytearray()
        self._size = 0
        self._lanes: list[Lane] = []

    async def write(self, chunk: bytes | memoryview) -> None:
        self._gathered += chunk
        segment = self._code.scheme.segment_bytes
        while len(self._gathered) > segment:
            await self._feed(bytes(self._gathered[:segment]))
            del self._gathered[:segment]

    async def _feed(self, segment: bytes) -> None:
        fragments = self._code.encode(segment)
        if not self._lanes:
            self._lanes = self._new_lanes()
        await asyncio.gather(*(lane.ready() for lane in self._lanes))
        self._require_quorum()
        for lane, fragment in zip(self._lanes, fragments, strict=True):
            lane.feed(fragment)
        self._size += len(segment)

    def _new_lanes(self) -> list[Lane]:
        primaries, handoffs, _ = self._device.places.of(self._key)
        return [
            Lane(each, archive_key(self._key, self._write, index), self._path, self._device.patience_seconds)
            for index, each in enumerate(targets(primaries, iter(handoffs)))
        ]

    def _require_quorum(self) -> None:
        if sum(lane.failure is None for lane in self._lanes) < self._code.quorum:
            raise refusal(self._lanes, self._code.quorum)

    async def finish(self, timestamp: Timestamp, metadata: bytes) -> None:
        rest, self._gathered = bytes(self._gathered), bytearray()
        if not self._lanes and len(rest) <= self._device.inline_bytes:
            kept = encode(Record(metadata, len(rest)))
            await self._device.commit(self._key, self._path, timestamp, kept, rest)
            return
        if self._lanes:
            await self._feed(rest)
            work = [lane.finish(timestamp, self._archive(index)) for index, lane in enumerate(self._lanes)]
        else:
            work = await self._put_whole(rest, timestamp)
        await self._device.settle(work, lambda: sum(lane.stored for lane in self._lanes) >= self._code.quorum)
        try:
            self._require_quorum()
            record = encode(Record(metadata, self._size, self._write, self._code.scheme))
        except DeviceError:
            self._discard(timestamp)
            raise
        try:
            await self._device.commit(self._key, self._path, timestamp, record, b"")
        except Superseded:
            self._discard(timestamp)
            raise

    async def _put_whole(self, body: bytes, timestamp: Timestamp) -> list[Coroutine[Any, Any, None]]:
        """An object of one segment; returns what is left to do."""
        self._size, self._lanes = len(body), self._new_lanes()
        fragments = self._code.encode(body)
        if len(fragments[0]) > SMALL_BYTES:
            return [
                lane.put(timestamp, self._archive(index), fragments[index])
                for index, lane in enumerate(self._lanes)
            ]
        # Without a task for each: where all is well there is nothing left.
        storing = [
            lane.store(timestamp, self._archive(index), fragments[index])
            for index, lane in enumerate(self._lanes)
        ]
        await self._device.answers(storing)
        for lane, each in zip(self._lanes, storing, strict=True):
            lane.stored = each.done() and each.exception() is None
        return [
            lane.put(timestamp, self._archive(index), fragments[index], storing[index])
            for index, lane in enumerate(self._lanes)
            if not lane.stored
        ]

    def _discard(self, timestamp: Timestamp) -> None:
        """Of a record that could not be written for other reasons some device may yet have it: its archives stay."""
        for lane in self._lanes:
            if lane.member is not None:
                self._device.drop(lane.member, lane.key, timestamp)

    def _archive(self, index: int) -> bytes:
        return encode(Archive(self._key, index, self._size, self._code.scheme))

    async def abort(self) -> None:
        self._gathered.clear()
        lanes, self._lanes = self._lanes, []
        await asyncio.gather(*(lane.abort() for lane in lanes))
