"""What is counted of accounts and containers: every byte that is stored, once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import md5
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from tests.object_store_client import OWNER, Store, running

RESELLER = replace(OWNER, roles=frozenset({*OWNER.roles, "ResellerAdmin"}))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with running(tmp_path) as store:
        yield store


async def used(store: Store, path: str) -> tuple[int, int]:
    """Objects and bytes, as the headers say."""
    kind = "container" if path else "account"
    head = await store("HEAD", path)
    return int(head.headers[f"x-{kind}-object-count"]), int(head.headers[f"x-{kind}-bytes-used"])


async def test_versions_are_bytes_of_their_container_and_account(store: Store) -> None:
    assert (await store("PUT", "/<v>", x_versions_enabled="true")).status == 201
    assert (await store("PUT", "/plain")).status == 201
    assert (await store("PUT", "/plain/p", b"1234567")).status == 201
    first = (await store("PUT", "/<v>/o", b"123")).headers["x-object-version-id"]
    assert (await store("PUT", "/<v>/o", b"12345")).status == 201
    assert await used(store, "/<v>") == (1, 8)
    objects, size = await used(store, "")
    assert size == 15
    assert objects == 4, "the link, two versions, and the other one"
    rows = json.loads((await store("GET", "?format=json")).body)
    assert {row["name"]: (row["count"], row["bytes"]) for row in rows} == {"<v>": (1, 8), "plain": (1, 7)}
    document = ElementTree.fromstring((await store("GET", "?format=xml")).body)
    assert [each.findtext("bytes") for each in document] == ["8", "7"]
    listed = json.loads((await store("GET", "/<v>?format=json")).body)
    assert [(row["bytes"], row["hash"]) for row in listed] == [(5, md5(b"12345").hexdigest())]
    document = ElementTree.fromstring((await store("GET", "/<v>?format=xml")).body)
    assert [(each.findtext("bytes"), each.findtext("hash")) for each in document] == [
        ("5", md5(b"12345").hexdigest())
    ]
    assert (await store("DELETE", "/<v>/o")).status == 204
    assert await used(store, "/<v>") == (0, 8)
    assert (await store("DELETE", f"/<v>/o?version-id={first}")).status == 204
    assert await used(store, "/<v>") == (0, 5)


async def test_versions_count_for_quotas(store: Store) -> None:
    assert (
        await store("PUT", "/v", x_versions_enabled="true", x_container_meta_quota_bytes="10")
    ).status == 201
    assert (await store("PUT", "/v/o", b"123456")).status == 201
    assert (await store("PUT", "/v/o", b"12345")).status == 413
    assert (await store("PUT", "/v/o", b"1234")).status == 201
    assert (await store("POST", "", as_=RESELLER, x_account_quota_bytes="12")).status == 204
    assert (await store("PUT", "/plain")).status == 201
    assert (await store("PUT", "/plain/p", b"123")).status == 413
    assert (await store("PUT", "/plain/p", b"12")).status == 201


async def test_a_large_objects_segments_count_once(store: Store) -> None:
    for container in ("c", "s"):
        assert (await store("PUT", f"/{container}")).status == 201
    for number in range(2):
        assert (await store("PUT", f"/s/{number}", b"x" * 1000)).status == 201
    manifest = json.dumps([{"path": f"/s/{number}"} for number in range(2)]).encode()
    assert (await store("PUT", "/c/large?multipart-manifest=put", manifest)).status == 201
    stored = int((await store("GET", "/c/large?multipart-manifest=get")).headers["content-length"])
    assert await used(store, "/c") == (1, stored)
    assert await used(store, "") == (3, 2000 + stored)
    (row,) = json.loads((await store("GET", "/c?format=json")).body)
    assert row["bytes"] == 2000
    assert row["slo_etag"] == (await store("HEAD", "/c/large")).headers["etag"]


async def test_versions_by_their_ids(store: Store) -> None:
    """What is possible with an id, and what is not (Object Storage API, "Object versioning")."""
    assert (await store("PUT", "/plain")).status == 201
    assert (await store("PUT", "/plain/p", b"plain")).status == 201
    assert (await store("PUT", "/v", x_versions_enabled="true")).status == 201
    one = (await store("PUT", "/v/o", b"one")).headers["x-object-version-id"]
    two = (await store("PUT", "/v/o", b"two")).headers["x-object-version-id"]
    assert (await store("GET", f"/plain/p?version-id={one}")).status == 400
    assert (await store("GET", "/plain/p?version-id=null")).headers["x-object-version-id"] == "null"
    assert (await store("GET", "/v/o?version-id=latest")).status == 400
    assert (await store("GET", "/v/o?version-id=null")).status == 404
    assert (await store("POST", f"/v/o?version-id={one}", x_object_meta_a="b")).status == 400
    assert (await store("PUT", f"/v/o?version-id={one}", b"body")).status == 400
    assert (await store("PUT", "/v/o?version-id=null")).status == 400
    assert (await store("PUT", "/v/o?version-id=1000000000.00000")).status == 404
    copied = await store("COPY", f"/v/o?version-id={one}", destination="plain/copy")
    assert (copied.status, copied.headers["x-copied-from-version-id"]) == (201, one)
    assert (await store("GET", "/plain/copy")).body == b"one"
    assert (await store("COPY", "/v/o?version-id=1000000000.00000", destination="plain/x")).status == 404
    again = await store("PUT", f"/v/o?version-id={one}")
    assert (again.status, again.headers["x-object-version-id"]) == (201, one)
    assert (await store("GET", "/v/o")).body == b"one"
    listed = json.loads((await store("GET", "/v?versions&format=json")).body)
    assert [(row["version_id"], row["is_latest"]) for row in listed] == [(two, False), (one, True)]
    gone = await store("DELETE", f"/v/o?version-id={two}")
    assert gone.headers["x-object-version-id"] == two
    assert gone.headers["x-object-current-version-id"] == one
    assert (await store("POST", "/v", x_versions_enabled="false")).status == 204
    assert (await store("PUT", "/v/null", b"null")).status == 201
    assert (await store("GET", "/v/null")).headers["x-object-version-id"] == "null"
