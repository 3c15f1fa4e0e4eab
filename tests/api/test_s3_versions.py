"""Versions of objects through S3."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.s3_client import Rig, code_of

ENABLED, SUSPENDED = {"Status": "Enabled"}, {"Status": "Suspended"}


@pytest.fixture
async def rig(listening: Rig) -> Rig:
    await listening.do(listening.client().create_bucket, Bucket="box")
    return listening


class Box:
    """A bucket's client in fewer words."""

    def __init__(self, rig: Rig) -> None:
        self._rig, self._s3 = rig, rig.client()

    async def set(self, status: dict[str, str]) -> None:
        await self._rig.do(self._s3.put_bucket_versioning, Bucket="box", VersioningConfiguration=status)

    async def put(self, key: str, body: bytes) -> str | None:
        return (await self._rig.do(self._s3.put_object, Bucket="box", Key=key, Body=body)).get("VersionId")

    async def get(self, key: str, **more: str) -> bytes:
        body: bytes = (await self._rig.do(self._s3.get_object, Bucket="box", Key=key, **more))["Body"].read()
        return body

    async def delete(self, key: str, **more: str) -> Any:
        return await self._rig.do(self._s3.delete_object, Bucket="box", Key=key, **more)

    async def versions(self, **more: Any) -> list[tuple[str, str, bool, bool]]:
        """(key, id, is latest, is marker) in the order of the list, versions first."""
        answer = await self._rig.do(self._s3.list_object_versions, Bucket="box", **more)
        return [
            (each["Key"], each["VersionId"], each["IsLatest"], marker)
            for marker, kind in ((False, "Versions"), (True, "DeleteMarkers"))
            for each in answer.get(kind, [])
        ]

    async def missing(self, key: str, **more: str) -> str:
        with pytest.raises(ClientError) as error:
            await self.get(key, **more)
        return code_of(error)


async def test_versions_from_first_to_last(rig: Rig) -> None:
    box = Box(rig)
    assert await box.put("o", b"null one") is None
    await box.set(ENABLED)
    assert await box.versions() == [("o", "null", True, False)]
    one, two = await box.put("o", b"one"), await box.put("o", b"two")
    assert one != two
    assert await box.get("o") == b"two"
    assert await box.get("o", VersionId=one) == b"one"
    assert await box.get("o", VersionId="null") == b"null one"
    assert await box.versions() == [
        ("o", two, True, False),
        ("o", one, False, False),
        ("o", "null", False, False),
    ]
    # Swift sees the newest, and one object.
    assert (await rig.swift("GET", "/box/o")).body == b"two"
    assert (await rig.swift("GET", "/box")).body == b"o\n"
    gone = await box.delete("o")
    assert gone["DeleteMarker"]
    marker = gone["VersionId"]
    assert await box.missing("o") == "NoSuchKey"
    assert await box.missing("o", VersionId=marker) == "MethodNotAllowed"
    assert (await rig.swift("GET", "/box/o")).status == 404
    assert ("o", marker, True, True) in await box.versions()
    # Without the marker the object is there again; without the newest, the one before it is the object.
    assert (await box.delete("o", VersionId=marker))["DeleteMarker"]
    assert await box.get("o") == b"two"
    await box.delete("o", VersionId=two)
    assert await box.get("o") == b"one"
    await box.delete("o", VersionId=one)
    assert await box.get("o") == b"null one"
    assert await box.versions() == [("o", "null", True, False)]
    assert await box.missing("o", VersionId=one) == "NoSuchVersion"
    assert (await box.delete("o", VersionId=one))["ResponseMetadata"]["HTTPStatusCode"] == 204
    await box.delete("o", VersionId="null")
    assert await box.versions() == []
    await rig.do(rig.client().delete_bucket, Bucket="box")


async def test_suspended(rig: Rig) -> None:
    box = Box(rig)
    await box.set(ENABLED)
    one = await box.put("o", b"one")
    await box.set(SUSPENDED)
    assert await box.put("o", b"null one") == "null"
    assert await box.put("o", b"null two") == "null"
    assert await box.get("o") == b"null two"
    assert await box.versions() == [("o", "null", True, False), ("o", one, False, False)]
    assert (await box.delete("o"))["VersionId"] == "null"
    assert await box.missing("o") == "NoSuchKey"
    assert await box.versions() == [("o", one, False, False), ("o", "null", True, True)]
    await box.set(ENABLED)
    two = await box.put("o", b"two")
    assert await box.versions() == [
        ("o", two, True, False),
        ("o", one, False, False),
        ("o", "null", False, True),
    ]
    await box.set(SUSPENDED)
    await box.put("o", b"null three")
    assert await box.versions() == [
        ("o", "null", True, False),
        ("o", two, False, False),
        ("o", one, False, False),
    ]
    await box.delete("o", VersionId="null")
    assert await box.get("o") == b"two"
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        await rig.do(rig.client().delete_bucket, Bucket="box")


async def test_pages_of_versions(rig: Rig) -> None:
    box = Box(rig)
    await box.put("a/0", b"")
    await box.set(ENABLED)
    for key in ("a/1", "a/2", "b", "c\x01d", "c\x01d", "ü"):
        await box.put(key, key.encode())
    await box.delete("b")
    everything = await box.versions()
    assert len(everything) == 8
    s3 = rig.client()
    for limit in (1, 2, 3, 7, 8, 100):
        found, more, pages = [], {}, 0
        while True:
            answer = await rig.do(s3.list_object_versions, Bucket="box", MaxKeys=limit, **more)
            pages += 1
            for kind in ("Versions", "DeleteMarkers"):
                found += [(each["Key"], each["VersionId"]) for each in answer.get(kind, [])]
            if not answer["IsTruncated"]:
                break
            more = {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer["NextVersionIdMarker"]}
        assert sorted(found) == sorted((key, id) for key, id, _, _ in everything)
        assert pages == -(-8 // limit)
    folded = await rig.do(s3.list_object_versions, Bucket="box", Delimiter="/")
    assert [each["Prefix"] for each in folded["CommonPrefixes"]] == ["a/"]
    assert [each["Key"] for each in folded["Versions"]] == ["b", "c\x01d", "c\x01d", "ü"]
    within = await rig.do(s3.list_object_versions, Bucket="box", Prefix="c\x01")
    assert [each["Key"] for each in within["Versions"]] == ["c\x01d", "c\x01d"]


async def test_many_with_versions_are_deleted_at_once(rig: Rig) -> None:
    box = Box(rig)
    await box.set(ENABLED)
    one, _ = await box.put("o", b"one"), await box.put("p", b"p")
    s3 = rig.client()
    answer = await rig.do(
        s3.delete_objects,
        Bucket="box",
        Delete={"Objects": [{"Key": "o", "VersionId": one}, {"Key": "p"}, {"Key": "never"}]},
    )
    assert [each.get("DeleteMarker") for each in answer["Deleted"]] == [None, True, True]
    every = [{"Key": key, "VersionId": id} for key, id, _, _ in await box.versions()]
    assert len(every) == 3
    await rig.do(s3.delete_objects, Bucket="box", Delete={"Objects": every})
    await rig.do(s3.delete_bucket, Bucket="box")


async def test_a_setting_that_is_none(rig: Rig) -> None:
    for body in (
        b"",
        b"<VersioningConfiguration/>",
        b"<VersioningConfiguration><Status>On</Status></VersioningConfiguration>",
    ):
        assert (await rig("PUT", "/box?versioning", body)).status == 400
    assert (await rig("GET", "/box?versioning")).body.endswith(b'/"></VersioningConfiguration>')


async def test_swifts_way_to_the_same_versions(rig: Rig) -> None:
    """`X-Versions-Enabled`, `version-id` and `versions` of Swift's API."""
    swift, box = rig.swift, Box(rig)
    assert (await swift("PUT", "/c", x_versions_enabled="true")).status == 201
    assert (await swift("HEAD", "/c")).headers["x-versions-enabled"] == "True"
    assert (await swift("POST", "/box", x_versions_enabled="maybe")).status == 400
    assert (await swift("PUT", "/old", x_versions_location="c")).status == 201
    assert (await swift("POST", "/old", x_versions_enabled="true")).status == 400
    assert (await swift("POST", "/box", x_versions_enabled="true")).status == 204
    one = (await swift("PUT", "/box/o", b"one")).headers["x-object-version-id"]
    two = await box.put("o", b"two")
    assert (await swift("GET", "/box/o")).headers["x-object-version-id"] == two
    assert (await swift("GET", f"/box/o?version-id={one}")).body == b"one"
    assert (await swift("POST", "/box/o", x_object_meta_color="red")).status == 202
    assert (await swift("HEAD", f"/box/o?version-id={two}")).headers["x-object-meta-color"] == "red"
    assert (await swift("HEAD", "/box/o")).headers["x-object-meta-color"] == "red"
    copied = await swift("PUT", "/box/o", x_copy_from="/box/o")
    assert copied.status == 201
    marker = (await swift("DELETE", "/box/o")).headers["x-object-version-id"]
    assert (await swift("GET", "/box/o")).status == 404
    again = await swift("DELETE", "/box/o")
    assert again.status == 404, "and yet there is a marker, as Swift has it"
    assert (await swift("DELETE", f"/box/o?version-id={again.headers['x-object-version-id']}")).status == 204
    assert (await swift("GET", f"/box/o?version-id={marker}")).status == 404
    listed = json.loads((await swift("GET", "/box?versions&format=json")).body)
    assert [each["is_latest"] for each in listed] == [True, False, False, False]
    assert [each["version_id"] for each in listed][2:] == [two, one]
    assert [(key, id) for key, id, _, _ in await box.versions()] == [
        ("o", each["version_id"]) for each in (*listed[1:], listed[0])
    ]
    rest = json.loads((await swift("GET", f"/box?versions&format=json&marker=o&version_marker={two}")).body)
    assert [each["version_id"] for each in rest] == [one]
    assert (await swift("DELETE", "/box")).status == 409
    for each in listed:
        assert (await swift("DELETE", f"/box/o?version-id={each['version_id']}")).status == 204
    assert (await swift("DELETE", f"/box/o?version-id={one}")).status == 404
    assert (await swift("DELETE", "/box")).status == 204
