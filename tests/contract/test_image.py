"""Every store of images against the one contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from pileus.drivers.image import s3, swift
from pileus.drivers.image.fetch import HttpFetcher
from pileus.drivers.image.file import FileStore
from pileus.drivers.image.http import HttpStore
from pileus.drivers.image.remote import PartSizes
from pileus.drivers.image.s3 import S3Store
from pileus.drivers.image.sim import SimStore, World
from pileus.kernel.clock import SystemClock
from pileus.lib.address_guard import Guard
from pileus.services.image.driver import Store, StoreError
from pileus.testing.cloud import free_port
from pileus.testing.contract.image import DATA, NAME, OTHER, ReadContract, StoreContract, everything, put
from tests.image_cloud import web_server
from tests.image_remote import PLACE, SECRETS, objects


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


class RemoteContract(StoreContract):
    """Stores on an object store."""

    kind: str
    large: bytes
    """An image of several segments or parts."""

    @pytest.fixture(autouse=True)
    async def _object_store(self, tmp_path: Path) -> AsyncIterator[None]:
        async with objects(tmp_path / "objects") as self.objects:
            yield

    async def empty(self, tmp_path: Path) -> Store:
        return self.objects.store(self.kind)

    async def again(self, store: Store) -> Store:
        return self.objects.store(self.kind)

    @pytest.mark.slow
    async def test_a_large_image_is_read_in_parts_and_leaves_nothing(self, tmp_path: Path) -> None:
        store = await self.empty(tmp_path)
        await put(store, data=self.large)
        assert await store.size_bytes(NAME) == len(self.large)
        middle = len(self.large) // 2
        assert await everything(store.read(NAME)) == self.large
        assert await everything(store.read(NAME, middle - 5, 2**20)) == self.large[middle - 5 :][: 2**20]
        assert await store.list_objects() == [NAME]
        await put(store, data=b"small", attempt="b")
        assert await everything(store.read(NAME)) == b"small"
        await put(store, data=self.large, attempt="c")
        await store.remove(NAME)
        assert await self.objects.held() == []

    @pytest.mark.slow
    @pytest.mark.parametrize("part", [0.0, 0.3, 0.7, 1.0])
    async def test_nothing_is_left_of_what_was_killed_or_given_up(self, tmp_path: Path, part: float) -> None:
        store = await self.empty(tmp_path)
        for ends in ("killed", "given up"):
            half = await store.writer(NAME, ends)
            for at in range(0, int(len(self.large) * part), 100_000):
                await half.write(self.large[at : at + 100_000])
            if ends == "killed":
                await store.close()
                store = await self.again(store)
                await store.remove(NAME)
                assert await self.objects.held() == []
            await half.abort()
            assert await self.objects.held() == []

    async def test_what_was_removed_can_not_become_whole(self, tmp_path: Path) -> None:
        store = await self.empty(tmp_path)
        half = await store.writer(NAME, "a")
        await half.write(self.large)
        await (await self.again(store)).remove(NAME)
        with pytest.raises(StoreError):
            await half.finish()
        await half.abort()
        assert await self.objects.held() == []

    async def test_what_is_wrong_is_named(self, tmp_path: Path) -> None:
        wrong = {"key": "wrong", "secret_key": "wrong"}
        missing = {"create_container_on_put": False, "create_bucket_on_put": False}
        nobody = f"http://127.0.0.1:{free_port()}"
        gone = {"auth_address": nobody, "host": nobody}
        for options, words in ((wrong, "look at its settings"), (missing, PLACE), (gone, "does not answer")):
            store = self.objects.store(self.kind, "wine", **options)
            with pytest.raises(StoreError, match=words) as raised:
                await put(store)
            assert "wine" in str(raised.value)
            assert not any(secret in str(raised.value) for secret in SECRETS)
            assert raised.value.status == 503
            if options is not missing:
                for ask in (store.size_bytes(NAME), store.remove(NAME), store.list_objects()):
                    with pytest.raises(StoreError, match=words):
                        await ask

    async def test_no_secret_is_told(self, tmp_path: Path) -> None:
        store = await self.empty(tmp_path)
        told = store.url(NAME) + str(store.properties)
        assert not any(secret in told or quote(secret) in told for secret in SECRETS)
        assert store.url(NAME).startswith(f"{self.kind}+http://127.0.0.1:")
        assert store.url(NAME).endswith(f"/{PLACE}/{NAME}")


class TestSwift(RemoteContract):
    kind = "swift"
    large = bytes(range(256)) * 4096 * 3 + b"rest"

    async def test_a_token_that_is_refused_is_replaced(self, tmp_path: Path) -> None:
        store = await self.empty(tmp_path)
        await put(store)
        self.objects.forget_tokens()
        assert await everything(store.read(NAME, 0, 10)) == DATA[:10]
        self.objects.forget_tokens()
        await put(store, OTHER)


class TestS3(RemoteContract):
    kind = "s3"
    large = bytes(range(256)) * 4096 * 12 + b"rest"

    async def test_buckets_before_the_host(self, tmp_path: Path) -> None:
        there = self.objects.settings("s3", bucket_url_format="virtual", host="https://s3.test")
        assert S3Store("s3", there, SystemClock()).url(NAME) == f"s3+https://{PLACE}.s3.test/{NAME}"


def test_parts_grow_so_that_a_tebibyte_has_room() -> None:
    for sizes, most in (
        (PartSizes(200 * 2**20, swift.GROW_AFTER, swift.MOST_SEGMENT_BYTES), 1000),
        (PartSizes(10 * 2**20, s3.GROW_AFTER, s3.MOST_PART_BYTES), 10_000),
    ):
        every = [sizes.of(number) for number in range(most)]
        assert sum(every) > 2**40
        assert every == sorted(every)
    assert sizes.of(10**9) == s3.MOST_PART_BYTES


class TestHttp(ReadContract):
    @asynccontextmanager
    async def filled(self, tmp_path: Path) -> AsyncIterator[tuple[Store, str, str]]:
        async with web_server() as web:
            web.pages = {"/there": DATA}
            store = HttpStore("web", HttpFetcher(Guard.of((), ("127.0.0.0/8",))))
            assert store.read_only
            yield store, f"{web.url}/there", f"{web.url}/gone"
