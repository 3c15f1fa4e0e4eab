"""Objects encrypted at rest: the API as without, and nothing to be read on the disk."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import AsyncIterator
from hashlib import md5
from pathlib import Path

import pytest

from pileus.kernel.config import ConfigError
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.encryption import BodyCipher, Keymaster, keymaster
from pileus.services.object_store.settings import Settings
from tests.object_store_client import Store, running

ON = Settings(encryption=True)
SECRETS = {"2026-01": base64.b64encode(b"a" * 32).decode(), "2026-02": base64.b64encode(b"b" * 32).decode()}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with running(tmp_path, ON) as store:
        await store("PUT", "/c")
        yield store


def on_disk(folder: Path) -> bytes:
    return b"\n".join(
        path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "encryption-secrets" not in path.parts
    )


async def test_nothing_of_an_object_is_readable_on_the_disk(tmp_path: Path) -> None:
    small, large = b"plain words " * 100, b"words in a large object " * 30_000
    async with running(tmp_path, ON) as store:
        await store("PUT", "/c")
        await store("PUT", "/c/small", small, x_object_meta_color="crimson", content_type="text/x-secret")
        await store("PUT", "/c/large", large, x_object_meta_color="crimson")
        await store("POST", "/c/small", x_object_meta_shape="heptagon")
        manifest = json.dumps([{"path": "/c/small"}, {"path": "/c/large"}]).encode()
        assert (await store("PUT", "/c/whole?multipart-manifest=put", manifest)).status == 201
        assert (await store("COPY", "/c/small", destination="c/copy")).status == 201
    plain = on_disk(tmp_path)
    assert b"small" in plain, "names are not secret"
    for hidden in (
        b"plain words",
        b"words in a large",
        b"crimson",
        b"heptagon",
        md5(small).hexdigest().encode(),
    ):
        assert hidden not in plain
    async with running(tmp_path, ON) as store:
        head = (await store("HEAD", "/c/small")).headers
        assert (head["x-object-meta-shape"], head["content-type"]) == ("heptagon", "text/x-secret")
        assert (await store("GET", "/c/copy")).body == small
        assert (await store("GET", "/c/whole")).body == small + large
        listed = {each["name"]: each for each in json.loads((await store("GET", "/c?format=json")).body)}
        assert listed["small"]["hash"] == listed["copy"]["hash"] == md5(small).hexdigest()
        assert listed["large"]["hash"] == md5(large).hexdigest()
        assert f"<hash>{md5(large).hexdigest()}</hash>".encode() in (await store("GET", "/c?format=xml")).body


@pytest.mark.parametrize("size", [1, 1000, 300_000, 2_500_000])
async def test_ranges_and_conditions(store: Store, size: int) -> None:
    body = os.urandom(size)
    etag = (await store("PUT", "/c/o", body)).headers["etag"]
    assert etag == md5(body).hexdigest()
    for first, last in ((0, 0), (1, 15), (15, 17), (size // 2 + 3, size), (size - 1, size)):
        if first < size:
            got = await store("GET", "/c/o", range=f"bytes={first}-{last}")
            assert (got.status, got.body) == (206, body[first : last + 1])
    assert (await store("GET", "/c/o", if_none_match=etag)).status == 304
    assert (await store("GET", "/c/o", if_match='"other"')).status == 412
    assert (await store("GET", "/c/o", if_match=etag)).body == body
    assert (await store("PUT", "/c/o", body, etag="0" * 32)).status == 422


async def test_metadata_and_expiry(store: Store) -> None:
    await store("PUT", "/c/o", b"body", x_object_meta_a="1")
    assert (await store("POST", "/c/o", x_object_meta_b="2", x_delete_after="1000")).status == 202
    head = (await store("HEAD", "/c/o")).headers
    assert (head["x-object-meta-b"], "x-object-meta-a" in head) == ("2", False)
    assert int(head["x-delete-at"]) > 0
    assert (await store("GET", "/c/o")).body == b"body"
    await store("PUT", "/c/part/1", b"1" * 10)
    await store("PUT", "/c/part/2", b"2" * 10)
    await store("PUT", "/c/dynamic", b"", x_object_manifest="c/part/")
    got = await store("GET", "/c/dynamic", range="bytes=8-11")
    assert got.body == b"1122"
    assert (await store("DELETE", "/c/o")).status == 204
    assert (await store("GET", "/c/o")).status == 404


async def test_what_was_written_before_or_with_an_older_secret_is_read(tmp_path: Path) -> None:
    older = {"2026-01": SECRETS["2026-01"]}
    for name, settings in (
        ("plain", Settings()),
        ("old", Settings(encryption=True, encryption_secrets=older)),
        ("new", Settings(encryption=True, encryption_secrets=SECRETS)),
        ("off", Settings(encryption_secrets=SECRETS)),
    ):
        async with running(tmp_path, settings) as store:
            await store("PUT", "/c")
            assert (await store("PUT", f"/c/{name}", name.encode() * 20)).status == 201
            assert (await store("POST", f"/c/{name}", x_object_meta_by=name)).status == 202
    plain = on_disk(tmp_path)
    assert b"plainplain" in plain
    assert b"offoff" in plain
    assert b"oldold" not in plain
    assert b"newnew" not in plain
    async with running(tmp_path, Settings(encryption=True, encryption_secrets=SECRETS)) as store:
        for name in ("plain", "old", "new", "off"):
            assert (await store("GET", f"/c/{name}")).body == name.encode() * 20
            assert (await store("HEAD", f"/c/{name}")).headers["x-object-meta-by"] == name
        hashes = [each["hash"] for each in json.loads((await store("GET", "/c?format=json")).body)]
        assert hashes == [md5(name * 20).hexdigest() for name in (b"new", b"off", b"old", b"plain")]
    newest = {"2026-02": SECRETS["2026-02"]}
    async with running(tmp_path, Settings(encryption=True, encryption_secrets=newest)) as store:
        assert (await store("GET", "/c/new")).status == 200
        assert (await store("GET", "/c/old")).status == 503


def test_secrets(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert not keymaster(folder, {}, make=False)
    master = keymaster(folder, {}, make=True)
    assert stat.S_IMODE((folder / "0001").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secret, sealed = master.seal("a/c/o", b"plain")
    again = keymaster(folder, {}, make=True)
    assert (again.newest, again.open("a/c/o", secret, sealed)) == ("0001", b"plain")
    with pytest.raises(DeviceError, match="does not open"):
        again.open("a/c/other", secret, sealed)
    with pytest.raises(DeviceError, match="does not open"):
        again.open("a/c/o", secret, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(DeviceError, match="is gone"):
        Keymaster({"other": b"x" * 32}).open("a/c/o", secret, sealed)
    for wrong in ({"a": "AAAA"}, {"a": "no base64!"}, {"a b": SECRETS["2026-01"]}):
        with pytest.raises(ConfigError):
            keymaster(folder, wrong, make=False)


async def test_a_body_is_opened_from_any_offset() -> None:
    key, iv, body = os.urandom(32), b"\xff" * 16, os.urandom(1000)
    sealed = await BodyCipher(key, iv).pass_through(body)
    assert sealed != body
    for offset in (0, 1, 15, 16, 17, 500, 999):
        assert await BodyCipher(key, iv, offset).pass_through(sealed[offset:]) == body[offset:]
