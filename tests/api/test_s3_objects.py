"""S3's buckets and objects, through boto3 over a socket, and by calls in process."""

from __future__ import annotations

from hashlib import md5
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.object_store_client import NOBODY, OTHER
from tests.s3_client import Rig


@pytest.fixture
def rig(listening: Rig) -> Rig:
    return listening


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    response: Any = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


async def test_a_bucket_and_an_object(rig: Rig) -> None:
    s3 = rig.client()
    await rig.do(s3.create_bucket, Bucket="photos")
    with pytest.raises(ClientError) as error:
        await rig.do(s3.create_bucket, Bucket="photos")
    assert code(error) == (409, "BucketAlreadyOwnedByYou")
    listed = await rig.do(s3.list_buckets)
    assert [each["Name"] for each in listed["Buckets"]] == ["photos"]
    assert (await rig.do(s3.head_bucket, Bucket="photos"))["BucketRegion"] == "us-east-1"
    body = b"hello" * 1000
    put = await rig.do(
        s3.put_object,
        Bucket="photos",
        Key="a b/ü+c//d",
        Body=body,
        Metadata={"color": "red"},
        ContentType="text/x",
    )
    assert put["ETag"] == f'"{md5(body).hexdigest()}"'
    got = await rig.do(s3.get_object, Bucket="photos", Key="a b/ü+c//d")
    assert got["Body"].read() == body
    assert (got["Metadata"], got["ContentType"]) == ({"color": "red"}, "text/x")
    head = await rig.do(s3.head_object, Bucket="photos", Key="a b/ü+c//d")
    assert head["ContentLength"] == len(body)
    swift = await rig.swift("GET", "/photos/a b/ü+c//d")
    assert (swift.body, swift.headers["x-object-meta-color"]) == (body, "red")
    assert (await rig.swift("PUT", "/photos/other", b"from swift", x_object_meta_a="b")).status == 201
    got = await rig.do(s3.get_object, Bucket="photos", Key="other", Range="bytes=5-")
    assert (got["Body"].read(), got["Metadata"], got["ContentRange"]) == (
        b"swift",
        {"a": "b"},
        "bytes 5-9/10",
    )
    with pytest.raises(ClientError) as error:
        await rig.do(s3.delete_bucket, Bucket="photos")
    assert code(error) == (409, "BucketNotEmpty")
    for key in ("a b/ü+c//d", "other", "never there"):
        await rig.do(s3.delete_object, Bucket="photos", Key=key)
    with pytest.raises(ClientError) as error:
        await rig.do(s3.get_object, Bucket="photos", Key="other")
    assert code(error) == (404, "NoSuchKey")
    await rig.do(s3.delete_bucket, Bucket="photos")
    with pytest.raises(ClientError) as error:
        await rig.do(s3.get_object, Bucket="photos", Key="other")
    assert code(error) == (404, "NoSuchBucket")


async def test_others_see_a_bucket_only_where_they_may(rig: Rig) -> None:
    assert (await rig("PUT", "/photos")).status == 200
    assert (await rig("PUT", "/photos", as_=OTHER)).status == 409
    assert (await rig("GET", "/photos/x", as_=OTHER)).status == 403
    assert (await rig("GET", "/photos/x", as_=NOBODY)).status == 403
    assert (await rig("GET", "/", as_=NOBODY)).status == 403
    assert (await rig("GET", "/nothing/x", as_=NOBODY)).status == 404
    # What Swift made is nobody's bucket but its owner's.
    assert (await rig.swift("PUT", "/drafts")).status == 201
    assert (await rig("HEAD", "/drafts")).status == 200
    assert (await rig("HEAD", "/drafts", as_=OTHER)).status == 404
    assert (await rig("PUT", "/drafts", as_=OTHER)).status == 200
    assert (await rig("HEAD", "/drafts", as_=OTHER)).status == 200


@pytest.mark.parametrize("key", ["who?", "a%3Fb", "a%20b", "?versions", "#", "a/../b?x=y&z"])
async def test_a_copy_of_whatever_is_called_so(rig: Rig, key: str) -> None:
    s3 = rig.client()
    await rig.do(s3.create_bucket, Bucket="photos")
    await rig.do(s3.put_object, Bucket="photos", Key=key, Body=b"body")
    await rig.do(s3.copy_object, Bucket="photos", Key="copy", CopySource={"Bucket": "photos", "Key": key})
    assert (await rig.do(s3.get_object, Bucket="photos", Key="copy"))["Body"].read() == b"body"
