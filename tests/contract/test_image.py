"""Every store of images against the one contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pileus.drivers.image.fetch import HttpFetcher
from pileus.drivers.image.file import FileStore
from pileus.drivers.image.http import HttpStore
from pileus.drivers.image.sim import SimStore, World
from pileus.lib.address_guard import Guard
from pileus.services.image.driver import Store, StoreError
from pileus.testing.contract.image import DATA, ReadContract, StoreContract
from tests.image_cloud import web_server


class TestFile(StoreContract):
    async def empty(self, tmp_path: Path) -> Store:
        self.folder = tmp_path / "store"
        return await self.again(FileStore(self.folder))

    async def again(self, store: Store) -> Store:
        store = FileStore(self.folder)
        await store.start()
        return store

    async def test_no_file_is_left_by_what_was_killed(self, tmp_path: Path) -> None:
        store = await self.empty(tmp_path)
        half = await store.writer("one", "a")
        await half.write(b"half")
        await (await self.again(store)).remove("one")
        assert list(self.folder.iterdir()) == []
        with pytest.raises(StoreError):
            await half.finish()
        assert list(self.folder.iterdir()) == []


class TestSim(StoreContract):
    async def empty(self, tmp_path: Path) -> Store:
        self.world = World()
        return SimStore(self.world)

    async def again(self, store: Store) -> Store:
        return SimStore(self.world)


class TestHttp(ReadContract):
    @asynccontextmanager
    async def filled(self, tmp_path: Path) -> AsyncIterator[tuple[Store, str, str]]:
        async with web_server() as web:
            web.pages = {"/there": DATA}
            store = HttpStore("web", HttpFetcher(Guard.of((), ("127.0.0.0/8",))))
            assert store.read_only
            yield store, f"{web.url}/there", f"{web.url}/gone"
