"""What every store of images must hold to: a suite for stores that can be written to, one for those only read from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pileus.services.image.driver import Store, StoreError

DATA = bytes(range(256)) * 9000
"""More than two mebibytes, so that it comes in several chunks."""
NAME = "7a5c4e1e-0000-4000-8000-000000000001"
OTHER = "7a5c4e1e-0000-4000-8000-000000000002"


async def everything(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def put(store: Store, name: str = NAME, data: bytes = DATA, attempt: str = "a") -> None:
    writer = await store.writer(name, attempt)
    for at in range(0, len(data), 100_000):
        await writer.write(data[at : at + 100_000])
    await writer.finish()


class ReadContract:
    """Subclasses say where a store is that has `DATA`, and under which name."""

    @asynccontextmanager
    @abstractmethod
    async def filled(self, tmp_path: Any) -> AsyncIterator[tuple[Store, str, str]]:
        """A store, the name of DATA in it, and the name of nothing."""
        yield NotImplemented

    async def test_reads_all_and_parts(self, tmp_path: Any) -> None:
        async with self.filled(tmp_path) as (store, name, _):
            assert await everything(store.read(name)) == DATA
            assert await store.size_bytes(name) == len(DATA)
            for offset, length in ((0, 1), (0, 0), (5, 10), (len(DATA) - 3, 3), (2**20 - 1, 2**20 + 2)):
                assert await everything(store.read(name, offset, length)) == DATA[offset : offset + length]
            assert await everything(store.read(name, len(DATA) - 7)) == DATA[-7:]
            assert store.url(name)

    async def test_says_what_is_not_there(self, tmp_path: Any) -> None:
        async with self.filled(tmp_path) as (store, name, nothing):
            with pytest.raises(StoreError):
                await everything(store.read(nothing))
            with pytest.raises(StoreError):
                await everything(store.read(name, 0, len(DATA) + 1))

    async def test_removing_what_is_not_there_is_no_error(self, tmp_path: Any) -> None:
        async with self.filled(tmp_path) as (store, _, nothing):
            await store.remove(nothing)
            await store.remove(nothing)


class StoreContract(ReadContract):
    """Of stores that are written to. `again` gives the same store to another process."""

    @abstractmethod
    async def empty(self, tmp_path: Any) -> Store:
        """A started store that has nothing."""

    @abstractmethod
    async def again(self, store: Store) -> Store:
        """As another process finds it after this one was killed."""

    @asynccontextmanager
    async def filled(self, tmp_path: Any) -> AsyncIterator[tuple[Store, str, str]]:
        store = await self.empty(tmp_path)
        assert not store.read_only
        await put(store)
        yield store, NAME, OTHER

    async def test_nothing_is_seen_before_the_end(self, tmp_path: Any) -> None:
        store = await self.empty(tmp_path)
        writer = await store.writer(NAME, "a")
        await writer.write(DATA)
        assert await store.size_bytes(NAME) is None
        assert await store.list_objects() == []
        await writer.finish()
        assert await store.size_bytes(NAME) == len(DATA)
        assert await store.list_objects() == [NAME]

    async def test_what_is_given_up_leaves_nothing(self, tmp_path: Any) -> None:
        store = await self.empty(tmp_path)
        writer = await store.writer(NAME, "a")
        await writer.write(DATA)
        await writer.abort()
        assert await store.size_bytes(NAME) is None
        await put(store, attempt="a")
        assert await everything(store.read(NAME)) == DATA

    async def test_the_later_of_two_attempts_stays(self, tmp_path: Any) -> None:
        store = await self.empty(tmp_path)
        first, second = await store.writer(NAME, "a"), await store.writer(NAME, "b")
        await first.write(b"first")
        await second.write(b"second")
        await first.finish()
        await second.finish()
        assert await everything(store.read(NAME)) == b"second"
        assert await store.list_objects() == [NAME]

    async def test_nothing_is_nothing(self, tmp_path: Any) -> None:
        store = await self.empty(tmp_path)
        await put(store, data=b"")
        assert await store.size_bytes(NAME) == 0
        assert await everything(store.read(NAME)) == b""

    async def test_removed_for_good_with_half_written_attempts(self, tmp_path: Any) -> None:
        store = await self.empty(tmp_path)
        await put(store)
        await put(store, OTHER, b"other")
        stale = await store.writer(NAME, "stale")
        await stale.write(b"half")
        await store.remove(NAME)
        assert await store.size_bytes(NAME) is None
        assert await store.list_objects() == [OTHER]
        await stale.abort()
        assert await everything(store.read(OTHER)) == b"other"

    async def test_a_killed_process_leaves_no_more_than_can_be_removed(self, tmp_path: Any) -> None:
        store = await self.empty(tmp_path)
        await put(store, OTHER, b"other")
        half = await store.writer(NAME, "a")
        await half.write(DATA[:1000])
        store = await self.again(store)
        assert await store.size_bytes(NAME) is None
        assert await store.list_objects() == [OTHER]
        await store.remove(NAME)
        await put(store, data=b"new")
        assert await everything(store.read(NAME)) == b"new"
        assert sorted(await store.list_objects()) == [NAME, OTHER]
        await half.abort()
