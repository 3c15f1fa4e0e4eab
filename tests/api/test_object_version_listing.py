"""Lists of all versions of what a container has, and who sees an older one."""

from __future__ import annotations

import hmac
import json
import time
from hashlib import sha256
from typing import Any

import pytest

from tests.object_store_client import NOBODY, OTHER, ROOT, Store

VERSIONS = {"a/1": 2, "a/2": 1, "b": 3, "c": 1}


@pytest.fixture
async def store(store: Store) -> Store:
    await store("POST", "/c", x_versions_enabled="true")
    for name, count in VERSIONS.items():
        for n in range(count):
            assert (await store("PUT", f"/c/{name}", b"x" * n)).status == 201
    return store


async def listed(store: Store, query: str = "") -> list[Any]:
    answer = await store("GET", f"/c?versions{query}")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json; charset=utf-8")
    return list(json.loads(answer.body))


def shown(entries: list[Any]) -> list[tuple[str, int] | str]:
    return [each.get("subdir") or (each["name"], each["bytes"]) for each in entries]


async def test_forwards_and_backwards_in_pieces(store: Store) -> None:
    whole = shown(await listed(store))
    assert whole == [("a/1", 1), ("a/1", 0), ("a/2", 0), ("b", 2), ("b", 1), ("b", 0), ("c", 0)]
    assert shown(await listed(store, "&reverse=true")) == whole[::-1]
    for way, wanted in (("", whole), ("&reverse=on", whole[::-1])):
        found: list[Any] = []
        while page := await listed(
            store,
            way
            + "&limit=2"
            + (f"&marker={found[-1]['name']}&version_marker={found[-1]['version_id']}" if found else ""),
        ):
            found += page
        assert shown(found) == wanted
    assert shown(await listed(store, "&marker=a/2")) == whole[3:]
    assert shown(await listed(store, "&marker=a/2&end_marker=c")) == whole[3:6]
    assert shown(await listed(store, "&marker=c&end_marker=a/2&reverse=1")) == whole[3:6][::-1]
    assert await listed(store, "&limit=0") == await listed(store, "&limit=0&reverse=1") == []


async def test_folded(store: Store) -> None:
    assert shown(await listed(store, "&delimiter=/")) == ["a/", ("b", 2), ("b", 1), ("b", 0), ("c", 0)]
    assert shown(await listed(store, "&delimiter=/&prefix=a/")) == [("a/1", 1), ("a/1", 0), ("a/2", 0)]
    assert shown(await listed(store, "&delimiter=/&reverse=1&limit=1&marker=b")) == ["a/"]


@pytest.mark.parametrize("query", ["version_marker=1", "marker=b&version_marker=x", "delimiter=1"])
async def test_what_is_refused(store: Store, query: str) -> None:
    assert (await store("GET", f"/c?versions&{query}")).status == 400
    assert (await store("GET", "/c?versions", accept="text/plain")).status == 406
    for form in ("plain", "xml"):
        assert (await store("GET", f"/c?versions&format={form}")).status == 406


async def test_after_a_version_that_is_gone(store: Store) -> None:
    ids = [each["version_id"] for each in await listed(store, "&prefix=b")]
    await store("DELETE", f"/c/b?version-id={ids[1]}")
    assert shown(await listed(store, f"&marker=b&version_marker={ids[1]}")) == [("b", 0), ("c", 0)]
    assert shown(await listed(store, "&marker=b&version_marker=null")) == [("b", 2), ("b", 0), ("c", 0)]


async def test_a_temporary_url_is_for_the_newest(store: Store) -> None:
    newest, older = [each["version_id"] for each in await listed(store, "&prefix=b")][:2]
    await store("POST", "", x_account_meta_temp_url_key="key")
    until = int(time.time()) + 60
    for method, status in (("GET", 200), ("DELETE", 204)):
        signed = hmac.new(b"key", f"{method}\n{until}\n{ROOT}/c/b".encode(), sha256).hexdigest()
        query = f"temp_url_sig={signed}&temp_url_expires={until}&version-id={older}"
        answer = await store(method, f"/c/b?{query}", as_=NOBODY)
        assert answer.status == status
        assert answer.headers["x-object-version-id"] != older
        assert answer.body == (b"xx" if method == "GET" else b"")
    assert {newest, older} < {each["version_id"] for each in await listed(store, "&prefix=b")}


async def test_a_container_s_list_opens_the_newest_only(store: Store) -> None:
    await store("POST", "/c", x_container_read="p2:u2")
    newest, older = [each["version_id"] for each in await listed(store, "&prefix=b")][:2]
    assert (await store("GET", "/c/b", as_=OTHER)).status == 200
    for version in (newest, older):
        assert (await store("GET", f"/c/b?version-id={version}", as_=OTHER)).status == 403
        assert (await store("GET", f"/c/b?version-id={version}")).status == 200


async def test_a_deletion_says_what_it_is(store: Store) -> None:
    marker = (await store("DELETE", "/c/b")).headers["x-object-version-id"]
    for method in ("GET", "HEAD"):
        told = await store(method, f"/c/b?version-id={marker}")
        assert (told.status, told.headers["x-object-version-id"]) == (404, marker)
        assert told.headers["content-type"] == "application/x-deleted;swift_versions_deleted=1"


async def test_every_answer_tells_the_version(store: Store) -> None:
    newest = (await listed(store, "&prefix=b"))[0]["version_id"]
    where = f"{ROOT}/c/b?version-id={newest}"
    assert (await store("GET", "/c/b")).headers["content-location"] == where
    assert "content-location" not in (await store("GET", f"/c/b?version-id={newest}")).headers
    copied = await store("COPY", "/c/b", destination="c/c")
    assert copied.headers["x-object-version-id"] == (await listed(store, "&prefix=c"))[0]["version_id"]
    manifest = json.dumps([{"path": "/c/b"}]).encode()
    large = await store("PUT", "/c/c?multipart-manifest=put", manifest)
    assert large.headers["x-object-version-id"] == (await listed(store, "&prefix=c"))[0]["version_id"]


async def test_an_older_version_that_is_a_link(store: Store) -> None:
    put = await store("PUT", "/c/l", x_symlink_target="c/b")
    await store("PUT", "/c/l", b"plain")
    older = f"/c/l?version-id={put.headers['x-object-version-id']}"
    assert (await store("GET", older)).body == b"xx"
    assert (await store("GET", older)).headers["content-location"] == f"{ROOT}/c/b"
    assert (await store("HEAD", f"{older}&symlink=get")).headers["x-symlink-target"] == "c/b"
