"""Bytes of one version, from whoever has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pileus.drivers.object.cluster.peer import Patience, Peer, Seats
from pileus.drivers.object.cluster.waiting import within
from pileus.kernel.clock import Clock
from pileus.services.object_store.driver import DeviceError, Version


class Reading:
    """Begins at once with the first device that has it; goes on with the next one where that fails, at the same byte."""

    def __init__(
        self,
        seats: Seats,
        key: bytes,
        version: Version,
        offset: int,
        length: int,
        clock: Clock,
        patience: Patience,
    ) -> None:
        every = seats.primaries + seats.handoffs
        self._left = sorted(every, key=lambda peer: peer.suspended)
        self._key = key
        self._version = version
        self._offset = offset
        self._end = min(offset + length, version.size_bytes)
        self._clock = clock
        self._patience = patience
        self._why: Exception = DeviceError(f"the data of {version.path} can't be found")
        self._chunks = self._next()

    def _next(self) -> tuple[Peer, AsyncIterator[bytes]] | None:
        while self._left:
            peer = self._left.pop(0)
            try:
                return peer, peer.member.read(
                    self._key, self._version, self._offset, self._end - self._offset
                )
            except DeviceError as error:
                self._why = error
        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises DeviceError where nobody has the rest."""
        try:
            while self._offset < self._end:
                if self._chunks is None:
                    raise self._why
                chunk = await self._chunk(*self._chunks)
                if chunk is None:
                    await self._leave()
                    self._chunks = self._next()
                else:
                    self._offset += len(chunk)
                    yield chunk
        finally:
            await self._leave()

    async def _chunk(self, peer: Peer, chunks: AsyncIterator[bytes]) -> bytes | None:
        """None where this device gives no more."""
        asked = asyncio.ensure_future(anext(chunks, b""))
        try:
            if not await within(self._clock, self._patience.answer_seconds, asked):
                peer.ill("no answer in time")
                self._why = DeviceError(f"the data of {self._version.path}: no answer in time")
                return None
            chunk = asked.result()
        except DeviceError as error:
            self._why = error
            return None
        finally:
            if not asked.done():
                asked.cancel()
                await asyncio.wait((asked,))
        if not chunk:
            self._why = DeviceError(f"the data of {self._version.path} are cut short")
            return None
        return chunk

    async def _leave(self) -> None:
        left, self._chunks = self._chunks, None
        if left is not None and hasattr(left[1], "aclose"):
            await left[1].aclose()
