"""Objects on their way in: fragments first, then the record that makes them the object."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

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

    async def write(self, chunk: bytes) -> None:
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
        places = self._device.places
        return [
            Lane(each, archive_key(self._key, self._write, index), self._path, self._device.patience_seconds)
            for index, each in enumerate(targets(places.primaries(self._key), places.handoffs(self._key)))
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
            size = self._size
            work = [
                lane.finish(timestamp, self._archive(index, size)) for index, lane in enumerate(self._lanes)
            ]
        else:
            size, self._lanes = len(rest), self._new_lanes()
            fragments = self._code.encode(rest)
            work = [
                lane.put(timestamp, self._archive(index, size), fragments[index])
                for index, lane in enumerate(self._lanes)
            ]
        await self._device.settle(work, lambda: sum(lane.stored for lane in self._lanes) >= self._code.quorum)
        try:
            self._require_quorum()
            record = encode(Record(metadata, size, self._write, self._code.scheme))
        except DeviceError:
            self._discard(timestamp)
            raise
        try:
            await self._device.commit(self._key, self._path, timestamp, record, b"")
        except Superseded:
            self._discard(timestamp)
            raise

    def _discard(self, timestamp: Timestamp) -> None:
        """Of a record that could not be written for other reasons some device may yet have it: its archives stay."""
        for lane in self._lanes:
            if lane.member is not None:
                self._device.drop(lane.member, lane.key, timestamp)

    def _archive(self, index: int, size: int) -> bytes:
        return encode(Archive(self._key, index, size, self._code.scheme))

    async def abort(self) -> None:
        self._gathered.clear()
        lanes, self._lanes = self._lanes, []
        await asyncio.gather(*(lane.abort() for lane in lanes))
