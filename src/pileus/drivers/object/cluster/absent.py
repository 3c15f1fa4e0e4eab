"""A device of the ring that is not there: a disk that did not start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

from pileus.drivers.object.claims import Claims
from pileus.drivers.object.cluster.member import Capacity, MemberWriter, Stamp
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store.driver import DeviceError, Told, Version


class AbsentMember:
    """A `Member` that can't do anything, and says why. `mark` is what it had told when it was there."""

    def __init__(self, why: str, mark: str = "") -> None:
        self._why = why
        self._mark = mark
        self._claims = Claims()

    def _failed(self) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(DeviceError(self._why))
        return future

    async def start(self, told: Told, since: str) -> None:
        self._mark = since

    def mark(self) -> str:
        return self._mark

    async def close(self) -> None:
        """There is nothing."""

    def find(self, key: bytes) -> asyncio.Future[Version | None]:
        return self._failed()

    def peek(self, key: bytes) -> asyncio.Future[Stamp | None]:
        return self._failed()

    def store(self, key: bytes, version: Version) -> asyncio.Future[None]:
        return self._failed()

    async def put(self, key: bytes, path: str, timestamp: Timestamp, metadata: bytes, body: bytes) -> None:
        raise DeviceError(self._why)

    def writer(self, key: bytes, path: str) -> MemberWriter:
        return self

    async def write(self, chunk: bytes | memoryview) -> None:
        raise DeviceError(self._why)

    async def finish(self, timestamp: Timestamp, metadata: bytes, changed: Timestamp | None = None) -> None:
        raise DeviceError(self._why)

    async def abort(self) -> None:
        """Nothing was written."""

    def read(self, key: bytes, version: Version, offset: int, length: int) -> AsyncIterator[bytes]:
        raise DeviceError(self._why)

    async def update(self, key: bytes, timestamp: Timestamp, change: Callable[[bytes], bytes]) -> Version:
        raise DeviceError(self._why)

    async def delete(self, key: bytes, path: str, timestamp: Timestamp) -> None:
        raise DeviceError(self._why)

    async def claim(self, key: bytes, holder: bytes, timestamp: Timestamp, seconds: float) -> bool:
        """Needs no disk."""
        return self._claims.claim(key, holder, timestamp, seconds)

    async def release(self, key: bytes, holder: bytes) -> bool:
        return self._claims.release(key, holder)

    async def tidy(self, forget_before: Timestamp) -> int:
        return 0

    async def summaries(self, part_power: int) -> Mapping[int, int]:
        raise DeviceError(self._why)

    async def suffixes(self, part_power: int, partition: int) -> Mapping[int, int]:
        raise DeviceError(self._why)

    async def stamps(
        self, part_power: int, partition: int, suffixes: Collection[int] | None = None
    ) -> Mapping[bytes, Stamp]:
        raise DeviceError(self._why)

    async def drop(self, key: bytes, stamp: Stamp) -> bool:
        raise DeviceError(self._why)

    async def check(self, key: bytes) -> int:
        raise DeviceError(self._why)

    async def capacity(self) -> Capacity:
        raise DeviceError(self._why)

    async def ring(self) -> str:
        raise DeviceError(self._why)
