"""A deleted account goes with all that it had, and can be used again when that is done. The time is virtual."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pileus.services.object_store import reaper
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.name import Name
from pileus.services.object_store.settings import Settings
from pileus.testing.clock import FakeClock
from tests.object_store_client import OWNER, Store, running

ACCOUNT = "AUTH_p1"
RESELLER = replace(OWNER, roles=frozenset({*OWNER.roles, "ResellerAdmin"}))
DAY = 24 * 3600
ASKED = Settings(account_reaper_delay_seconds=DAY, account_reaper_interval_seconds=1e9)
"""It walks when it is told to."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Store]:
    async with running(tmp_path, ASKED, clock) as store:
        store.state.daemons._daemons["account-reaper"].per_second = math.inf  # type: ignore[misc]  # time stands still
        yield store


async def reap(store: Store) -> dict[str, int]:
    return (await store.state.daemons.run_once("account-reaper")).counts


async def test_an_account_goes_with_all_it_had(store: Store, clock: FakeClock) -> None:
    account = ""
    for container in ("c1", "c2"):
        assert (await store("PUT", f"/{container}")).status == 201
        for name in ("a", "b/c", "ü"):
            assert (await store("PUT", f"/{container}/{name}", b"body")).status == 201
    assert (await store("PUT", "/empty")).status == 201
    body = await store.state.listings.list_containers(ACCOUNT, Ask(), "plain")
    assert (body or b"").split() == [b"c1", b"c2", b"empty"]
    assert (await store("DELETE", account)).status == 403, "not even the owner"
    assert (await store("DELETE", account, as_=RESELLER)).status == 204
    for method in ("GET", "HEAD", "POST"):
        assert (await store(method, account)).status == 410
    assert (await store("PUT", "/c3")).status == 403
    assert await reap(store) == {"waiting": 1}
    assert (await store("GET", "/c1/a")).body == b"body"
    await clock.advance(DAY + 1)
    counts = await reap(store)
    assert counts == {"objects": 6, "containers": 3, "accounts": 1}
    for container in ("c1", "c2"):
        for name in ("a", "b/c", "ü"):
            assert await store.state.find(Name(ACCOUNT, container, name)) is None
    assert (await store("GET", account, accept="application/json")).body == b"[]"
    assert await store.state.listings.list_containers(reaper.ACCOUNT, Ask(), "plain") == b""
    assert (await store("PUT", "/c1")).status == 201
    assert (await store("GET", "/c1")).status == 204


async def test_what_can_not_be_deleted_is_tried_again(store: Store, clock: FakeClock) -> None:
    await store("PUT", "/c")
    await store("PUT", "/c/o", b"body")
    assert (await store("DELETE", "", as_=RESELLER)).status == 204
    await clock.advance(DAY + 1)
    device = store.state.devices[0]
    delete = device.delete

    async def broken(*_: object) -> None:
        raise DeviceError("the disk is away")

    device.delete = broken  # type: ignore[method-assign]
    assert (await reap(store)).get("accounts") is None
    assert (await store("GET", "")).status == 410
    device.delete = delete  # type: ignore[method-assign]
    assert (await reap(store))["accounts"] == 1
    assert (await store("GET", "")).status in (200, 204)
