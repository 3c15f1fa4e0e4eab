"""A device that does a number of changes yet, and then none: what a process that is killed between two of them leaves."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable

from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, ObjectDevice, ObjectWriter, Told, Version


class BreakingDevice:
    """An `ObjectDevice` before another. Reading goes on, so that what is left can be looked at."""

    def __init__(self, below: ObjectDevice) -> None:
        self._below = below
        self.left = math.inf
        self.has_broken = False

    def _change(self) -> None:
        if self.left <= 0:
            self.has_broken = True
            raise DeviceError("the power is gone")
        self.left -= 1

    async def start(self, told: Told, since: str) -> None:
        await self._below.start(told, since)

    def mark(self) -> str:
        return self._below.mark()

    async def close(self) -> None:
        await self._below.close()

    def find(self, key: bytes) -> Awaitable[Version | None]:
        return self._below.find(key)

    async def put(self, key: bytes, path: str, timestamp: Timestamp, metadata: bytes, body: bytes) -> None:
        self._change()
        await self._below.put(key, path, timestamp, metadata, body)

    def writer(self, key: bytes, path: str) -> ObjectWriter:
        return _Writer(self._below.writer(key, path), self._change)

    def read(self, key: bytes, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        return self._below.read(key, version, offset, length)

    async def update(self, key: bytes, timestamp: Timestamp, change: Callable[[bytes], bytes]) -> Version:
        self._change()
        return await self._below.update(key, timestamp, change)

    async def delete(self, key: bytes, path: str, timestamp: Timestamp) -> None:
        self._change()
        await self._below.delete(key, path, timestamp)

    async def claim(self, key: bytes, holder: bytes, timestamp: Timestamp, seconds: float) -> bool:
        return await self._below.claim(key, holder, timestamp, seconds)

    async def release(self, key: bytes, holder: bytes) -> bool:
        return await self._below.release(key, holder)

    async def tidy(self, forget_before: Timestamp) -> int:
        return await self._below.tidy(forget_before)


class _Writer:
    def __init__(self, below: ObjectWriter, change: Callable[[], None]) -> None:
        self._below = below
        self._change = change

    async def write(self, chunk: bytes) -> None:
        await self._below.write(chunk)

    async def finish(self, timestamp: Timestamp, metadata: bytes) -> None:
        self._change()
        await self._below.finish(timestamp, metadata)

    async def abort(self) -> None:
        await self._below.abort()
