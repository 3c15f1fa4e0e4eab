"""Storage policies through Swift's API: containers choose one, accounts count by them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator
from hashlib import md5
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pileus.drivers.object.engine import ObjectEngine
from pileus.drivers.object.erasure.assemble import on_folders
from pileus.kernel.clock import SystemClock
from pileus.kernel.config import ConfigError
from pileus.services.object_store.policies import ErasureCoding, Policies, StoragePolicy
from pileus.services.object_store.settings import Settings
from tests.object_store_client import OWNER, Store, running

POLICIES = (
    StoragePolicy(name="gold", index=0, default=True, aliases=("yellow", "Orange")),
    StoragePolicy(name="silver", index=1),
    StoragePolicy(name="old", index=7, deprecated=True),
)
RESELLER = msgspec.structs.replace(OWNER, roles=frozenset({"member", "ResellerAdmin"}))


@pytest.fixture
def devices(tmp_path: Path) -> dict[int, ObjectEngine]:
    return {policy.index: ObjectEngine.on_host(tmp_path / f"d{policy.index}") for policy in POLICIES}


@pytest.fixture
async def store(tmp_path: Path, devices: dict[int, ObjectEngine]) -> AsyncIterator[Store]:
    async with running(tmp_path, Settings(policies=POLICIES), devices=devices) as store:
        yield store


async def test_a_container_has_the_policy_it_was_made_with(store: Store) -> None:
    assert (await store("PUT", "/plain")).status == 201
    assert (await store("PUT", "/s", x_storage_policy="SILVER")).status == 201
    assert (await store("PUT", "/alias", x_storage_policy="orange")).status == 201
    for container, policy in (("plain", "gold"), ("s", "silver"), ("alias", "gold")):
        for method in ("HEAD", "GET"):
            answer = await store(method, f"/{container}")
            assert answer.headers["x-storage-policy"] == policy
            assert not [each for each in answer.headers if each.startswith("x-backend")]


async def test_unknown_and_deprecated_policies_are_refused(store: Store) -> None:
    unknown = await store("PUT", "/c", x_storage_policy="platinum")
    assert unknown.status == 400
    assert "Invalid X-Storage-Policy 'platinum'" in unescape(unknown.body.decode())
    deprecated = await store("PUT", "/c", x_storage_policy="Old")
    assert deprecated.status == 400
    assert "Storage Policy 'old' is deprecated" in unescape(deprecated.body.decode())
    assert (await store("HEAD", "/c")).status == 404


async def test_a_container_keeps_its_policy(store: Store) -> None:
    await store("PUT", "/c", x_storage_policy="silver")
    refused = await store("PUT", "/c", x_storage_policy="gold", x_container_meta_color="red")
    assert refused.status == 409
    assert b"silver" in refused.body
    assert "x-container-meta-color" not in (await store("HEAD", "/c")).headers
    assert (await store("PUT", "/c", x_storage_policy="silver")).status == 202
    assert (await store("PUT", "/c")).status == 202
    assert (await store("POST", "/c", x_storage_policy="gold")).status == 204
    assert (await store("HEAD", "/c")).headers["x-storage-policy"] == "silver"
    assert (await store("DELETE", "/c")).status == 204
    assert (await store("PUT", "/c", x_storage_policy="gold")).status == 201
    assert (await store("HEAD", "/c")).headers["x-storage-policy"] == "gold"


async def test_objects_lie_on_their_policys_devices(store: Store, devices: dict[int, ObjectEngine]) -> None:
    await store("PUT", "/g")
    await store("PUT", "/s", x_storage_policy="silver")
    big = b"x" * 400_000
    for path, body in (("/g/o", b"gold"), ("/s/o", b"silver"), ("/s/big", big)):
        assert (await store("PUT", path, body)).status == 201
        assert (await store("GET", path)).body == body
    assert (await store("COPY", "/s/big", destination="g/big", x_object_meta_a="b")).status == 201
    assert (await store("GET", "/g/big")).body == big
    assert (await store("POST", "/s/o", x_object_meta_color="blue")).status == 202
    assert (await store("HEAD", "/s/o")).headers["x-object-meta-color"] == "blue"
    assert (await store("DELETE", "/s/big")).status == 204
    assert (await store("GET", "/s/big")).status == 404
    assert (await store("GET", "/g/big")).status == 200
    on = {index: await _paths(device) for index, device in devices.items()}
    assert on == {0: {"g/o", "g/big"}, 1: {"s/o"}, 7: set()}


async def _paths(device: ObjectEngine) -> set[str]:
    heard: dict[str, bool] = {}
    again = ObjectEngine(device._files)
    await again.start(lambda version: heard.update({version.path: version.deleted}))
    await again.close()
    return {path.partition("/")[2] for path, deleted in heard.items() if not deleted}


async def test_an_account_counts_by_policy(store: Store) -> None:
    await store("PUT", "/g")
    await store("PUT", "/s", x_storage_policy="silver")
    await store("PUT", "/t", x_storage_policy="silver")
    for path in ("/g/a", "/s/a", "/s/b", "/t/c"):
        await store("PUT", path, b"12345")
    headers = (await store("HEAD", "")).headers
    counted = {
        name.removeprefix("x-account-storage-policy-"): int(value)
        for name, value in headers.items()
        if name.startswith("x-account-storage-policy-")
    }
    assert counted == {
        "gold-container-count": 1,
        "gold-object-count": 1,
        "gold-bytes-used": 5,
        "silver-container-count": 2,
        "silver-object-count": 3,
        "silver-bytes-used": 15,
    }
    assert (headers["x-account-container-count"], headers["x-account-object-count"]) == ("3", "4")
    assert headers["x-account-bytes-used"] == "20"


async def test_lists_of_containers_name_their_policies(store: Store) -> None:
    await store("PUT", "/a/", x_storage_policy="silver")
    await store("PUT", "/b-1")
    await store("PUT", "/b-2")
    for query in ("", "&delimiter=/"):
        listed = json.loads((await store("GET", f"?format=json{query}")).body)
        assert [each["storage_policy"] for each in listed] == ["silver", "gold", "gold"]
        as_xml = (await store("GET", f"?format=xml{query}")).body
        assert as_xml.count(b"<storage_policy>gold</storage_policy></container>") == 2
    folded = json.loads((await store("GET", "?format=json&delimiter=-")).body)
    assert [each.get("subdir", each.get("storage_policy")) for each in folded] == ["silver", "b-"]


async def test_a_policys_quota(store: Store) -> None:
    quota = {"x_account_quota_bytes_policy_silver": "10", "x_account_quota_count_policy_gold": "1"}
    assert (await store("POST", "", **quota)).status == 403
    assert (await store("POST", "", as_=RESELLER, x_account_quota_bytes_policy_silver="ten")).status == 400
    assert (await store("POST", "", as_=RESELLER, **quota)).status == 204
    headers = (await store("HEAD", "")).headers
    assert headers["x-account-quota-bytes-policy-silver"] == "10"
    assert headers["x-account-quota-count-policy-gold"] == "1"
    await store("PUT", "/g")
    await store("PUT", "/s", x_storage_policy="silver")
    assert (await store("PUT", "/g/a", b"x" * 100)).status == 201
    full = await store("PUT", "/g/b", b"")
    assert full.status == 413
    assert b"Upload exceeds policy quota." in full.body
    assert (await store("PUT", "/s/a", b"x" * 10)).status == 201
    assert (await store("PUT", "/s/b", b"x")).status == 413
    assert (await store("COPY", "/g/a", destination="s/c")).status == 413
    removed = await store("POST", "", as_=RESELLER, x_remove_account_quota_bytes_policy_silver="x")
    assert removed.status == 204
    assert (await store("PUT", "/s/b", b"x")).status == 201
    assert "x-account-quota-bytes-policy-silver" not in (await store("HEAD", "")).headers


async def test_info_lists_what_new_containers_can_get(tmp_path: Path) -> None:
    policies = Policies(POLICIES)
    assert policies.described() == [
        {"name": "gold", "aliases": "gold, yellow, Orange", "default": True},
        {"name": "silver", "aliases": "silver"},
    ]
    assert json.dumps(Policies(()).described()) == (
        '[{"name": "Policy-0", "aliases": "Policy-0", "default": true}]'
    )


async def test_lists_follow_each_device_after_a_crash(tmp_path: Path) -> None:
    def fresh() -> dict[int, Any]:
        return {policy.index: ObjectEngine.on_host(tmp_path / f"d{policy.index}") for policy in POLICIES}

    settings = Settings(policies=POLICIES)
    async with running(tmp_path, settings, devices=fresh()) as store:
        await store("PUT", "/g")
        await store("PUT", "/s", x_storage_policy="silver")
        await store("PUT", "/g/a", b"1")
        await store("PUT", "/s/a", b"1")
    (tmp_path / "listings/told").unlink()
    async with running(tmp_path, settings, devices=fresh()) as store:
        for container in ("g", "s"):
            assert (await store("GET", f"/{container}")).body == b"a\n"


@pytest.mark.parametrize(
    ("policies", "words"),
    [
        ([StoragePolicy(name="a b")], "letters, digits and dashes"),
        ([StoragePolicy(name="a", index=1)], "index 0"),
        ([StoragePolicy(name="a", default=True), StoragePolicy(name="b")], "its own"),
        ([StoragePolicy(name="a", default=True), StoragePolicy(name="A", index=1)], "another policy's"),
        ([StoragePolicy(name="a"), StoragePolicy(name="b", index=1)], "one must be the default"),
        ([StoragePolicy(name="a", deprecated=True)], "one must be the default"),
        ([StoragePolicy(name="a", erasure_coding=ErasureCoding(data=0, parity=1))], "1 or more for data"),
        (
            [StoragePolicy(name="a", default=True), StoragePolicy(name="policy-0", index=1)],
            "another policy's",
        ),
    ],
)
def test_policies_that_do_not_fit_together(policies: list[StoragePolicy], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Policies(policies)


CODED = (
    StoragePolicy(name="copies", default=True),
    StoragePolicy(name="coded", index=1, erasure_coding=ErasureCoding(data=2, parity=1, segment_kib=64)),
)


@pytest.fixture
async def coded(tmp_path: Path) -> AsyncIterator[Store]:
    coding = CODED[1].erasure_coding
    assert coding is not None
    device, _ = on_folders(
        [tmp_path / f"coded-{n}" for n in range(3)], coding, SystemClock(), "object-reconstructor"
    )
    devices = {0: ObjectEngine.on_host(tmp_path / "copies"), 1: device}
    async with running(tmp_path, Settings(policies=CODED), devices=devices) as store:
        await store("PUT", "/e", x_storage_policy="coded")
        await store("PUT", "/c")
        yield store


async def test_the_api_over_erasure_coding(coded: Store, tmp_path: Path) -> None:
    body = os.urandom(200_000)
    bodies = {"empty": b"", "small": b"small", "some": body[:5000], "large": body}
    for name, data in bodies.items():
        put = await coded("PUT", f"/e/{name}", data, x_object_meta_color="red")
        assert (put.status, put.headers["etag"]) == (201, md5(data).hexdigest())
        got = await coded("GET", f"/e/{name}")
        assert (got.status, got.body) == (200, data)
        assert got.headers["x-object-meta-color"] == "red"
    chunked = await coded("PUT", "/e/chunked", chunks=[body[:70_000], body[70_000:]])
    assert chunked.status == 201
    part = await coded("GET", "/e/chunked", range="bytes=65530-131080")
    assert (part.status, part.body) == (206, body[65530:131081])
    assert (await coded("POST", "/e/large", x_object_meta_color="blue")).status == 202
    assert (await coded("HEAD", "/e/large")).headers["x-object-meta-color"] == "blue"
    assert (await coded("GET", "/e/large")).body == body
    assert (await coded("COPY", "/e/large", destination="c/copy")).status == 201
    assert (await coded("GET", "/c/copy")).body == body
    assert (await coded("PUT", "/e/back", x_copy_from="c/copy")).status == 201
    assert (await coded("DELETE", "/e/large")).status == 204
    assert (await coded("GET", "/e/large")).status == 404
    assert (await coded("GET", "/e/back")).body == body
    listed = json.loads((await coded("GET", "/e?format=json")).body)
    assert {each["name"]: each["bytes"] for each in listed} == {
        "back": 200_000,
        "chunked": 200_000,
        "empty": 0,
        "small": 5,
        "some": 5000,
    }


async def test_a_disk_may_go(coded: Store, tmp_path: Path) -> None:
    body = os.urandom(3_000_000)
    await coded("PUT", "/e/o", body)
    shutil.rmtree(tmp_path / "coded-1/fragments/large")
    assert (await coded("GET", "/e/o")).body == body


async def test_fragments_of_what_is_encrypted(tmp_path: Path) -> None:
    coding = CODED[1].erasure_coding
    assert coding is not None
    bodies = {"small": b"secret " * 300, "large": os.urandom(300_000), "tiny": b"secret"}

    def devices() -> dict[int, Any]:
        coded, _ = on_folders([tmp_path / f"x{n}" for n in range(3)], coding, SystemClock(), "r")
        return {0: ObjectEngine.on_host(tmp_path / "x"), 1: coded}

    async with running(tmp_path, Settings(policies=CODED), devices=devices()) as store:
        await store("PUT", "/e", x_storage_policy="coded")
        assert (await store("PUT", "/e/plain", bodies["large"])).status == 201
    async with running(tmp_path, Settings(policies=CODED, encryption=True), devices=devices()) as store:
        for name, body in bodies.items():
            assert (await store("PUT", f"/e/{name}", body)).status == 201
        for name, body in (*bodies.items(), ("plain", bodies["large"])):
            assert (await store("GET", f"/e/{name}")).body == body
            assert (await store("GET", f"/e/{name}", range="bytes=2-4")).body == body[2:5]
    assert b"secret" not in _kept(tmp_path)


def _kept(folder: Path) -> bytes:
    """All that is on the disks."""
    return b"".join(file.read_bytes() for file in folder.glob("x*/**/*") if file.is_file())
