"""Images in stores of files and of an object store's two APIs: brought to several, copied, read, taken out, and what is
answered when one of them is down."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pileus.app.parts.images import image_stores
from pileus.kernel.clock import SystemClock
from pileus.kernel.config import ConfigError
from pileus.services.image.settings import Settings
from pileus.services.image.store_settings import StoreSettings
from pileus.testing.cloud import free_port
from pileus.testing.service import ADMIN
from pileus.testing.waiting import until
from tests.image_cloud import Images, broken_off, image_cloud
from tests.image_remote import PLACE, SECRETS, Objects, objects

pytestmark = pytest.mark.slow
DATA = bytes(range(256)) * 4096 * 6 + b"rest"
ALL = ("file", "swift", "s3")


class Rig(NamedTuple):
    images: Images
    objects: Objects


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with objects(tmp_path / "objects") as there:
        stores = [there.store("swift"), there.store("s3", bucket="images")]
        async with image_cloud(tmp_path / "images", stores=stores) as images:
            yield Rig(images, there)


async def stores_of(images: Images, image_id: str) -> list[str]:
    return sorted((await images.get(f"/images/{image_id}", as_=ADMIN))["stores"].split(","))


async def read_from(images: Images, image_id: str, store: str) -> bytes:
    reply = await images.ask("GET", f"/images/{image_id}/file?prefer={store}", as_=ADMIN)
    assert reply.status == 200, reply.body
    return reply.body


async def keys_of(rig: Rig, place: str) -> list[str]:
    listed = await rig.objects.rig.swift("GET", f"/{place}")
    return listed.body.decode().split() if listed.status == 200 else []


async def test_uploaded_to_each_and_read_in_ranges(rig: Rig) -> None:
    for store in ALL[1:]:
        image_id = await rig.images.make()
        reply = await rig.images.upload(image_id, DATA, x_image_meta_store=store)
        assert reply.status == 204, reply.body
        shown = await rig.images.get(f"/images/{image_id}")
        assert (shown["stores"], shown["size"]) == (store, len(DATA))
        assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
        part = await rig.images.ask(
            "GET", f"/images/{image_id}/file", headers={"range": f"bytes=2000000-{len(DATA) - 2}"}
        )
        assert (part.status, part.body) == (206, DATA[2000000:-1])
        [location] = shown["locations"]
        assert location["url"].startswith(f"{store}+http://")
        assert not any(secret in str(shown) for secret in SECRETS)


async def test_one_to_several_out_of_one_and_copied_back(rig: Rig) -> None:
    images = rig.images
    image_id = await images.make(as_=ADMIN)
    assert (await images.upload(image_id, DATA, as_=ADMIN, to="stage")).status == 204
    asked = await images.import_(image_id, "glance-direct", as_=ADMIN, stores=list(ALL))
    assert asked.status == 202, asked.body
    assert (await images.task(image_id))["status"] == "success"
    assert await stores_of(images, image_id) == sorted(ALL)
    for store in ALL:
        assert await read_from(images, image_id, store) == DATA
    for store, place in (("swift", PLACE), ("s3", "images")):
        assert (await images.ask("DELETE", f"/stores/{store}/{image_id}", as_=ADMIN)).status == 204
        await until(lambda place=place: _is_empty(rig, place))
        assert store not in await stores_of(images, image_id)
        copied = await images.import_(image_id, "copy-image", as_=ADMIN, stores=[store])
        assert copied.status == 202, copied.body
        assert (await images.task(image_id))["status"] == "success"
        assert await stores_of(images, image_id) == sorted(ALL)
        assert await read_from(images, image_id, store) == DATA
    assert (await images.ask("DELETE", f"/images/{image_id}", as_=ADMIN)).status == 204
    await until(images.empty)
    for place in (PLACE, "images"):
        await until(lambda place=place: _is_empty(rig, place))


async def _is_empty(rig: Rig, place: str) -> bool:
    return not await keys_of(rig, place)


async def test_an_upload_that_breaks_off_leaves_nothing(rig: Rig) -> None:

    for store in ALL[1:]:
        image_id = await rig.images.make()
        for sent in (DATA[:1], DATA[: 2**20], DATA[:-1], DATA):
            with pytest.raises(KeyError):  # nobody is there to be answered
                await rig.images.upload(image_id, broken_off(sent), x_image_meta_store=store)
        assert (await rig.images.get(f"/images/{image_id}"))["status"] == "queued"
        assert await rig.objects.held() == []
        assert await rig.objects.held("images") == []
        assert (await rig.images.upload(image_id, DATA, x_image_meta_store=store)).status == 204
        assert (await rig.images.ask("DELETE", f"/images/{image_id}")).status == 204
        await until(lambda: _is_empty(rig, PLACE))
        await until(lambda: _is_empty(rig, "images"))


async def test_stores_as_users_and_administrators_see_them(rig: Rig) -> None:
    seen = {each["id"]: each for each in (await rig.images.get("/info/stores"))["stores"]}
    assert seen["swift"] == {"id": "swift", "weight": 0}
    detail = await rig.images.get("/info/stores/detail", as_=ADMIN)
    kinds = {each["id"]: each["type"] for each in detail["stores"]}
    assert (kinds["swift"], kinds["s3"]) == ("swift", "s3")
    assert not any(secret in str(detail) for secret in SECRETS)


async def test_a_store_that_is_down_is_503_and_named(rig: Rig, tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    down = [
        rig.objects.store("swift", "wine", auth_address=nobody),
        rig.objects.store("s3", "beer", host=nobody),
    ]
    async with image_cloud(tmp_path / "others", stores=down) as images:
        for store in down:
            image_id = await images.make()
            reply = await images.upload(image_id, DATA, x_image_meta_store=store.name)
            assert reply.status == 503
            assert f"Store {store.name} does not answer at {nobody}" in reply.body.decode()
            assert (await images.get(f"/images/{image_id}"))["status"] == "queued"
            # Others go on: the image can go elsewhere.
            assert (await images.upload(image_id, DATA)).status in (204, 503)


async def test_reading_from_a_store_that_went_down_is_503(rig: Rig) -> None:
    for store in ALL[1:]:
        image_id = await rig.images.make()
        assert (await rig.images.upload(image_id, DATA, x_image_meta_store=store)).status == 204
        shelf = rig.images.state.shelves.by_name[store].store
        whole = shelf.opened  # type: ignore[attr-defined]  # of stores that are elsewhere
        lost = rig.objects.store(store, auth_address=(gone := f"http://127.0.0.1:{free_port()}"), host=gone)
        shelf.opened = lost.opened  # type: ignore[attr-defined]
        reply = await rig.images.ask("GET", f"/images/{image_id}/file")
        assert reply.status == 503, reply.body
        assert "does not answer" in reply.body.decode()
        shelf.opened = whole  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"type": "swift"}, "image.stores.big is of type swift, and needs the option auth_address"),
        ({"type": "swift", "auth_address": "x:5000", "user": "a:b", "key": "k"}, "an address with http"),
        ({"type": "swift", "auth_address": "http://x", "user": "ab", "key": "k"}, "PROJECT:USER"),
        ({"type": "s3", "host": "http://x", "access_key": "a", "secret_key": "b"}, "the option bucket"),
        (
            {"type": "s3", "host": "http://x", "access_key": "a", "secret_key": "b", "bucket": "c"}
            | {"large_object_chunk_size": 1},
            "at least 5",
        ),
    ],
)
def test_options_that_are_missing_are_named(tmp_path: Path, options: dict[str, str], words: str) -> None:
    settings = Settings(stores={"file": StoreSettings(), "big": StoreSettings(**options)})
    with pytest.raises(ConfigError, match=words):
        image_stores(settings, tmp_path, "node", SystemClock())
