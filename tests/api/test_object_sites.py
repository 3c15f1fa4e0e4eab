"""Containers as web sites, forms, browsers of other sites."""

from __future__ import annotations

import hmac
import time
from hashlib import sha1, sha256, sha512
from pathlib import Path
from urllib.parse import quote

import pytest

from pileus.services.object_store.settings import Settings
from tests.object_store_client import NOBODY, ROOT, Answer, Store, running


@pytest.fixture
async def store(store: Store) -> Store:
    await store("POST", "/c", x_container_read=".r:*,.rlistings")
    return store


async def test_a_site(store: Store) -> None:
    for name, body in {
        "index.html": b"home",
        "a/index.html": b"a",
        "b/o <&>.txt": b"12345678901",
        "404err": b"not here",
        "401err": b"not you",
    }.items():
        await store("PUT", f"/c/{name}", body)
    assert (await store("GET", "/c/nothing", as_=NOBODY)).status == 404
    await store("POST", "/c", x_container_meta_web_index="index.html", x_container_meta_web_error="err")
    moved = await store("GET", "/c", as_=NOBODY, host="h")
    assert (moved.status, moved.headers["location"]) == (301, f"http://h{ROOT}/c/")
    for path, body in (("/c/", b"home"), ("/c/a/", b"a"), ("/c/index.html", b"home")):
        assert (await store("GET", path, as_=NOBODY)).body == body
    moved = await store("GET", "/c/a", as_=NOBODY, host="h")
    assert (moved.status, moved.headers["location"]) == (301, f"http://h{ROOT}/c/a/")
    for path in ("/c/nothing", "/c/b", "/c/b/"):
        missing = await store("GET", path, as_=NOBODY)
        assert (missing.status, missing.body) == (404, b"not here")
    assert (await store("GET", "/c")).body.startswith(b"401err\n"), "who says who it is gets the list"
    assert (await store("GET", "/c/", x_web_mode="true")).body == b"home"
    head = await store("HEAD", "/c/", as_=NOBODY)
    assert (head.status, head.headers["content-length"], head.body) == (200, "4", b"")

    await store("POST", "/c", x_container_meta_web_listings="true", x_container_meta_web_listings_css="s.css")
    page = await store("GET", "/c/b/", as_=NOBODY)
    assert page.headers["content-type"] == "text/html; charset=UTF-8"
    text = page.body.decode()
    assert 'href="./o%20%3C%26%3E.txt">o &lt;&amp;&gt;.txt</a>' in text
    assert 'href="../s.css"' in text
    assert f"Listing of {ROOT}/c/b/" in text
    assert (await store("GET", "/c/b", as_=NOBODY)).status == 301
    assert (await store("GET", "/c/none/", as_=NOBODY)).status == 404
    await store("POST", "/c", x_container_meta_web_listings_label="my <site>")
    assert b"Listing of my &lt;site&gt;/b/" in (await store("GET", "/c/b/", as_=NOBODY)).body

    await store("PUT", "/c/folder", b"", content_type="application/directory")
    await store("PUT", "/c/folder/x", b"x")
    assert (await store("GET", "/c/folder", as_=NOBODY)).status == 301

    await store("POST", "/c", x_container_read=".r:.friends.example")
    closed = await store("GET", "/c/a/", as_=NOBODY)
    assert (closed.status, closed.body) == (401, b"not you")
    assert (await store("GET", "/c/nothing", as_=NOBODY)).status == 401, (
        "what is missing is nobody's business"
    )
    assert (await store("GET", "/c/b/", as_=NOBODY, referer="http://a.friends.example/")).status == 401


async def test_a_site_by_a_temporary_url(store: Store) -> None:
    await store("POST", "/c", x_remove_container_read="x", x_container_meta_temp_url_key="k")
    for name in ("top", "dir/o", "dir/sub/o", "dir/sub/index.html", "dirt/o"):
        await store("PUT", f"/c/{name}", name.encode())
    until = str(int(time.time()) + 60)

    def signed(prefix: str, method: str = "GET", expires: str = until) -> str:
        text = f"{method}\n{until}\nprefix:{ROOT}/c/{prefix}"
        signature = hmac.new(b"k", text.encode(), sha256).hexdigest()
        return f"?temp_url_prefix={prefix}&temp_url_expires={expires}&temp_url_sig={signature}"

    async def visit(path: str, query: str) -> Answer:
        return await store("GET", f"/c{path}{query}", as_=NOBODY)

    assert (await visit("", signed(""))).status == 401, "it is no site"
    assert (await visit("/", signed(""))).status == 401
    assert (await visit("/dir/", signed(""))).status == 404
    await store("POST", "/c", x_container_meta_web_listings="true")
    assert (await visit("/", "")).status == 401
    assert (await visit("", signed(""))).status == 301
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(until)))
    for query, is_up in (
        (signed(""), True),
        (signed("dir/"), False),
        (signed("", expires=date), True),
        (signed("") + "&inline", True),
    ):
        page = await visit("/dir/", query)
        links = query.replace(":", "%3A").replace("&", "&amp;")
        assert page.status == 200
        assert f'href="./o{links}">o<' in page.body.decode()
        assert f'href="./sub/{links}">sub/<' in page.body.decode()
        assert ('href="../' in page.body.decode()) is is_up
        assert (await visit("/dir/o", query)).body == b"dir/o"
    assert 'href="../' not in (await visit("/", signed(""))).body.decode()
    assert (
        f'href="../{signed("dir/")}"'.replace("&", "&amp;")
        in (await visit("/dir/sub/", signed("dir/"))).body.decode()
    )
    for path, query in (
        ("/", signed("dir/")),
        ("/dirt/", signed("dir/")),
        ("/dir//", signed("dir//")),
        ("/dir/", signed("dir/").replace("prefix=dir/", "prefix=")),
        ("/dir/", signed("dir/", "PUT")),
        ("/dir/", signed("dir/", expires="1")),
        ("/none", signed("dir/")),
    ):
        assert (await visit(path, query)).status == 401, (path, query)
    assert (await visit("/dir/none", signed("dir/"))).status == 404

    await store("POST", "/c", x_container_meta_web_index="index.html")
    assert (await visit("/dir/sub/", signed("dir/"))).body == b"dir/sub/index.html"
    assert (await visit("/dir/sub/", signed("dir/o"))).status == 401


@pytest.mark.parametrize(("host", "path"), [("p1.s.example", "/c€"), ("c%E2%82%AC.p1.s.example", "")])
async def test_a_site_of_any_name_at_its_host(tmp_path: Path, host: str, path: str) -> None:
    async with running(tmp_path, Settings(storage_domains=("s.example",))) as store:
        await store("PUT", "/c€", x_container_read=".r:*", x_container_meta_web_index="ä.html")
        await store("PUT", "/c€/ä/ä.html", b"page")
        moved = await store("GET", "", at=f"{path}/ä", as_=NOBODY, host=host)
        assert (moved.status, moved.headers["location"]) == (301, f"http://{host}{quote(path)}/%C3%A4/")
        assert (await store("GET", "", at=f"{path}/ä/", as_=NOBODY, host=host)).body == b"page"


def form(fields: dict[str, str], files: dict[str, bytes]) -> bytes:
    parts = [
        f'--B\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode()
        for n, v in fields.items()
    ]
    for n, (name, body) in enumerate(files.items()):
        head = f'--B\r\nContent-Disposition: form-data; name="file{n}"; filename="{name}"\r\nContent-Type: text/x\r\n\r\n'
        parts.append(head.encode() + body + b"\r\n")
    return b"".join(parts) + b"--B--\r\n"


class Poster:
    def __init__(self, store: Store) -> None:
        self.store = store

    async def __call__(
        self,
        files: dict[str, bytes],
        *,
        path: str = "/c/up-",
        redirect: str = "",
        size: str = "1000",
        count: str = "2",
        expires: int | None = None,
        key: bytes = b"secret",
        digest: object = sha256,
        **more: str,
    ) -> Answer:
        until = str(int(time.time()) + 60 if expires is None else expires)
        text = "\n".join((ROOT + path, redirect, size, count, until))
        signature = hmac.new(key, text.encode(), digest).hexdigest()  # type: ignore[arg-type]  # a hash of hashlib
        fields = {
            "redirect": redirect,
            "max_file_size": size,
            "max_file_count": count,
            "expires": until,
            "signature": signature,
            **more,
        }
        body = form({name: value for name, value in fields.items() if value or name != "redirect"}, files)
        return await self.store(
            "POST", path, body, as_=NOBODY, content_type="multipart/form-data; boundary=B"
        )


async def test_a_form_uploads_files(store: Store) -> None:
    await store("POST", "", x_account_meta_temp_url_key="secret")
    post = Poster(store)
    assert (await post({"a.txt": b"1", "ä": b"2" * 1000}, x_delete_after="100")).status == 201
    got = await store("GET", "/c/up-a.txt")
    assert (got.body, got.headers["content-type"]) == (b"1", "text/x")
    assert int(got.headers["x-delete-at"]) > time.time()
    assert len((await store("GET", "/c/up-ä")).body) == 1000
    for digest in (sha1, sha512):
        assert (await post({"d": b"1"}, digest=digest)).status == 201
    sent = await post({"r": b"1"}, redirect="https://site.example/done?x=1")
    assert (sent.status, sent.headers["location"]) == (
        303,
        "https://site.example/done?x=1&status=201&message=",
    )


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (401, {"key": b"other"}),
        (401, {"expires": 1}),
        (401, {"signature": "junk"}),
        (401, {"signature": "0" * 40}),
        (413, {"size": "1"}),
        (400, {"count": "0"}),
        (400, {"size": "x"}),
        (400, {"x_delete_at": "never"}),
    ],
)
async def test_forms_that_are_refused(store: Store, status: int, more: dict[str, object]) -> None:
    await store("POST", "", x_account_meta_temp_url_key="secret")
    answer = await Poster(store)({"f": b"22"}, **more)  # type: ignore[arg-type]  # as the parametrisation has it
    assert answer.status == status, answer.body
    assert (await store("GET", "/c")).status == 204
    told = await Poster(store)({"f": b"22"}, redirect="https://s.example/", **more)  # type: ignore[arg-type]  # likewise
    assert told.status == 303
    assert f"status={status}" in told.headers["location"]


async def test_a_form_without_a_key_or_broken_off(store: Store) -> None:
    assert (await Poster(store)({"f": b"1"})).status == 401
    await store("POST", "", x_account_meta_temp_url_key="secret")
    assert (await Poster(store)({})).status == 400
    assert (await Poster(store)({"f": b"1"}, path="/none/x")).status == 404
    broken = await store(
        "POST", "/c/x", b"--B\r\nno form", as_=NOBODY, content_type="multipart/form-data; boundary=B"
    )
    assert broken.status == 400


async def test_browsers_of_other_sites(store: Store) -> None:
    origin = "https://site.example"
    await store("PUT", "/c/o", b"x", x_object_meta_color="red")
    ask = {"origin": origin, "access_control_request_method": "PUT", "access_control_request_headers": "x-a"}
    assert (await store("OPTIONS", "/c/o", as_=NOBODY, **ask)).status == 401
    assert "access-control-allow-origin" not in (await store("GET", "/c/o", origin=origin)).headers
    await store(
        "POST",
        "/c",
        x_container_meta_access_control_allow_origin=f"http://other {origin}",
        x_container_meta_access_control_max_age="600",
        x_container_meta_access_control_expose_headers="X-Mine",
    )
    flight = await store("OPTIONS", "/c/o", as_=NOBODY, **ask)
    assert flight.status == 200
    assert flight.headers["access-control-allow-origin"] == origin
    assert "PUT" in flight.headers["access-control-allow-methods"]
    assert flight.headers["access-control-allow-headers"] == "x-a"
    assert flight.headers["access-control-max-age"] == "600"
    assert (await store("OPTIONS", "/c/o", as_=NOBODY, **{**ask, "origin": "https://bad"})).status == 401
    assert (
        await store("OPTIONS", "/c/o", as_=NOBODY, **{**ask, "access_control_request_method": "X"})
    ).status == 401
    account = await store("OPTIONS", "", as_=NOBODY, **ask)
    assert (account.status, "access-control-allow-origin" in account.headers) == (200, False)
    plain = await store("OPTIONS", "/c/o", as_=NOBODY)
    assert (plain.status, "COPY" in plain.headers["allow"]) == (200, True)
    for status, path in ((200, "/c/o"), (404, "/c/none")):
        got = await store("GET", path, origin=origin)
        assert (got.status, got.headers["access-control-allow-origin"]) == (status, origin)
    exposed = (await store("GET", "/c/o", origin=origin)).headers["access-control-expose-headers"].split(", ")
    assert {"x-mine", "x-object-meta-color", "etag"} <= set(exposed)
