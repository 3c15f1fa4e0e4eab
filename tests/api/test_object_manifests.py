"""Static large objects: what a manifest may say, nested ones, answers that begin early, deletion."""

from __future__ import annotations

import asyncio
import base64
import json
from hashlib import md5
from typing import Any

import pytest

from pileus.kernel.context import Context
from pileus.services.object_store.api import manifest, outcome
from pileus.testing.clock import FakeClock
from tests.object_store_client import NOBODY, OTHER, Answer, Store


@pytest.fixture
async def store(store: Store) -> Store:
    for n in range(3):
        await store("PUT", f"/c/s{n}", bytes([97 + n]) * 100)
    return store


async def put(
    store: Store, path: str, segments: list[dict[str, Any]], query: str = "", **more: Any
) -> Answer:
    return await store("PUT", f"{path}?multipart-manifest=put{query}", json.dumps(segments).encode(), **more)


async def test_segments_in_the_manifest_itself_and_etags(store: Store) -> None:
    data = base64.b64encode(b"inline").decode()
    stored = await put(store, "/c/m", [{"path": "/c/s0", "range": "10-19"}, {"data": data}, {"path": "c/s1"}])
    assert stored.status == 201, stored.body
    parts = f"{md5(b'a' * 100).hexdigest()}:10-19;{md5(b'inline').hexdigest()}{md5(b'b' * 100).hexdigest()}"
    etag = f'"{md5(parts.encode()).hexdigest()}"'
    assert stored.headers["etag"] == etag
    got = await store("GET", "/c/m")
    assert got.body == b"a" * 10 + b"inline" + b"b" * 100
    assert (await store("GET", "/c/m", range="bytes=8-17")).body == b"aainlinebb"
    as_stored = await store("GET", "/c/m?multipart-manifest=get")
    assert as_stored.headers["etag"] == got.headers["x-manifest-etag"] == md5(as_stored.body).hexdigest()
    again = await store("GET", "/c/m?multipart-manifest=get&format=raw")
    assert json.loads(again.body)[1] == json.loads(as_stored.body)[1] == {"data": data}
    assert again.headers["etag"] == md5(again.body).hexdigest()
    copy = await store("PUT", "/c/n?multipart-manifest=put", again.body, etag=etag)
    assert (copy.status, copy.headers["etag"]) == (201, etag)
    assert (await store("PUT", "/c/n?multipart-manifest=put", again.body, etag="0" * 32)).status == 422


@pytest.mark.parametrize(
    ("segments", "status"),
    [
        ([{"data": "AAAA"}], 400),
        ([{"path": "/c/s0"}, {"data": "no base64"}], 400),
        ([{"path": "/c/s0"}, {"data": ""}], 400),
        ([{"path": "/c/s0", "etag": "0" * 32}], 400),
        ([{"path": "/c/s0", "range": "200-300"}], 400),
        ([{"path": "/c/s0", "range": "x"}], 400),
        ([{"path": "/c/m"}], 400),
        ([{"path": "/c/s0", "more": 1}], 400),
        ([{"path": "/c/\ud800"}], 400),
        ([{"path": "/c/s0"}] * 1001, 413),
    ],
)
async def test_what_does_not_fit_is_refused(
    store: Store, segments: list[dict[str, Any]], status: int
) -> None:
    assert (await put(store, "/c/m", segments)).status == status
    assert (await store("GET", "/c/m")).status == 404


async def test_manifests_are_no_bombs(store: Store) -> None:
    deep = b"[" * 100_000
    assert (await store("PUT", "/c/m?multipart-manifest=put", deep)).status == 400
    large = b'[{"path": "' + b"x" * 9_000_000 + b'"}]'
    assert (await store("PUT", "/c/m?multipart-manifest=put", large)).status == 413
    assert (await put(store, "/c/d0", [{"path": "/c/s0"}])).status == 201
    for n in range(14):
        await put(store, f"/c/d{n + 1}", [{"path": f"/c/d{n}"}, {"path": f"/c/d{n}"}])
    got = await store("GET", "/c/d3")
    assert len(got.body) == 800
    too_deep = await store("GET", "/c/d14", range="bytes=0-9")
    assert (too_deep.status, b"too deeply" in too_deep.body) == (409, True)
    for n in range(14, 70):
        grown = await put(store, f"/c/d{n + 1}", [{"path": f"/c/d{n}"}, {"path": f"/c/d{n}"}])
    assert grown.status == 400


async def test_only_what_the_caller_may_read_becomes_a_segment(store: Store) -> None:
    await store("PUT", "/open")
    await store("POST", "/open", x_container_write="p2:u2", x_container_read=".r:*")
    refused = await put(store, "/open/m", [{"path": "/c/s0"}], as_=OTHER)
    assert (refused.status, b"403 Forbidden" in refused.body) == (400, True)
    assert (await put(store, "/open/m", [{"path": "/c/s0"}])).status == 201
    assert (await store("GET", "/open/m", as_=NOBODY)).status == 409
    head = await store("HEAD", "/open/m", as_=NOBODY)
    assert (head.status, head.headers["content-length"]) == (200, "100"), "the manifest says so"
    await store("PUT", "/open/link", x_symlink_target="open/m")
    assert (await store("HEAD", "/open/link", as_=NOBODY)).status == 200
    assert (await store("GET", "/open/link", as_=NOBODY)).status == 409
    await store("PUT", "/open/away", x_symlink_target="c/s0")
    assert (await store("HEAD", "/open/away", as_=NOBODY)).status == 401
    await store("PUT", "/open/d", b"", as_=OTHER, x_object_manifest="c/s")
    for method in ("GET", "HEAD"):
        assert (await store(method, "/open/d", as_=OTHER)).status == 403
    assert (await store("GET", "/open/d")).status == 200


async def test_segments_that_are_links(store: Store) -> None:
    for n in range(2):
        await store("PUT", f"/c/l{n}", x_symlink_target=f"c/s{n}")
    etag = md5(b"a" * 100).hexdigest()
    links = [{"path": "/c/l0", "etag": etag, "size_bytes": 100}, {"path": "/c/l1", "range": "0-9"}]
    assert (await put(store, "/c/m", links)).status == 201
    assert (await store("GET", "/c/m")).body == b"a" * 100 + b"b" * 10
    await store("PUT", "/c/back", x_symlink_target="c/n")
    await put(store, "/c/n", [{"path": "/c/s0"}])
    assert (await put(store, "/c/n", [{"path": "/c/back"}])).status == 400
    await store("PUT", "/c/gone", x_symlink_target="c/none")
    assert b"404 Not Found" in (await put(store, "/c/n", [{"path": "/c/gone"}])).body
    await store("PUT", "", at="/v1/AUTH_p2/c", as_=OTHER)
    await store("PUT", "", b"x", at="/v1/AUTH_p2/c/theirs", as_=OTHER)
    await store("PUT", "/c/theirs", x_symlink_target="c/theirs", x_symlink_target_account="AUTH_p2")
    assert b"403 Forbidden" in (await put(store, "/c/n", [{"path": "/c/theirs"}])).body


async def test_a_broken_large_object_is_a_conflict(store: Store) -> None:
    await put(store, "/c/m", [{"path": "/c/s0"}, {"path": "/c/s1"}])
    await store("DELETE", "/c/s0")
    assert (await store("GET", "/c/m")).status == 409
    assert (await store("GET", "/c/m", range="bytes=150-")).body == b"b" * 50
    await store("PUT", "/c/s1", b"another")
    assert (await store("GET", "/c/m", range="bytes=150-")).status == 409


async def test_a_manifest_is_copied_where_its_segments_are(store: Store) -> None:
    await store("PUT", "", at="/v1/AUTH_p2/c", as_=OTHER, x_container_write="p1:u1", x_container_read="p1:u1")
    await put(store, "/c/m", [{"path": "/c/s0"}, {"path": "/c/s1"}])
    there = {"destination": "c/m", "destination_account": "AUTH_p2"}
    refused = await store("COPY", "/c/m?multipart-manifest=get", **there)
    assert (refused.status, refused.body.count(b"404 Not Found")) == (400, 2)
    for n in range(2):
        await store("PUT", "", bytes([97 + n]) * 100, at=f"/v1/AUTH_p2/c/s{n}", as_=OTHER)
    assert (await store("COPY", "/c/m?multipart-manifest=get", **there)).status == 201
    assert (await store("GET", "", at="/v1/AUTH_p2/c/m", as_=OTHER)).body == b"a" * 100 + b"b" * 100
    assert (await store("COPY", "/c/m?part-number=2", destination="c/part")).status == 201
    assert (await store("GET", "/c/part")).body == b"b" * 100


async def test_a_deletion_reaches_what_is_nested(store: Store) -> None:
    await put(store, "/c/inner", [{"path": "/c/s0"}, {"path": "/c/s1"}])
    await put(store, "/c/outer", [{"path": "/c/inner"}, {"path": "/c/s2"}, {"path": "/c/s0"}])
    answer = await store("DELETE", "/c/outer?multipart-manifest=delete", accept="application/json")
    assert json.loads(answer.body)["Number Deleted"] == 5
    assert (await store("GET", "/c")).status == 204


async def test_an_asynchronous_deletion(store: Store) -> None:
    await put(store, "/c/m", [{"path": "/c/s0"}, {"path": "/c/s1"}, {"path": "/c/s2"}])
    assert (await store("DELETE", "/c/m?multipart-manifest=delete&async=yes")).status == 204
    assert (await store("GET", "/c/m")).status == 404
    await store("PUT", "/c/s1", b"newer than the deletion")
    store.state.clock = FakeClock()  # years later
    await store.state.daemons.run_once("object-expirer")
    assert (await store("GET", "/c")).body == b"s1\n"


async def test_a_slow_answer_begins_with_blanks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "BLANK_SECONDS", 0.01)
    waits, build = asyncio.Event(), manifest.slo.build

    async def slow(*given: Any) -> Any:
        await waits.wait()
        return await build(*given)

    monkeypatch.setattr(manifest.slo, "build", slow)
    asyncio.get_running_loop().call_later(0.1, waits.set)
    answer = await put(store, "/c/m", [{"path": "/c/s0"}], "&heartbeat=on", accept="application/json")
    assert (answer.status, answer.body[:2]) == (202, b"  ")
    said = json.loads(answer.body)
    assert (said["Response Status"], said["Etag"]) == (
        "201 Created",
        (await store("HEAD", "/c/m")).headers["etag"],
    )
    at_once = await put(store, "/c/m", [{"path": "/c/s0"}], "&heartbeat=on")
    assert ("content-length" in at_once.headers, at_once.body.strip(b" ")[:4]) == (False, b"\r\n\r\n")
    wrong = await put(store, "/c/w", [{"path": "/c/none"}], "&heartbeat=on", accept="application/json")
    assert json.loads(wrong.body)["Errors"] == [["/c/none", "404 Not Found"]]
    assert (await store("GET", "/c/w")).status == 404


async def test_a_writer_by_list_deletes_no_more_than_it_may(store: Store) -> None:
    await store("PUT", "/w")
    await store("POST", "/w", x_container_write="p2:u2", x_container_read="p2:u2")
    await put(store, "/w/m", [{"path": "/c/s0"}])
    other = Context(user_id="u2", user_name="oto", project_id="p2", roles=frozenset({"member"}))
    answer = await store("DELETE", "/w/m?multipart-manifest=delete", as_=other, accept="application/json")
    assert json.loads(answer.body)["Errors"] == [["c/s0", "403 Forbidden"]]
    assert (await store("GET", "/c/s0")).status == 200


async def test_one_part_by_its_number(store: Store) -> None:
    data = base64.b64encode(b"inline").decode()
    segments = [{"path": "/c/s0", "range": "10-19"}, {"data": data}, {"path": "/c/s1"}]
    assert (await put(store, "/c/m", segments)).status == 201
    assert (await put(store, "/c/outer", [{"path": "/c/m"}, {"path": "/c/s2"}])).status == 201
    whole = (await store("GET", "/c/m")).body
    at = 0
    for number, length in enumerate((10, 6, 100), start=1):
        got = await store("GET", f"/c/m?part-number={number}")
        head = await store("HEAD", f"/c/m?part-number={number}")
        assert (got.status, got.body) == (206, whole[at : at + length])
        assert head.status == 206
        for answer in (got, head):
            assert answer.headers["x-parts-count"] == "3"
            assert answer.headers["content-length"] == str(length)
            assert answer.headers["content-range"] == f"bytes {at}-{at + length - 1}/116"
            assert answer.headers["etag"] == (await store("HEAD", "/c/m")).headers["etag"]
        at += length
    for method in ("GET", "HEAD"):
        beyond = await store(method, "/c/m?part-number=4")
        assert beyond.status == 416
        assert beyond.headers["content-range"] == "bytes */116"
        assert beyond.headers["x-parts-count"] == "3"
        for wrong in ("0", "-1", "one", "²", "9" * 5000):
            assert (await store(method, f"/c/m?part-number={wrong}")).status in (400, 416)
        assert (await store(method, "/c/m?part-number=1", range="bytes=0-3")).status == 400
    assert (await store("GET", "/c/outer?part-number=1")).body == whole
    # What has no parts is given as it is.
    assert (await store("GET", "/c/s0?part-number=7")).status == 200
    await store("PUT", "/c/d", x_object_manifest="c/s")
    assert (await store("GET", "/c/d?part-number=x")).body == b"a" * 100 + b"b" * 100 + b"c" * 100
    assert (await store("GET", "/c/m?part-number=x&multipart-manifest=get")).status == 200
    assert (await store("GET", "/c/m?part-number=1", if_none_match="*")).status == 304
