"""Objects on their way out: as many fragments of each segment as it takes, from whoever has them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pileus.drivers.object.cluster.member import Member
from pileus.drivers.object.engine import SMALL_BYTES
from pileus.drivers.object.erasure.archive import Record, archive_key
from pileus.drivers.object.erasure.code import Code, Scheme, code_of
from pileus.drivers.object.erasure.lane import in_time
from pileus.services.object_store.driver import DeviceError

if TYPE_CHECKING:
    from pileus.drivers.object.erasure.device import ErasureDevice


class Archives:
    """The archives of one write of an object, read up to the segment `last`."""

    def __init__(
        self,
        device: ErasureDevice,
        key: bytes,
        record: Record,
        last: int,
        holders: Callable[[int], Sequence[Member]],
    ) -> None:
        """`holders`: by index who may have it, the likeliest first."""
        assert record.scheme is not None
        self.scheme: Scheme = record.scheme
        self.code: Code = code_of(record.scheme)
        self.size_bytes = record.size_bytes
        self._device = device
        self._key = key
        self._write = record.write
        self._holders = holders
        self._end = min((last + 1) * self.code.full_bytes, self.code.archive_bytes(self.size_bytes))
        self._open: dict[int, Stream] = {}
        order = device.places.of(key).order
        self._left = [index for index in order if index < self.scheme.fragments]
        """Indexes that were not tried, as they are to be."""

    async def fragments(self, number: int) -> dict[int, bytes]:
        """Of a segment, `data` of them; segments must be asked for in order. Raises DeviceError where there are too few."""
        length = self.code.fragment_bytes(self.code.segment_length(number, self.size_bytes))
        if self._end == length <= SMALL_BYTES and (small := await self._small()) is not None:
            return small
        got: dict[int, bytes] = {}
        failures: list[str] = []
        under_way: dict[asyncio.Future[bytes], int] = {
            asyncio.ensure_future(stream.take(length)): index for index, stream in self._open.items()
        }
        try:
            while len(got) < self.scheme.data:
                while len(got) + len(under_way) < self.scheme.data and self._left:
                    self._begin(under_way, number, length)
                if not under_way:
                    found = f"{len(got)} of {self.scheme.fragments} fragments can be read, {self.scheme.data} must be"
                    raise DeviceError(f"{found}: {'; '.join(failures) or 'the others were lost before'}")
                done, _ = await asyncio.wait(
                    under_way, timeout=self._device.hedge_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                if not done and self._left:
                    self._begin(under_way, number, length)
                for task in done:
                    index = under_way.pop(task)
                    fragment = self._checked(index, task, failures)
                    if fragment is None:
                        await self._open.pop(index).close()
                    else:
                        got[index] = fragment
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            for index in under_way.values():
                await self._open.pop(index).close()  # slower than others: they suffice
        return got

    async def _small(self) -> dict[int, bytes] | None:
        """Of an object of one segment, from those who ought to have them, without a task for each. None: not so easily."""
        indexes = self._left[: self.scheme.data]
        keys = [archive_key(self._key, self._write, index) for index in indexes]
        finding = [self._holders(index)[0].find(key) for index, key in zip(indexes, keys, strict=True)]
        await self._device.answers(finding)
        found: dict[int, bytes] = {}
        versions = [each.result() if each.done() and each.exception() is None else None for each in finding]
        for index, version in zip(indexes, versions, strict=True):
            if version is None or version.body is None or not self.code.is_whole(version.body, index):
                return None
            found[index] = version.body
        return found

    def _begin(self, under_way: dict[asyncio.Future[bytes], int], number: int, length: int) -> None:
        index = self._left.pop(0)
        start = number * self.code.full_bytes
        key = archive_key(self._key, self._write, index)
        holders = self._holders(index)
        self._open[index] = Stream(holders, key, start, self._end, self._device.patience_seconds)
        under_way[asyncio.ensure_future(self._open[index].take(length))] = index

    def _checked(self, index: int, task: asyncio.Future[bytes], failures: list[str]) -> bytes | None:
        try:
            fragment = task.result()
        except DeviceError as error:
            failures.append(str(error))
            return None
        if self.code.is_whole(fragment, index):
            return fragment
        failures.append(f"the one with the index {index} is broken")
        if (holder := self._open[index].holder) is not None:
            self._device.suspect(holder, archive_key(self._key, self._write, index))
        return None

    async def close(self) -> None:
        while self._open:
            await self._open.popitem()[1].close()


class Stream:
    """One archive's bytes, from the first of its holders that has it."""

    def __init__(self, holders: Sequence[Member], key: bytes, offset: int, end: int, patience: float) -> None:
        self._holders = holders
        self._key = key
        self._offset, self._end = offset, end
        self._patience = patience
        self._chunks: AsyncIterator[bytes] | None = None
        self._gathered = bytearray()
        self.holder: Member | None = None

    async def take(self, length: int) -> bytes:
        """The next bytes. Raises DeviceError where they don't come."""
        if self._chunks is None:
            self._chunks = await self._find()
        while len(self._gathered) < length:
            try:
                chunk = await in_time(anext(self._chunks), self._patience)
            except StopAsyncIteration:
                raise DeviceError("a fragment archive ends before its end") from None
            if len(chunk) == length and not self._gathered:
                return chunk
            self._gathered += chunk
        taken = bytes(self._gathered[:length])
        del self._gathered[:length]
        return taken

    async def _find(self) -> AsyncIterator[bytes]:
        failure = DeviceError("a fragment archive is not where it ought to be")
        for holder in self._holders:
            try:
                version = await in_time(holder.find(self._key), self._patience)
            except DeviceError as error:
                failure = error
                continue
            if version is not None and not version.deleted:
                self.holder = holder
                return holder.read(self._key, version, self._offset, self._end - self._offset)
        raise failure

    async def close(self) -> None:
        if isinstance(self._chunks, AsyncGenerator):
            await self._chunks.aclose()


class ErasureReader:
    """Bytes of an object in chunks of up to a segment. As long as it lives nobody here drops what it reads."""

    def __init__(self, device: ErasureDevice, key: bytes, record: Record, offset: int, length: int) -> None:
        self._release = weakref.finalize(self, device.hold(record.write))
        self._release.atexit = False
        self._chunks = _chunks(device, key, record, offset, length)

    def __aiter__(self) -> ErasureReader:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except BaseException:
            self._release()
            raise

    async def aclose(self) -> None:
        await self._chunks.aclose()
        self._release()


async def _chunks(
    device: ErasureDevice, key: bytes, record: Record, offset: int, length: int
) -> AsyncGenerator[bytes, None]:
    assert record.scheme is not None
    segment = record.scheme.segment_bytes
    end = min(offset + length, record.size_bytes)
    if end <= offset:
        return
    first, last = offset // segment, (end - 1) // segment
    archives = Archives(device, key, record, last, partial(device.places.holders, key))

    async def decoded(number: int) -> bytes:
        return archives.code.decode(await archives.fragments(number))

    ahead: asyncio.Task[bytes] | None = None
    try:
        for number in range(first, last + 1):
            data = await (ahead or decoded(number))
            ahead = asyncio.create_task(decoded(number + 1)) if number < last else None
            yield data[max(0, offset - number * segment) : end - number * segment]
    finally:
        if ahead is not None:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
        await archives.close()
