"""Objects that stand for others."""

from __future__ import annotations

import hmac
import json
import time
from hashlib import md5, sha256

import pytest

from tests.object_store_client import NOBODY, OTHER, ROOT, Store


@pytest.fixture
async def store(store: Store) -> Store:
    await store("PUT", "/d")
    await store("PUT", "/d/t ä", b"target", content_type="text/x", x_object_meta_of="target")
    return store


async def test_a_dynamic_link(store: Store) -> None:
    put = await store("PUT", "/c/l", x_symlink_target="d/t%20%C3%A4", x_object_meta_of="link")
    assert put.status == 201
    for method in ("GET", "HEAD"):
        got = await store(method, "/c/l")
        assert (got.status, got.headers["x-object-meta-of"], got.headers["content-type"]) == (
            200,
            "target",
            "text/x",
        )
        assert got.headers["content-location"] == f"{ROOT}/d/t%20%C3%A4"
    assert (await store("GET", "/c/l", range="bytes=1-3")).body == b"arg"
    own = await store("GET", "/c/l?symlink=get")
    assert (own.body, own.headers["x-object-meta-of"]) == (b"", "link")
    assert own.headers["x-symlink-target"] == "d/t%20%C3%A4"
    assert (own.headers["x-symlink-target-account"], own.headers["content-type"]) == (
        "AUTH_p1",
        "application/symlink",
    )
    listed = json.loads((await store("GET", "/c?format=json")).body)[0]
    assert (listed["symlink_path"], listed["bytes"]) == (f"{ROOT}/d/t%20%C3%A4", 0)
    assert listed["hash"] == md5(b"").hexdigest()
    assert f"<hash>{md5(b'').hexdigest()}</hash>".encode() in (await store("GET", "/c?format=xml")).body
    posted = await store("POST", "/c/l", x_object_meta_of="posted")
    assert (posted.status, posted.headers["location"]) == (307, f"{ROOT}/d/t%20%C3%A4")
    assert (await store("HEAD", "/c/l?symlink=get")).headers["x-object-meta-of"] == "posted"
    assert (await store("HEAD", "/c/l")).headers["x-object-meta-of"] == "target"
    await store("COPY", "/c/l", destination="c/copied")
    assert (await store("GET", "/c/copied?symlink=get")).body == b"target"
    await store("COPY", "/c/l?symlink=get", destination="c/second")
    assert (await store("HEAD", "/c/second?symlink=get")).headers["x-symlink-target"] == "d/t%20%C3%A4"
    await store("DELETE", "/c/l")
    assert (await store("GET", "/d/t ä")).status == 200
    await store("DELETE", "/d/t ä")
    missing = await store("GET", "/c/second")
    assert (missing.status, missing.headers["content-location"]) == (404, f"{ROOT}/d/t%20%C3%A4")


async def test_a_static_link(store: Store) -> None:
    etag = md5(b"target").hexdigest()
    assert (await store("PUT", "/c/l", x_symlink_target="d/\xff")).status == 412
    as_it_is = "d/t ä".encode().decode("latin-1")
    assert (await store("PUT", "/c/l", x_symlink_target=as_it_is, x_symlink_target_etag=etag)).status == 201
    put = await store("PUT", "/c/l", x_symlink_target="d/t%20%C3%A4", x_symlink_target_etag=etag)
    assert put.status == 201
    assert (await store("GET", "/c/l")).body == b"target"
    own = (await store("HEAD", "/c/l?symlink=get")).headers
    assert (own["x-symlink-target-etag"], own["x-symlink-target-bytes"], own["content-type"]) == (
        etag,
        "6",
        "text/x",
    )
    listed = json.loads((await store("GET", "/c?format=json")).body)[0]
    assert (listed["symlink_etag"], listed["symlink_bytes"]) == (etag, 6)
    twice = {"x_symlink_target": "c/l", "x_symlink_target_etag": md5(b"").hexdigest()}
    assert (await store("PUT", "/c/twice", **twice)).status == 409
    assert (await store("PUT", "/c/twice", **{**twice, "x_symlink_target_etag": etag})).status == 201
    assert (await store("GET", "/c/twice")).body == b"target"
    where = f"{ROOT}/d/t%20%C3%A4"
    assert (await store("GET", "/c/l", if_match="other")).headers["content-location"] == where
    posted = await store("POST", "/c/l", x_object_meta_a="1")
    assert (posted.status, posted.headers["location"]) == (307, where)
    assert posted.headers["x-symlink-target-etag"] == etag
    await store("PUT", "/d/t ä", b"another")
    for link in ("l", "twice"):
        changed = await store("GET", f"/c/{link}")
        assert (changed.status, changed.headers["content-location"]) == (409, where)
    missing = await store("PUT", "/c/n", x_symlink_target="d/none", x_symlink_target_etag=etag)
    assert (missing.status, b"does not exist" in missing.body) == (409, True)
    for wrong in ("0" * 32, etag):
        refused = await store("PUT", "/c/n", x_symlink_target="d/t%20%C3%A4", x_symlink_target_etag=wrong)
        assert refused.status == 409
    assert (await store("GET", "/c/n?symlink=get")).status == 404


async def test_loops_and_what_is_no_link(store: Store) -> None:
    await store("PUT", "/c/a", x_symlink_target="d/t%20%C3%A4")
    await store("PUT", "/c/b", x_symlink_target="c/a")
    await store("PUT", "/c/e", x_symlink_target="c/b")
    assert (await store("GET", "/c/b")).body == b"target"
    assert (await store("GET", "/c/e")).status == 409
    await store("PUT", "/c/a", x_symlink_target="c/b")
    assert (await store("GET", "/c/b")).status == 409
    for status, body, headers in (
        (400, b"x", {"x_symlink_target": "c/a"}),
        (400, b"", {"x_symlink_target": "c/self"}),
        (412, b"", {"x_symlink_target": "c"}),
        (412, b"", {"x_symlink_target": "c/x", "x_symlink_target_account": "a/b"}),
        (400, b"", {"x_symlink_target_etag": "abc"}),
        (400, b"", {"x_symlink_target": "c/a", "x_object_manifest": "c/a"}),
    ):
        assert (await store("PUT", "/c/self", body, **headers)).status == status, headers
    assert (await store("POST", "/c/a", x_symlink_target="c/b")).status == 400


async def test_a_link_opens_nothing_that_was_closed(store: Store) -> None:
    await store("POST", "/c", x_container_read=".r:*", x_container_write="p2:u2")
    await store("PUT", "/c/l", as_=OTHER, x_symlink_target="d/t%20%C3%A4")
    refused = await store("GET", "/c/l", as_=OTHER)
    assert (refused.status, refused.headers["content-location"]) == (403, f"{ROOT}/d/t%20%C3%A4")
    assert (await store("GET", "/c/l", as_=NOBODY)).status == 401
    stolen = await store("COPY", "/c/l", as_=OTHER, destination="c/stolen")
    assert stolen.status == 403
    etag = md5(b"target").hexdigest()
    guess = await store("PUT", "/c/g", as_=OTHER, x_symlink_target="d/t%20%C3%A4", x_symlink_target_etag=etag)
    assert guess.status == 403
    await store("POST", "/d", x_container_read="p2:u2")
    assert (await store("GET", "/c/l", as_=OTHER)).body == b"target"

    async def signed(key: str, kind: str) -> int:
        await store("POST", "/c" if kind == "container" else "", **{f"x_{kind}_meta_temp_url_key": key})
        until = int(time.time()) + 60
        sig = hmac.new(key.encode(), f"GET\n{until}\n{ROOT}/c/l".encode(), sha256).hexdigest()
        return (await store("GET", f"/c/l?temp_url_sig={sig}&temp_url_expires={until}", as_=NOBODY)).status

    await store("POST", "/d", x_remove_container_read="x")
    assert await signed("of-the-container", "container") == 401
    assert await signed("of-the-account", "account") == 200


async def test_a_static_link_to_a_large_object(store: Store) -> None:
    put = await store("PUT", "/c/m?multipart-manifest=put", json.dumps([{"path": "/d/t ä"}]).encode())
    kept = (await store("HEAD", "/c/m")).headers["x-manifest-etag"]
    assert (await store("PUT", "/c/l", x_symlink_target="c/m", x_symlink_target_etag=kept)).status == 201
    listed = json.loads((await store("GET", "/c?format=json&prefix=l")).body)[0]
    assert (listed["symlink_bytes"], listed["symlink_etag"]) == (6, kept)
    assert listed["slo_etag"] == put.headers["etag"]
    assert (await store("GET", "/c/l")).body == b"target"


async def test_a_copied_link_leads_into_its_own_account(store: Store) -> None:
    await store("PUT", "", at="/v1/AUTH_p2/c", as_=OTHER)
    await store("PUT", "/c/l", x_symlink_target="d/t%20%C3%A4")
    await store("POST", "/c", x_container_read="p2:u2")
    copy = {"x_copy_from": "c/l", "x_copy_from_account": "AUTH_p1"}
    put = await store("PUT", "?symlink=get", at="/v1/AUTH_p2/c/l", as_=OTHER, **copy)
    assert put.status == 201
    target = (await store("HEAD", "?symlink=get", at="/v1/AUTH_p2/c/l", as_=OTHER)).headers
    assert (target["x-symlink-target"], target["x-symlink-target-account"]) == ("d/t%20%C3%A4", "AUTH_p2")


async def test_links_in_versions_and_manifests(store: Store) -> None:
    await store("PUT", "/old")
    await store("POST", "/c", x_versions_location="old")
    await store("PUT", "/c/o", x_symlink_target="d/t%20%C3%A4")
    await store("PUT", "/c/o", b"plain")
    await store("DELETE", "/c/o")
    assert (await store("HEAD", "/c/o?symlink=get")).headers["x-symlink-target"] == "d/t%20%C3%A4"
    await store("PUT", "/c/part/1", x_symlink_target="d/t%20%C3%A4")
    await store("PUT", "/c/whole", b"", x_object_manifest="c/part/")
    assert (await store("GET", "/c/whole")).status == 200
