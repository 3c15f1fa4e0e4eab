"""Objects in parts; copies."""

from __future__ import annotations

import asyncio
import json
from hashlib import md5
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pileus.services.object_store.s3 import multipart
from tests.s3_client import Rig, code_of

SMALL = 1000
"""Bytes of a part, here."""


@pytest.fixture
async def rig(listening: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(multipart, "MIN_PART_BYTES", SMALL)
    await listening.do(listening.client().create_bucket, Bucket="box")
    return listening


async def begun(rig: Rig, key: str = "big", **more: Any) -> dict[str, str]:
    s3 = rig.client()
    answer = await rig.do(s3.create_multipart_upload, Bucket="box", Key=key, **more)
    return {"Bucket": "box", "Key": key, "UploadId": answer["UploadId"]}


async def sent(rig: Rig, upload: dict[str, str], bodies: dict[int, bytes]) -> list[dict[str, Any]]:
    s3 = rig.client()
    answers = await asyncio.gather(
        *(rig.do(s3.upload_part, **upload, PartNumber=number, Body=body) for number, body in bodies.items())
    )
    return [{"PartNumber": n, "ETag": answer["ETag"]} for n, answer in zip(bodies, answers, strict=True)]


def whole_etag(bodies: list[bytes]) -> str:
    digests = b"".join(md5(body).digest() for body in bodies)
    return f'"{md5(digests).hexdigest()}-{len(bodies)}"'


async def test_parts_become_an_object(rig: Rig) -> None:
    s3 = rig.client()
    upload = await begun(rig, "dir/big one", Metadata={"color": "red"}, ContentType="text/x")
    bodies = {number: bytes([number]) * SMALL for number in (3, 1, 2, 5)} | {10000: b"end"}
    parts = sorted(await sent(rig, upload, bodies), key=lambda part: part["PartNumber"])
    listed = await rig.do(s3.list_parts, **upload)
    assert [each["PartNumber"] for each in listed["Parts"]] == [1, 2, 3, 5, 10000]
    page = await rig.do(s3.list_parts, **upload, MaxParts=2, PartNumberMarker=1)
    assert [each["PartNumber"] for each in page["Parts"]] == [2, 3]
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (True, 3)
    assert "Contents" not in await rig.do(s3.list_objects_v2, Bucket="box")
    chosen = [part for part in parts if part["PartNumber"] != 3]
    done = await rig.do(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": chosen})
    pieces = [bodies[number] for number in (1, 2, 5, 10000)]
    whole = b"".join(pieces)
    assert done["ETag"] == whole_etag(pieces)
    got = await rig.do(s3.get_object, Bucket="box", Key="dir/big one")
    assert (got["Body"].read(), got["ETag"]) == (whole, done["ETag"])
    assert (got["Metadata"], got["ContentType"]) == ({"color": "red"}, "text/x")
    across = await rig.do(s3.get_object, Bucket="box", Key="dir/big one", Range=f"bytes={SMALL - 1}-{SMALL}")
    assert across["Body"].read() == whole[SMALL - 1 : SMALL + 1]
    third = await rig.do(s3.get_object, Bucket="box", Key="dir/big one", PartNumber=3)
    assert (third["Body"].read(), third["PartsCount"]) == (bodies[5], 4)
    entry = (await rig.do(s3.list_objects_v2, Bucket="box"))["Contents"][0]
    assert (entry["ETag"], entry["Size"]) == (done["ETag"], len(whole))
    attributes = await rig.do(
        s3.get_object_attributes,
        Bucket="box",
        Key="dir/big one",
        ObjectAttributes=["ETag", "ObjectSize", "ObjectParts"],
    )
    assert attributes["ObjectParts"]["TotalPartsCount"] == 4
    assert attributes["ObjectSize"] == len(whole)
    # Swift reads it as a static large object.
    swift = await rig.swift("GET", "/box/dir/big one")
    assert (swift.body, swift.headers["x-static-large-object"]) == (whole, "True")
    # A client that did not hear the answer asks again; the upload itself is over.
    again = await rig.do(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": chosen})
    assert again["ETag"] == done["ETag"]
    with pytest.raises(ClientError) as error:
        await rig.do(s3.list_parts, **upload)
    assert code_of(error) == "NoSuchUpload"
    assert len((await rig.swift("GET", "/box+segments")).body.splitlines()) == 4
    # What replaces the object, or deletes it, takes the parts along.
    await rig.do(s3.put_object, Bucket="box", Key="dir/big one", Body=b"small")
    assert (await rig.swift("GET", "/box+segments")).body == b""
    await rig.do(s3.delete_object, Bucket="box", Key="dir/big one")
    await rig.do(s3.delete_bucket, Bucket="box")
    assert (await rig.swift("GET", "")).body == b""


async def test_what_can_not_become_an_object(rig: Rig) -> None:
    s3 = rig.client()
    upload = await begun(rig)
    one, two, three = await sent(rig, upload, {1: b"a" * SMALL, 2: b"b" * 10, 3: b"c" * SMALL})
    wrong = {"PartNumber": 1, "ETag": '"' + "0" * 32 + '"'}
    for parts, expected in (
        ([two, one], "InvalidPartOrder"),
        ([one, one], "InvalidPartOrder"),
        ([one, two, three], "EntityTooSmall"),
        ([wrong], "InvalidPart"),
        ([one, {"PartNumber": 4, "ETag": one["ETag"]}], "InvalidPart"),
        ([], "MalformedXML"),
    ):
        with pytest.raises(ClientError) as error:
            await rig.do(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts})
        assert code_of(error) == expected
    with pytest.raises(ClientError) as error:
        await rig.do(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": [one]}, IfMatch='"x"')
    assert code_of(error) == "NoSuchKey"
    for number in (0, 10001):
        with pytest.raises(ClientError) as error:
            await rig.do(s3.upload_part, **upload, PartNumber=number, Body=b"x")
        assert code_of(error) == "InvalidArgument"
    for each in ("x", "0" * 32, "%00"):
        answer = await rig("PUT", f"/box/big?partNumber=1&uploadId={each}", b"x")
        assert answer.status in (400, 404)
    await rig.do(s3.abort_multipart_upload, **upload)
    assert (await rig.swift("GET", "/box+segments")).body == b""
    with pytest.raises(ClientError) as error:
        await rig.do(s3.upload_part, **upload, PartNumber=1, Body=b"x")
    assert code_of(error) == "NoSuchUpload"


async def test_uploads_that_have_begun_are_listed(rig: Rig) -> None:
    s3 = rig.client()
    begun_ones = [await begun(rig, key) for key in ("a/1", "a/2", "b", "b", "ü")]
    everything = [(each["Key"], each["UploadId"]) for each in begun_ones]
    for limit in (1, 2, 5, 1000):
        found, more, pages = [], {}, 0
        while True:
            answer = await rig.do(s3.list_multipart_uploads, Bucket="box", MaxUploads=limit, **more)
            pages += 1
            found += [(each["Key"], each["UploadId"]) for each in answer.get("Uploads", [])]
            if not answer["IsTruncated"]:
                break
            more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}
        assert found == everything
        assert pages == -(-5 // limit)
    folded = await rig.do(s3.list_multipart_uploads, Bucket="box", Delimiter="/", MaxUploads=1)
    assert [each["Prefix"] for each in folded["CommonPrefixes"]] == ["a/"]
    rest = await rig.do(
        s3.list_multipart_uploads, Bucket="box", Delimiter="/", KeyMarker=folded["NextKeyMarker"], Prefix=""
    )
    assert [each["Key"] for each in rest["Uploads"]] == ["b", "b", "ü"]
    await sent(rig, begun_ones[0], {1: b"x"})
    # A bucket that is gone takes along what was still coming.
    await rig.do(s3.delete_bucket, Bucket="box")
    assert (await rig.swift("GET", "")).body == b""


async def test_copies(rig: Rig) -> None:
    s3 = rig.client()
    body = bytes(range(256)) * 20
    put = await rig.do(
        s3.put_object, Bucket="box", Key="from ü+", Body=body, Metadata={"a": "b"}, ContentType="text/x"
    )
    source = {"Bucket": "box", "Key": "from ü+"}
    await rig.do(s3.copy_object, Bucket="box", Key="to", CopySource=source)
    got = await rig.do(s3.get_object, Bucket="box", Key="to")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (body, {"a": "b"}, "text/x")
    await rig.do(
        s3.copy_object,
        Bucket="box",
        Key="to",
        CopySource={"Bucket": "box", "Key": "to"},
        Metadata={"c": "d"},
        MetadataDirective="REPLACE",
    )
    head = await rig.do(s3.head_object, Bucket="box", Key="to")
    assert (head["Metadata"], head["ETag"]) == ({"c": "d"}, put["ETag"])
    for more, expected in (
        ({"CopySource": {"Bucket": "box", "Key": "to"}}, "InvalidRequest"),
        ({"CopySource": source, "CopySourceIfNoneMatch": put["ETag"]}, "PreconditionFailed"),
        ({"CopySource": source, "CopySourceIfMatch": '"x"'}, "PreconditionFailed"),
        ({"CopySource": {"Bucket": "box", "Key": "none"}}, "NoSuchKey"),
        ({"CopySource": {"Bucket": "none", "Key": "none"}}, "NoSuchBucket"),
        ({"CopySource": source, "IfNoneMatch": "*"}, "PreconditionFailed"),
    ):
        with pytest.raises(ClientError) as error:
            await rig.do(s3.copy_object, Bucket="box", Key="to", **more)
        assert code_of(error) == expected
    upload = await begun(rig)
    parts = []
    for number, span in ((1, "bytes=0-2999"), (2, "bytes=3000-5119")):
        answer = await rig.do(
            s3.upload_part_copy, **upload, PartNumber=number, CopySource=source, CopySourceRange=span
        )
        parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    for span in ("bytes=0-5120", "bytes=5-4", "0-1", "bytes=-5"):
        with pytest.raises(ClientError) as error:
            await rig.do(s3.upload_part_copy, **upload, PartNumber=3, CopySource=source, CopySourceRange=span)
        assert code_of(error) == "InvalidArgument"
    await rig.do(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts})
    assert (await rig.do(s3.get_object, Bucket="box", Key="big"))["Body"].read() == body
    # A copy of what came in parts is one piece, and stays when the first is gone.
    await rig.do(s3.copy_object, Bucket="box", Key="one", CopySource={"Bucket": "box", "Key": "big"})
    await rig.do(s3.delete_object, Bucket="box", Key="big")
    got = await rig.do(s3.get_object, Bucket="box", Key="one")
    assert (got["Body"].read(), got["ETag"]) == (body, put["ETag"])


async def test_parts_in_a_bucket_with_versions(rig: Rig) -> None:
    s3 = rig.client()
    await rig.do(s3.put_bucket_versioning, Bucket="box", VersioningConfiguration={"Status": "Enabled"})
    versions = []
    for fill in (b"a", b"b"):
        upload = await begun(rig)
        parts = await sent(rig, upload, {1: fill * SMALL, 2: fill})
        done = await rig.do(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts})
        versions.append(done["VersionId"])
    first = await rig.do(s3.get_object, Bucket="box", Key="big", VersionId=versions[0])
    assert first["Body"].read() == b"a" * (SMALL + 1)
    assert (await rig.do(s3.get_object, Bucket="box", Key="big"))["Body"].read() == b"b" * (SMALL + 1)
    assert (await rig.swift("GET", "/box/big")).body == b"b" * (SMALL + 1)
    await rig.do(s3.delete_object, Bucket="box", Key="big", VersionId=versions[1])
    assert (await rig.do(s3.get_object, Bucket="box", Key="big"))["Body"].read() == b"a" * (SMALL + 1)
    assert len((await rig.swift("GET", "/box+segments")).body.splitlines()) == 2
    back = await rig.do(
        s3.copy_object,
        Bucket="box",
        Key="copy",
        CopySource={"Bucket": "box", "Key": "big", "VersionId": versions[0]},
    )
    assert back["CopySourceVersionId"] == versions[0]


async def test_what_swift_put_together(rig: Rig) -> None:
    """Static and dynamic large objects and symlinks; an etag in a list is the one that a HEAD gives."""
    s3, swift = rig.client(), rig.swift
    for name in ("a", "b"):
        await swift("PUT", f"/box/{name}", name.encode() * 10)
    manifest = json.dumps([{"path": "/box/a"}, {"path": "/box/b"}]).encode()
    put = await swift("PUT", "/box/slo?multipart-manifest=put", manifest)
    assert put.status == 201
    assert (await swift("PUT", "/box/link", x_symlink_target="box/slo")).status == 201
    got = await rig.do(s3.get_object, Bucket="box", Key="slo")
    assert got["Body"].read() == b"a" * 10 + b"b" * 10
    assert got["ETag"] == put.headers["etag"][:-1] + '-2"'
    listed = {each["Key"]: each for each in (await rig.do(s3.list_objects_v2, Bucket="box"))["Contents"]}
    assert listed["slo"]["ETag"] == got["ETag"]
    assert len(listed["link"]["ETag"]) == 34
    assert (await rig.do(s3.get_object, Bucket="box", Key="link"))["ETag"] == got["ETag"]
    entries = {each["name"]: each for each in json.loads((await swift("GET", "/box?format=json")).body)}
    assert entries["slo"]["slo_etag"] == put.headers["etag"]
    stored = (await swift("GET", "/box/slo?multipart-manifest=get")).body
    assert entries["slo"]["hash"] == md5(stored).hexdigest()
    # What S3 put together is a segment of a dynamic large object as any other.
    upload = await begun(rig, "seg/1")
    parts = await sent(rig, upload, {1: b"x" * SMALL, 2: b"y"})
    await rig.do(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts})
    await swift("PUT", "/box/seg/2", b"z")
    await swift("PUT", "/box/dlo", x_object_manifest="box/seg/")
    assert (await swift("GET", "/box/dlo")).body == b"x" * SMALL + b"yz"
    # A copy of the manifest lists the parts, but does not take them along when it goes.
    await swift("PUT", "/box/copy?multipart-manifest=get", x_copy_from="/box/seg/1")
    await rig.do(s3.delete_object, Bucket="box", Key="copy")
    assert (await swift("GET", "/box/seg/1")).body == b"x" * SMALL + b"y"
