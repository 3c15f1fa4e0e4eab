"""Two clouds whose containers follow each other. The network is in memory, the requests are real."""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from hashlib import md5
from pathlib import Path
from typing import Any

import httpx
import pytest

from pileus.drivers.object.remote import HttpRemote
from pileus.services.object_store.container_sync import ContainerSync
from pileus.services.object_store.following import Realm, SyncSettings
from pileus.services.object_store.settings import Settings
from tests.object_store_client import NOBODY, ROOT, Store, running

SETTINGS = Settings(
    container_sync=SyncSettings(
        realms={"Friends": Realm(key="shared", clusters={"a": "http://a/v1", "b": "http://b/v1", "own": ""})},
        interval_seconds=1e9,
        per_second=math.inf,
    )
)
KEY = {"x_container_sync_key": "secret"}


class Net(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.apps: dict[str, httpx.ASGITransport] = {}
        self.down = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("no route to host")
        return await self.apps[request.url.host].handle_async_request(request)


@pytest.fixture
async def net() -> Net:
    return Net()


@pytest.fixture
async def clouds(tmp_path: Path, net: Net) -> AsyncIterator[dict[str, Store]]:
    async with AsyncExitStack() as stack:
        found = {}
        for name in ("a", "b"):
            store = await stack.enter_async_context(running(tmp_path / name, SETTINGS))
            net.apps[name] = httpx.ASGITransport(store._app)
            store.state.daemons.add(ContainerSync(store.state, HttpRemote(net), f"http://{name}"))
            found[name] = store
        yield found


async def sync(store: Store) -> dict[str, int]:
    return (await store.state.daemons.run_once("container-sync")).counts


async def content(store: Store, container: str = "c") -> dict[str, str]:
    rows: list[dict[str, Any]] = json.loads((await store("GET", f"/{container}?format=json")).body)
    return {row["name"]: row["hash"] for row in rows}


async def test_a_container_follows_another_both_ways(clouds: dict[str, Store], net: Net) -> None:
    a, b = clouds["a"], clouds["b"]
    await a("PUT", "/c")
    await a("PUT", "/c/before ä", b"1", x_object_meta_a="1", content_type="text/x")
    await a("PUT", "/c", x_container_sync_to="//friends/B/AUTH_p1/c", **KEY)
    await b("PUT", "/c", x_container_sync_to="//friends/A/AUTH_p1/c", **KEY)
    await a("PUT", "/c/large", b"2" * 400_000)
    assert await sync(a) == {"sent": 2}
    got = await b("GET", "/c/before ä")
    assert (got.body, got.headers["x-object-meta-a"], got.headers["content-type"]) == (b"1", "1", "text/x")
    assert got.headers["x-timestamp"] == (await a("HEAD", "/c/before ä")).headers["x-timestamp"]
    assert (await b("GET", "/c/large")).body == b"2" * 400_000
    await sync(b)
    assert await sync(a) == {}, "what came back is nothing new"
    await a("DELETE", "/c/large")
    await a("POST", "/c/before ä", x_object_meta_a="2")
    net.down = True
    assert await sync(a) == {"failed": 2}
    net.down = False
    assert await sync(a) == {"sent": 2}
    assert await content(b) == {"before ä": md5(b"1").hexdigest()}
    assert (await b("HEAD", "/c/before ä")).headers["x-object-meta-a"] == "2"
    await a("PUT", "/c/both", b"older")
    await b("PUT", "/c/both", b"newer")
    await sync(a)
    await sync(b)
    assert (await a("GET", "/c/both")).body == (await b("GET", "/c/both")).body == b"newer"
    await a("POST", "/c", x_remove_container_sync_to="x")
    await a("PUT", "/c/alone", b"x")
    await sync(a)
    assert "alone" not in await content(b)


async def test_manifests_and_links_follow(clouds: dict[str, Store]) -> None:
    a, b = clouds["a"], clouds["b"]
    await b("PUT", "/c", **KEY)
    await a("PUT", "/c", x_container_sync_to="//friends/b/AUTH_p1/c", **KEY)
    await a("PUT", "/c/part", b"part")
    await a("PUT", "/c/a-whole?multipart-manifest=put", json.dumps([{"path": "/c/part"}] * 2).encode())
    await a("PUT", "/c/link", x_symlink_target="c/part")
    await sync(a)
    await sync(a)
    assert (await b("GET", "/c/a-whole")).body == b"partpart"
    assert (await b("GET", "/c/link")).body == b"part"


async def test_what_follows_is_known_after_a_restart(
    tmp_path: Path, net: Net, clouds: dict[str, Store]
) -> None:
    b = clouds["b"]
    await b("PUT", "/c", **KEY)
    async with running(tmp_path / "third", SETTINGS) as store:
        await store("PUT", "/c", x_container_sync_to="//friends/b/AUTH_p1/c", **KEY)
    async with running(tmp_path / "third", SETTINGS) as store:
        await store("PUT", "/c/o", b"x")
        store.state.daemons.add(ContainerSync(store.state, HttpRemote(net), "http://third"))
        assert await sync(store) == {"sent": 1}
    assert "o" in await content(b)


async def test_who_has_no_key_sends_nothing(clouds: dict[str, Store]) -> None:
    b = clouds["b"]
    await b("PUT", "/c", **KEY)
    await b("PUT", "/open")

    async def put(
        path: str = "/c/o", realm: str = "friends", key: str = "shared", user: str = "secret"
    ) -> int:
        text = f"PUT\n{ROOT}{path}\n1700000000.00000\nn\n{user}"
        proof = hmac.new(key.encode(), text.encode(), "sha1").hexdigest()
        headers = {"x_timestamp": "1700000000.00000", "x_container_sync_auth": f"{realm} n {proof}"}
        return (await b("PUT", path, b"x", as_=NOBODY, **headers)).status

    assert await put(realm="other") == 401
    assert await put(key="") == 401
    assert await put(user="") == 401
    assert await put("/open/o", user="") == 401
    assert await put() == 201
    assert await put() == 409
    assert await put(user="wrong") == 401
    assert (await b("GET", "/c/o", as_=NOBODY, x_container_sync_auth="friends n x")).status == 401
    for wrong in (
        "http://b/v1/AUTH_p1/c",
        "//friends/none/AUTH_p1/c",
        "//none/a/AUTH_p1/c",
        "//friends/a/x",
        "x",
    ):
        assert (await b("POST", "/c", x_container_sync_to=wrong)).status == 400, wrong
    info = json.loads((await b("GET", "", at="/info")).body)
    assert info["container_sync"]["realms"]["Friends"]["clusters"].keys() == {"a", "b", "own"}


async def test_hosts_without_a_realm(tmp_path: Path, net: Net) -> None:
    """As clouds without realms do: by address, and known by the container's key alone."""
    settings = Settings(container_sync=SyncSettings(allowed_hosts=("b",), interval_seconds=1e9))
    async with running(tmp_path / "a", settings) as a, running(tmp_path / "b", settings) as b:
        net.apps["b"] = httpx.ASGITransport(b._app)
        a.state.daemons.add(ContainerSync(a.state, HttpRemote(net), "http://a"))
        await b("PUT", "/c", **KEY)
        for wrong in ("http://c/v1/AUTH_p1/c", "ftp://b/c", "http://b", "http://b/c?x", "http://u@b/c", "x"):
            assert (await a("PUT", "/c", x_container_sync_to=wrong, **KEY)).status == 400, wrong
        assert (await a("PUT", "/c", x_container_sync_to="http://b/v1/AUTH_p1/c", **KEY)).status == 201
        await a("PUT", "/c/o ä", b"body", x_object_meta_a="1")
        assert await sync(a) == {"sent": 1}
        got = await b("GET", "/c/o ä")
        assert (got.body, got.headers["x-object-meta-a"]) == (b"body", "1")
        assert got.headers["x-timestamp"] == (await a("HEAD", "/c/o ä")).headers["x-timestamp"]
        await a("DELETE", "/c/o ä")
        assert await sync(a) == {"sent": 1}
        assert await content(b) == {}
        late = {"x_timestamp": "4000000000.00000"}
        assert (await b("PUT", "/c/p", b"x", as_=NOBODY, x_container_sync_key="wrong", **late)).status == 401
        assert (await b("PUT", "/c/p", b"x", as_=NOBODY, x_container_sync_key="", **late)).status == 401
        assert (await b("PUT", "/c/p", b"x", as_=NOBODY, **KEY)).status == 401, "not without a time"
        await b("PUT", "/open")
        assert (await b("PUT", "/open/p", b"x", as_=NOBODY, x_container_sync_key="", **late)).status == 401
        assert (await b("GET", "/c/p", as_=NOBODY, **KEY, **late)).status == 401
    async with running(tmp_path / "b") as closed:
        assert (await closed("PUT", "/c/p", b"x", as_=NOBODY, **KEY, **late)).status == 401
