"""Headers in UTF-8: as clients send them, in bytes or as in a URL."""

from __future__ import annotations

import json
from hashlib import md5
from typing import Any
from urllib.parse import quote

import pytest

from pileus.kernel.context import Context
from tests.object_store_client import NOBODY, Answer, Store

NAME = "Ωbjekt"


def sent(text: str) -> str:
    """As the bytes of it come to the server."""
    return text.encode().decode("latin-1")


async def text_of(store: Store, method: str, path: str, **more: Any) -> Answer:
    return await store(method, path, **{key: sent(value) for key, value in more.items()})


@pytest.mark.parametrize("written", [sent, quote])
async def test_manifests_and_places_of_versions(store: Store, written: Any) -> None:
    for path in (f"/{NAME}", f"/{NAME}-old"):
        assert (await store("PUT", path)).status == 201
    for segment in ("1", "2"):
        assert (await store("PUT", f"/{NAME}/seg/{segment}", segment.encode())).status == 201
    assert (await store("PUT", "/c/o", x_object_manifest=written(f"{NAME}/seg/"))).status == 201
    assert (await store("GET", "/c/o")).body == b"12"
    for location in ("x_versions_location", "x_history_location"):
        assert (await store("POST", f"/{NAME}", **{location: written(f"{NAME}-old")})).status == 204
        for body in (b"a", b"b"):
            assert (await store("PUT", f"/{NAME}/{location}", body)).status == 201
        assert (
            len((await store("GET", f"/{NAME}-old?prefix={len(location):03x}{location}")).body.splitlines())
            == 1
        )
        assert (await store("POST", f"/{NAME}", x_remove_versions_location="x")).status == 204


async def test_content_types_in_lists(store: Store) -> None:
    await text_of(store, "PUT", "/c/o", content_type=f"text/{NAME}")
    assert (await store("HEAD", "/c/o")).headers["content-type"] == sent(f"text/{NAME}")
    assert json.loads((await store("GET", "/c?format=json")).body)[0]["content_type"] == f"text/{NAME}"
    assert f"<content_type>text/{NAME}<".encode() in (await store("GET", "/c?format=xml")).body
    await store("PUT", "/c/o", content_type="text/\xff")
    assert json.loads((await store("GET", "/c?format=json")).body)[0]["content_type"] == "text/\xff"


async def test_who_is_named_in_an_access_list(store: Store) -> None:
    user = Context(
        user_id="u9", user_name=NAME, project_id="p9", project_name="Ω", roles=frozenset({"reader"})
    )
    await store("PUT", "/c/o", b"x")
    assert (await store("GET", "/c/o", as_=user)).status == 403
    await text_of(store, "POST", "/c", x_container_read=f"Ω:{NAME}")
    assert (await store("GET", "/c/o", as_=user)).status == 200


async def test_pages_of_a_site(store: Store) -> None:
    await store("POST", "/c", x_container_read=".r:*,.rlistings")
    await text_of(
        store,
        "POST",
        "/c",
        x_container_meta_web_index=f"{NAME}.html",
        x_container_meta_web_error=f"{NAME}-error.html",
        x_container_meta_web_listings="on",
        x_container_meta_web_listings_css=f"{NAME}.css",
        x_container_meta_web_listings_label=NAME,
    )
    await store("PUT", f"/c/{NAME}.html", b"hello")
    await store("PUT", f"/c/404{NAME}-error.html", b"nothing here")
    await store("PUT", "/c/dir/o", b"x")
    assert (await store("GET", "/c/", as_=NOBODY)).body == b"hello"
    missing = await store("GET", "/c/missing", as_=NOBODY)
    assert (missing.status, missing.body) == (404, b"nothing here")
    listing = (await store("GET", "/c/dir/", as_=NOBODY)).body.decode()
    assert f'href="../{quote(NAME)}.css"' in listing
    assert f"Listing of {NAME}/dir/" in listing


async def test_what_is_kept_comes_back_in_the_same_bytes(store: Store) -> None:
    for value in (sent(NAME), "\xff\xfe"):
        assert (await store("PUT", "/c/o", b"x", x_object_meta_name=value)).status == 201
        got = await store("GET", "/c/o")
        assert got.headers["x-object-meta-name"] == value
        assert got.headers["etag"] == md5(b"x").hexdigest()
