"""Containers that follow others, where one proxy is told so and another is written through."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from pileus.drivers.object.remote import HttpRemote
from pileus.kernel.clock import SystemClock
from pileus.services.object_store.container_sync import ContainerSync
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.name import Name
from tests.api.test_object_container_sync import KEY, SETTINGS, Net, sync
from tests.object_proxies import proxies
from tests.object_store_client import Store, running

pytestmark = pytest.mark.slow
FOLLOW = {"x_container_sync_to": "//friends/b/AUTH_p1/c", **KEY}


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[Store, Store, Store]]:
    """Two proxies of one cluster, and another cloud that their containers follow into."""
    net = Net()
    async with AsyncExitStack() as stack:
        _, rigs = await stack.enter_async_context(proxies(tmp_path, 2, SETTINGS))
        target = await stack.enter_async_context(running(tmp_path / "b", SETTINGS))
        net.apps["b"] = httpx.ASGITransport(target._app)
        for rig in rigs:
            rig.state.daemons.add(ContainerSync(rig.state, HttpRemote(net), "http://a"))
        one, other = (rig.swift for rig in rigs)
        for store in (one, target):
            assert (await store("PUT", "/c", **KEY)).status == 201
        yield one, other, target


async def names(store: Store) -> list[str]:
    return [row["name"] for row in json.loads((await store("GET", "/c?format=json")).body)]


async def listed(store: Store, name: str) -> None:
    """Returns when the proxy finds it in the list: another one has told its replicas."""
    async with asyncio.timeout(10):
        while name not in await names(store):
            await SystemClock().sleep(0.02)


async def test_what_comes_through_another_proxy_is_sent(stores: tuple[Store, Store, Store]) -> None:
    one, other, target = stores
    assert (await other("PUT", "/c/before", b"1")).status == 201, "it knows the container"
    await listed(one, "before")
    assert (await one("POST", "/c", **FOLLOW)).status == 204
    await sync(one)
    assert await names(target) == ["before"]
    assert (await other("PUT", "/c/after", b"2")).status == 201
    assert (await other("DELETE", "/c/before")).status == 204
    await sync(other)
    assert await names(target) == ["after"]


async def test_what_is_on_its_way_meanwhile_is_sent(stores: tuple[Store, Store, Store]) -> None:
    """An upload that began before the proxy could know, and ends when the other has looked at what was there."""
    one, other, target = stores
    assert (await other("PUT", "/c/before", b"1")).status == 201
    state = other.state
    container = await state.container("AUTH_p1", "c")
    assert container is not None
    assert (await one("POST", "/c", **FOLLOW)).status == 204
    await sync(one)
    await state.devices[0].put(
        state.key(Name("AUTH_p1", "c", "late")), "AUTH_p1/c/late", state.now(), await kept(other), b"1"
    )
    await listed(one, "late")
    await sync(one)
    await sync(other)
    assert await names(target) == ["before", "late"]


async def kept(store: Store) -> bytes:
    """The metadata of the object that is there."""
    version = await store.state.find(Name("AUTH_p1", "c", "before"))
    assert version is not None
    return version.metadata


async def test_a_proxy_that_could_not_ask_finds_out_by_the_next_walk(
    stores: tuple[Store, Store, Store],
) -> None:
    one, other, target = stores
    assert (await other("PUT", "/c/before", b"1")).status == 201
    assert (await one("POST", "/c", **FOLLOW)).status == 204
    await listed(one, "before")

    async def nobody_answers(*_: object) -> None:
        return None

    other.state.listings.word = nobody_answers  # type: ignore[method-assign]  # the first replica is away
    assert (await other("PUT", "/c/unknown", b"2")).status == 201
    await listed(one, "unknown")
    await sync(other)
    assert (await other("PUT", "/c/known", b"3")).status == 201
    at = ".container_sync", "changes", Ask(), "plain"
    assert b"known" in (await other.state.listings.list_objects(*at) or b"")  # type: ignore[arg-type]  # four of them
    await sync(other)
    assert await names(target) == ["before", "known", "unknown"]
