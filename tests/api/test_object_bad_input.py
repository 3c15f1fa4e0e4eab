"""Requests that are broken, too large, too slow or not text: the right status, nothing written, nothing kept in memory."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.kernel.api.application import scope_of
from pileus.kernel.api.call import CONTEXT_KEY
from pileus.kernel.errors import BadRequest, NotFound, PreconditionFailed
from pileus.services.object_store.name import from_header, parse
from tests.object_store_client import OWNER, ROOT, Store


def files(folder: Path) -> list[Path]:
    return sorted(each for each in (folder / "device").rglob("*") if each.is_file())


async def test_names(store: Store) -> None:
    for status, path in (
        (201, "/c/" + "o" * 1024),
        (400, "/c/" + "o" * 1025),
        (400, "/c/" + "ä" * 513),
        (400, "/" + "c" * 257 + "/o"),
        (412, "/c/\ufffd"),
        (412, "/c/nul\0"),
        (412, "/c\0"),
        (412, "\0"),
    ):
        assert (await store("PUT", path, b"x")).status == status, path[:20]
    assert len((await store("GET", "/c")).body) == 1025


@pytest.mark.parametrize(
    "headers",
    [
        {f"x_object_meta_{n}": "v" for n in range(91)},
        {f"x_object_meta_{n}": "v" * 250 for n in range(17)},
        {"x_object_meta_long": "v" * 257},
        {"x_object_meta_" + "n" * 129: "v"},
        {"x_object_meta_": "v"},
        {"x_delete_at": "9" * 5000},
        {"x_delete_after": "-1"},
        {"content_length": "1e3"},
        {"content_length": "-1"},
    ],
)
async def test_floods_of_headers(store: Store, headers: dict[str, str]) -> None:
    assert (await store("PUT", "/c/o", b"x", **headers)).status == 400
    assert (await store("GET", "/c")).status == 204


async def test_floods_of_container_headers(store: Store) -> None:
    for part in range(5):
        flood = {f"x_container_meta_{part}_{n}": "v" * 20 for n in range(30)}
        last = await store("POST", "/c", **flood)
    assert last.status == 400
    assert sum(each.startswith("x-container-meta-") for each in (await store("HEAD", "/c")).headers) == 90


async def forget() -> None:
    """A refusal holds its traceback, and what that was reading is closed by the loop."""
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()


@pytest.mark.slow
async def test_uploads_that_break_off_leave_nothing(store: Store, tmp_path: Path) -> None:
    body = b"x" * 1_000_000

    async def break_off() -> None:
        assert (await store("PUT", "/c/o", body, content_length="2000000")).status == 0
        assert (await store("PUT", "/c/o", body, etag="0" * 32)).status == 422
        assert (await store("PUT", "/c/o", body[:100], content_length="200")).status == 0
        assert (await store("PUT", "/c/o?multipart-manifest=put", b"[" * 1000)).status == 400
        assert (await store("PUT", "/c?extract-archive=tar.gz", b"\x1f\x8b" + body)).status == 200

    await break_off()
    before = files(tmp_path)
    tracemalloc.start()
    try:
        await break_off()
        await forget()
        grown, _ = tracemalloc.get_traced_memory()
        for _ in range(10):
            await break_off()
        await forget()
        again, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert again - grown < 1_000_000
    assert files(tmp_path) == before
    assert (await store("GET", "/c")).status == 204


async def test_a_slow_client_holds_up_nobody(store: Store) -> None:
    rest, status = asyncio.Event(), []
    sent = iter([b"first ", b"second"])

    async def receive() -> dict[str, Any]:
        body = next(sent)
        if body == b"second":
            await rest.wait()
        return {"type": "http.request", "body": body, "more_body": body == b"first "}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    scope = scope_of("PUT", f"{ROOT}/c/slow", [(b"content-length", b"12")], b"")
    scope[CONTEXT_KEY] = OWNER
    slow = asyncio.ensure_future(store._app(scope, receive, send))
    assert (await store("PUT", "/c/quick", b"x")).status == 201
    assert (await store("GET", "/c")).body == b"quick\n", "what has not come is not there"
    rest.set()
    await slow
    assert status == [201]
    assert (await store("GET", "/c/slow")).body == b"first second"


ODD = st.text(alphabet=st.characters(min_codepoint=1, max_codepoint=255), max_size=40)
HEADERS = [
    "x-symlink-target",
    "x-symlink-target-account",
    "x-symlink-target-etag",
    "x-container-sync-to",
    "x-container-sync-key",
    "x-container-sync-auth",
    "x-account-access-control",
    "x-storage-token",
    "x-auth-token",
    "x-web-mode",
    "x-copy-from",
    "destination",
    "destination-account",
    "origin",
    "content-type",
    "host",
    "x-timestamp",
    "x-delete-after",
    "if-none-match",
    "range",
]
QUERIES = [
    "",
    "?bulk-delete",
    "?extract-archive=tar",
    "?extract-archive=tar.gz",
    "?multipart-manifest=put&heartbeat=on",
    "?multipart-manifest=delete&async=on",
    "?symlink=get",
    "?heartbeat=maybe&multipart-manifest=put",
    "?temp_url_sig=%FF&temp_url_expires=1&temp_url_prefix=&temp_url_ip_range=x",
]


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "OPTIONS"]),
    st.sampled_from(["", "/c", "/c/o", "/c/s", "/none/o"]),
    st.dictionaries(st.sampled_from(HEADERS), ODD, max_size=4),
    st.sampled_from(QUERIES),
    st.sampled_from(
        [b"", b"{}", b"[1]", b'[{"path": "/c/o"}]', b"--B\r\n\r\n--B--", b"\xff\n/c/%FF", b"\x1f\x8b\x08junk"]
    ),
)
async def test_no_request_is_our_mistake(
    store: Store, method: str, path: str, headers: dict[str, str], query: str, body: bytes
) -> None:
    await store("PUT", "/c/o", b"x")
    await store("PUT", "/c/s", x_symlink_target="c/o")
    answer = await store(method, path + query, body, **headers)
    assert answer.status < 500, (method, path, headers, query)


@given(st.text(max_size=60))
def test_any_path_is_read_or_refused(text: str) -> None:
    try:
        name = parse(f"/v1/{text}")
    except (BadRequest, NotFound, PreconditionFailed):
        return
    assert f"/v1/{name.path}".rstrip("/") == f"/v1/{text}".rstrip("/")


@given(st.binary(max_size=40))
def test_any_name_in_a_header_is_read_or_refused(raw: bytes) -> None:
    text = raw.decode("latin-1")
    try:
        found = from_header(text)
    except PreconditionFailed:
        return
    assert "%" in text or found.encode() == raw
