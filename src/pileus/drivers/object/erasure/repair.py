"""Archives of one object, made anew or moved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from pileus.drivers.object.cluster.member import Member
from pileus.drivers.object.erasure.archive import Archive, Record, archive_key, encode
from pileus.drivers.object.erasure.code import code_of
from pileus.drivers.object.erasure.device import ErasureDevice
from pileus.drivers.object.erasure.lane import Lane
from pileus.drivers.object.erasure.reader import Archives, Stream
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError

Fragments = Mapping[int, bytes]
"""By index."""


class Repair:
    """`holders`: by index who has the archive."""

    def __init__(
        self,
        device: ErasureDevice,
        key: bytes,
        path: str,
        timestamp: Timestamp,
        record: Record,
        holders: Mapping[int, Sequence[Member]],
    ) -> None:
        assert record.scheme is not None
        self._device = device
        self._key = key
        self._path = path
        self._timestamp = timestamp
        self._record = record
        self._scheme = record.scheme
        self._code = code_of(record.scheme)
        self._holders = holders
        self._last = (record.size_bytes - 1) // record.scheme.segment_bytes

    async def rebuild(self, targets: Mapping[int, Member]) -> list[int]:
        """Makes archives anew, each on its target; returns the indexes of those that are there now."""
        targets = {index: each for index, each in targets.items() if index < self._scheme.fragments}
        if not targets:
            return []
        return await self._write(targets, self._rebuilt(list(targets)))

    async def _rebuilt(self, indexes: list[int]) -> AsyncGenerator[Fragments, None]:
        archives = Archives(
            self._device, self._key, self._record, self._last, lambda index: self._holders.get(index, ())
        )
        try:
            for number in range(self._last + 1):
                there = await archives.fragments(number)
                yield dict(zip(indexes, self._code.rebuild(there, indexes), strict=True))
        finally:
            await archives.close()

    async def move(self, index: int, target: Member) -> bool:
        """Copies an archive that stands elsewhere."""
        return bool(await self._write({index: target}, self._copied(index)))

    async def _copied(self, index: int) -> AsyncGenerator[Fragments, None]:
        key = archive_key(self._key, self._record.write, index)
        end = self._code.archive_bytes(self._record.size_bytes)
        stream = Stream(self._holders[index], key, 0, end, self._device.patience_seconds)
        try:
            for number in range(self._last + 1):
                length = self._code.segment_length(number, self._record.size_bytes)
                fragment = await stream.take(self._code.fragment_bytes(length))
                if not self._code.is_whole(fragment, index):
                    if stream.holder is not None:
                        self._device.suspect(stream.holder, key)
                    raise DeviceError(f"a fragment of {self._path} is broken")
                yield {index: fragment}
        finally:
            await stream.close()

    async def _write(
        self, targets: Mapping[int, Member], segments: AsyncGenerator[Fragments, None]
    ) -> list[int]:
        lanes = {
            index: Lane(
                iter([member]),
                archive_key(self._key, self._record.write, index),
                self._path,
                self._device.patience_seconds,
            )
            for index, member in targets.items()
        }
        release = self._device.hold(self._record.write)
        try:
            async with aclosing(segments):
                async for fragments in segments:
                    await asyncio.gather(*(lane.ready() for lane in lanes.values()))
                    for index, lane in lanes.items():
                        lane.feed(fragments[index])
            await asyncio.gather(
                *(lane.finish(self._timestamp, self._archive(index)) for index, lane in lanes.items())
            )
        finally:
            release()
            await asyncio.gather(*(lane.abort() for lane in lanes.values() if not lane.stored))
        return [index for index, lane in lanes.items() if lane.stored]

    def _archive(self, index: int) -> bytes:
        return encode(Archive(self._key, index, self._record.size_bytes, self._scheme))
