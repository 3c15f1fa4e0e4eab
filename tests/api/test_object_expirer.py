"""Objects whose time has come go away for good, and no others do. The time is virtual."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pileus.services.object_store import rows
from pileus.services.object_store.driver import Version
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.name import Name
from pileus.services.object_store.settings import Settings
from pileus.testing.clock import FakeClock
from tests.object_store_client import Store, running

HOUR = 3600
ASKED = Settings(expirer_interval_seconds=1e9, expirer_tasks_per_second=math.inf)
"""It walks when it is told to."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Store]:
    async with running(tmp_path, ASKED, clock=clock) as store:
        await store("PUT", "/c")
        yield store


async def expire(store: Store) -> dict[str, int]:
    return (await store.state.daemons.run_once("object-expirer")).counts


async def kept(store: Store, name: str) -> Version | None:
    version = await store.state.devices[0].find(store.state.key(Name("AUTH_p1", "c", name)))
    return None if version is None or version.deleted else version


async def listed(store: Store) -> list[str]:
    return (await store("GET", "/c")).body.decode().splitlines()


async def queue(store: Store) -> list[str]:
    body = await store.state.listings.list_objects(".expiring_objects", "queue", Ask(), "plain")
    return (body or b"").decode().splitlines()


async def test_what_has_expired_is_deleted_and_leaves_the_lists(store: Store, clock: FakeClock) -> None:
    await store("PUT", "/c/soon", b"x", x_delete_after=str(HOUR))
    await store("PUT", "/c/later", b"x", x_delete_after=str(3 * HOUR))
    await store("PUT", "/c/for-ever", b"x")
    await store("PUT", "/c/posted", b"x")
    await store("POST", "/c/posted", x_delete_after=str(HOUR))
    assert await expire(store) == {}
    await clock.advance(2 * HOUR)
    assert (await store("GET", "/c/soon")).status == 404
    assert await kept(store, "soon") is not None, "so far it is only hidden"
    assert await expire(store) == {"deleted": 2}
    assert await kept(store, "soon") is None
    assert await kept(store, "posted") is None
    assert await listed(store) == ["for-ever", "later"]
    assert (await store("HEAD", "/c")).headers["x-container-object-count"] == "2"
    assert len(await queue(store)) == 1
    await clock.advance(2 * HOUR)
    assert await expire(store) == {"deleted": 1}
    assert await listed(store) == ["for-ever"]
    assert await queue(store) == []


async def test_whose_time_was_changed_stays(store: Store, clock: FakeClock) -> None:
    for name in ("longer", "never", "anew", "deleted"):
        await store("PUT", f"/c/{name}", b"old", x_delete_after=str(HOUR))
    await store("POST", "/c/longer", x_delete_after=str(5 * HOUR))
    await store("POST", "/c/never")
    await store("PUT", "/c/anew", b"new")
    await store("DELETE", "/c/deleted")
    await clock.advance(2 * HOUR)
    assert await expire(store) == {"changed": 4}
    assert await listed(store) == ["anew", "longer", "never"]
    assert (await store("GET", "/c/anew")).body == b"new"
    await clock.advance(4 * HOUR)
    assert await expire(store) == {"deleted": 1}
    assert await listed(store) == ["anew", "never"]


async def test_what_is_put_while_the_old_one_is_looked_at_stays(store: Store, clock: FakeClock) -> None:
    await store("PUT", "/c/o", b"old", x_delete_after=str(HOUR))
    await clock.advance(2 * HOUR)
    device, find = store.state.devices[0], store.state.devices[0].find

    async def find_and_be_overtaken(key: bytes) -> Version | None:
        device.find = find  # type: ignore[method-assign]  # once only
        found = await find(key)
        assert (await store("PUT", "/c/o", b"new")).status == 201
        return found

    device.find = find_and_be_overtaken  # type: ignore[method-assign]  # the world between two steps
    assert await expire(store) == {"changed": 1}
    assert (await store("GET", "/c/o")).body == b"new"


async def test_once_expired_no_request_brings_it_back(store: Store, clock: FakeClock) -> None:
    await store("PUT", "/c/o", b"x", x_delete_after=str(HOUR))
    state, name = store.state, Name("AUTH_p1", "c", "o")
    version = await kept(store, "o")
    assert version is not None
    await clock.advance(HOUR + 1)

    async def seen_before(_: Name) -> Version:
        return version

    state.find = seen_before  # type: ignore[method-assign]  # a request that began a moment ago
    assert (await store("POST", "/c/o", x_delete_after=str(HOUR))).status == 404
    found = await state.devices[0].find(state.key(name))
    assert found is not None
    assert found.changed == version.changed


async def test_the_queue_outlives_a_restart_and_is_walked_in_pages(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "PAGE", 7)
    async with running(tmp_path, ASKED, clock=clock) as store:
        await store("PUT", "/c")
        for n in range(30):
            await store("PUT", f"/c/{n:02}\n", b"x", x_delete_after=str(HOUR + n))
    await clock.advance(2 * HOUR)
    async with running(tmp_path, ASKED, clock=clock) as store:
        await expire(store)
        assert store.state.daemons.progress["object-expirer"].totals["deleted"] == 30
        assert (await store("GET", "/c")).status == 204
        assert await queue(store) == []


@pytest.mark.parametrize("versions", ["", "true", "false"])
async def test_a_deletion_takes_what_has_expired_from_the_list(
    store: Store, clock: FakeClock, versions: str
) -> None:
    if versions:
        await store("POST", "/c", x_versions_enabled="true")
        await store("POST", "/c", x_versions_enabled=versions)
    await store("PUT", "/c/o", b"x", x_delete_after=str(HOUR))
    await clock.advance(HOUR + 10)
    assert (await listed(store)) == ["o"]
    assert (await store("DELETE", "/c/o")).status == 404
    assert (await listed(store)) == []


async def test_versions_outlive_the_object(store: Store, clock: FakeClock) -> None:
    await store("POST", "/c", x_versions_enabled="true")
    first = (await store("PUT", "/c/o", b"1")).headers["x-object-version-id"]
    second = (await store("PUT", "/c/o", b"2", x_delete_after=str(HOUR))).headers["x-object-version-id"]
    await clock.advance(HOUR + 10)
    for _ in range(2):
        assert (await store("GET", "/c/o")).status == 404
        assert (await store("GET", f"/c/o?version-id={second}")).body == b"2"
        assert len((await store("GET", "/c?versions")).body.split(b"version_id")) == 3
        await expire(store)
    assert await listed(store) == await queue(store) == []
    assert (await store("PUT", "/c/o", b"3")).status == 201
    assert (await store("GET", "/c/o")).body == b"3"
    for version in (first, second):
        assert (await store("DELETE", f"/c/o?version-id={version}")).status == 204
