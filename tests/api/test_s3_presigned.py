"""What signed URLs carry besides their signature: headers of whoever made them, for those who can send none."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.object_store_client import NOBODY, Answer
from tests.s3_client import KEYS, Rig, code

OLGA = Credentials("olga", KEYS["olga"].secret)


async def fetched(rig: Rig, method: str, path: str, query: dict[str, str], body: bytes = b"") -> Answer:
    """By a URL that is signed as JavaScript's and Ruby's clients sign: what would be a header is in the query."""
    request = AWSRequest(method=method, url=f"http://cloud.test{path}?{urlencode(query)}")
    S3SigV4QueryAuth(OLGA, "s3", "us-east-1", expires=60).add_auth(request)
    parts = urlsplit(request.url)
    at = f"{parts.path}?{parts.query}"
    return await rig(method, at, body, as_=NOBODY, prefix="", host="cloud.test")


async def test_headers_in_the_query_of_version_4(rig: Rig) -> None:
    hoisted = {
        "x-amz-meta-color": "r\xf6t",
        "x-amz-tagging": "a=1",
        "X-Amz-Storage-Class": "STANDARD_IA",
        "x-amz-checksum-crc32": "AAAAAA==",
        "x-amz-sdk-checksum-algorithm": "CRC32",
        "x-id": "PutObject",
    }
    assert (await fetched(rig, "PUT", "/pile/o", hoisted, b"body")).status == 200
    head = (await rig("HEAD", "/pile/o")).headers
    assert head["x-amz-meta-color"].encode("latin-1").decode() == "r\xf6t"
    assert (head["x-amz-tagging-count"], head["x-amz-storage-class"]) == ("1", "STANDARD_IA")
    copied = await fetched(rig, "PUT", "/pile/copy", {"x-amz-copy-source": "/pile/o"})
    assert copied.status == 200
    assert (await rig("GET", "/pile/copy")).body == b"body"
    refused = await fetched(rig, "PUT", "/pile/o", {"x-amz-meta-a": "b\r\nset-cookie: c"}, b"")
    assert (refused.status, code(refused)) == (400, "InvalidArgument")
    refused = await fetched(rig, "PUT", "/pile/o", {"x-amz-write-offset-bytes": "4"}, b"x")
    assert (refused.status, code(refused)) == (501, "NotImplemented")
    # Without a signature, or with one in a header, a query is a query.
    assert (await rig("PUT", "/pile/plain?x-amz-meta-color=red", b"")).status == 200
    assert "x-amz-meta-color" not in (await rig("HEAD", "/pile/plain")).headers


@pytest.mark.parametrize("version", ["s3", "s3v4"])
async def test_headers_that_boto3_signs(listening: Rig, version: str) -> None:
    rig = listening
    await rig.do(rig.client().create_bucket, Bucket="box")
    params = {"Bucket": "box", "Key": "o", "ContentType": "text/x", "Metadata": {"color": "red"}}
    url = rig.client(signature_version=version).generate_presigned_url("put_object", Params=params)
    sent = {"content-type": "text/x", "x-amz-meta-color": "red"}
    async with httpx.AsyncClient() as http:
        assert (await http.put(url, content=b"body", headers=sent)).status_code == 200
        without = await http.put(url, content=b"body")
        assert without.status_code == (200 if version == "s3" else 403)
    head: Any = await rig.do(rig.client().head_object, Bucket="box", Key="o")
    assert (head["ContentType"], head["Metadata"]) == ("text/x", {"color": "red"})


async def test_answers_that_a_header_cannot_say(rig: Rig) -> None:
    await rig("PUT", "/pile/o", b"body")
    fine = "response-content-disposition=attachment%3B%20filename%3D%22%C3%BC.txt%22"
    assert (await rig("GET", f"/pile/o?{fine}")).headers["content-disposition"].endswith('"\xfc.txt"')
    for value in ("%E2%82%AC", "a%0D%0Ab", "%01", "%7F"):
        answer = await rig("GET", f"/pile/o?response-content-type={value}")
        assert (answer.status, code(answer)) == (400, "InvalidArgument"), value
