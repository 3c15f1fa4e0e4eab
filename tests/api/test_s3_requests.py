"""Who signed a request: over the wire's own forms, at the cloud's root; what is broken writes nothing."""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from botocore.auth import HmacV1Auth, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.kernel.clock import SystemClock
from pileus.lib import s3_signature
from pileus.services.object_store.settings import Settings
from tests.object_store_client import NOBODY, Answer
from tests.s3_client import KEYS, Rig, code, running

OLGA = Credentials("olga", KEYS["olga"].secret)


class Ahead(SystemClock):
    """The time of day and some more."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path, settings=Settings(s3_domain="s3.test")) as rig:
        assert (await rig("PUT", "/box")).status == 200
        assert (await rig("PUT", "/box/old", b"old")).status == 200
        yield rig


async def sent(rig: Rig, request: AWSRequest, body: bytes = b"", **changes: str) -> Answer:
    """A signed request as it would come over a socket; `changes` to its headers come after the signature."""
    parts = urlsplit(request.url)
    headers = {name.lower(): value for name, value in request.headers.items()} | {"host": parts.netloc}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return await rig(request.method, path, body, as_=NOBODY, prefix="", **headers)


def signed(method: str, path: str, body: bytes = b"", keys: Credentials = OLGA, **headers: str) -> AWSRequest:
    request = AWSRequest(
        method=method, url="http://cloud.test" + path, data=body, headers={"Host": "cloud.test", **headers}
    )
    S3SigV4Auth(keys, "s3", "us-east-1").add_auth(request)
    return request


async def test_a_signature_is_s3s_at_the_root(rig: Rig) -> None:
    assert (await sent(rig, signed("PUT", "/box/new", b"new"), b"new")).status == 200
    got = await sent(rig, signed("GET", "/box/new"))
    assert (got.status, got.body) == (200, b"new")
    assert (await sent(rig, signed("GET", "/s3/box/new"))).body == b"new"
    # What is not signed is what it always was.
    assert (await rig("GET", "/box/new", as_=NOBODY, prefix="", host="cloud.test")).status == 404
    assert (await rig("GET", "/info", as_=NOBODY, prefix="", host="cloud.test")).status == 200
    old = AWSRequest(method="GET", url="http://cloud.test/box/new", headers={})
    old.auth_path = "/box/new"
    HmacV1Auth(OLGA).add_auth(old)
    assert (await sent(rig, old)).body == b"new"


async def test_a_host_names_the_bucket(rig: Rig) -> None:
    request = AWSRequest(
        method="GET", url="http://box.s3.test:8900/old", headers={"Host": "box.s3.test:8900"}
    )
    S3SigV4Auth(OLGA, "s3", "us-east-1").add_auth(request)
    assert (await sent(rig, request)).body == b"old"
    assert code(await rig("GET", "/old", as_=NOBODY, prefix="", host="box.s3.test")) == "AccessDenied"
    assert code(await rig("GET", "/old", as_=NOBODY, prefix="", host="none.s3.test")) == "NoSuchBucket"
    assert (await rig("GET", "/old", as_=NOBODY, prefix="", host="evils3.test")).status == 404


async def test_what_is_wrong_with_a_signature(rig: Rig) -> None:
    good = signed("PUT", "/box/o", b"x")
    authorization = good.headers["Authorization"]
    tampered = authorization[:-1] + ("0" if authorization[-1] != "0" else "1")
    digits = "0" * 64
    for changes, expected in (
        ({"authorization": tampered}, "SignatureDoesNotMatch"),
        ({"host": "other.test"}, "SignatureDoesNotMatch"),
        ({"x_amz_content_sha256": digits}, "SignatureDoesNotMatch"),
        ({"x_amz_content_sha256": "none"}, "InvalidArgument"),
        ({"authorization": authorization.replace("olga/", "nobody/")}, "InvalidAccessKeyId"),
        ({"authorization": authorization.replace("/us-east-1/", "/mars/")}, "SignatureDoesNotMatch"),
        (
            {"authorization": authorization.replace("SignedHeaders=", "Headers=")},
            "AuthorizationHeaderMalformed",
        ),
        ({"authorization": authorization.replace("SignedHeaders=host;", "SignedHeaders=")}, "AccessDenied"),
        ({"x_amz_date": "20200101T000000Z"}, "AuthorizationHeaderMalformed"),
        ({"x_amz_date": "\xfc"}, "AuthorizationHeaderMalformed"),
        ({"authorization": "AWS olga:xxxx", "x_amz_date": "20200101T000000Z"}, "RequestTimeTooSkewed"),
        ({"authorization": "AWS olga"}, "InvalidAccessKeyId"),
        ({"authorization": "AWS4-HMAC-SHA256 /s3/aws4_request"}, "AuthorizationHeaderMalformed"),
    ):
        answer = await sent(rig, good, b"x", **changes)
        assert code(answer) == expected, changes
    assert code(await sent(rig, good, b"y")) == "XAmzContentSHA256Mismatch"
    assert code(await sent(rig, good, b"")) == "XAmzContentSHA256Mismatch"
    assert (await rig("GET", "/box/o")).status == 404
    assert code(await sent(rig, signed("PUT", "/box/o", b"x", Credentials("olga", "wrong")), b"x")) == (
        "SignatureDoesNotMatch"
    )


async def test_clocks_and_presigned_urls(tmp_path: Path) -> None:
    clock = Ahead()
    async with running(tmp_path, listen=True, clock=clock) as rig:
        s3 = rig.client(signature_version="s3v4")
        await rig.do(s3.create_bucket, Bucket="box")
        put = s3.generate_presigned_url("put_object", Params={"Bucket": "box", "Key": "a b+c"}, ExpiresIn=60)
        get = s3.generate_presigned_url(
            "get_object", Params={"Bucket": "box", "Key": "a b+c", "ResponseContentType": "x/y"}, ExpiresIn=60
        )
        older = rig.client(signature_version="s3").generate_presigned_url(
            "get_object", Params={"Bucket": "box", "Key": "a b+c"}, ExpiresIn=60
        )
        async with httpx.AsyncClient() as http:
            assert (await http.put(put, content=b"body")).status_code == 200
            got = await http.get(get)
            assert (got.content, got.headers["content-type"]) == (b"body", "x/y")
            assert (await http.get(older)).content == b"body"
            for wrong in (
                get.replace("a%20b", "x"),
                get + "0",
                older.replace("Signature=", "Signature=A"),
                get + "&versions",
            ):
                assert (await http.get(wrong)).status_code == 403
            assert (await http.get(get.replace("Expires=60", "Expires=604801"))).status_code == 400
            assert (await http.put(get, content=b"other")).status_code == 403
            clock.ahead = timedelta(minutes=2)
            for late in (get, older):
                answer = await http.get(late)
                assert (answer.status_code, "Request has expired" in answer.text) == (403, True)
            clock.ahead = timedelta(minutes=-16)
            answer = await http.get(get)
            assert (answer.status_code, "not valid yet" in answer.text) == (403, True)
        for ahead in (timedelta(minutes=16), timedelta(minutes=-16)):
            clock.ahead = ahead
            with pytest.raises(ClientError, match="RequestTimeTooSkewed"):
                await rig.do(s3.get_object, Bucket="box", Key="a b+c")


async def test_a_region_that_requests_must_be_for(tmp_path: Path) -> None:
    async with running(tmp_path, listen=True, settings=Settings(s3_region="moon")) as rig:
        with pytest.raises(ClientError, match="AuthorizationHeaderMalformed"):
            await rig.do(rig.client().list_buckets)
        head = await sent(rig, signed("HEAD", "/box"))
        assert (head.status, head.headers["x-amz-bucket-region"]) == (400, "moon")
        s3 = rig.client(region_name="moon")
        await rig.do(s3.create_bucket, Bucket="box", CreateBucketConfiguration={"LocationConstraint": "moon"})
        assert (await rig.do(s3.get_bucket_location, Bucket="box"))["LocationConstraint"] == "moon"
        with pytest.raises(ClientError, match="InvalidLocationConstraint"):
            await rig.do(
                s3.create_bucket, Bucket="two", CreateBucketConfiguration={"LocationConstraint": "mars"}
            )


# Bodies in chunks


def chunked(body: bytes, size: int, **changes: str) -> tuple[AWSRequest, bytes]:
    """A PUT of `/box/o` whose chunks are signed, by the rules of the documentation."""
    kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    trailer = b"x-amz-checksum-crc32:" + b64encode(zlib.crc32(body).to_bytes(4, "big"))
    headers = {"X-Amz-Decoded-Content-Length": str(len(body)), "Content-Encoding": "aws-chunked"}
    if "trailer" in changes:
        kind += "-TRAILER"
        headers["X-Amz-Trailer"] = "x-amz-checksum-crc32"
    request = AWSRequest(
        method="PUT", url="http://cloud.test/box/o", data=b"", headers={"Host": "cloud.test", **headers}
    )

    class Auth(S3SigV4Auth):
        def payload(self, request: AWSRequest) -> str:
            return kind

    Auth(OLGA, "s3", "us-east-1").add_auth(request)
    request.headers["X-Amz-Content-SHA256"] = kind
    authorization = request.headers["Authorization"]
    scope = authorization.partition("olga/")[2].partition(",")[0]
    key = KEYS["olga"].signing_key(*scope.split("/")[:2])
    moment, previous = request.headers["X-Amz-Date"], authorization.partition("Signature=")[2]
    sent = b""
    for start in (*range(0, len(body), size), len(body)):
        data = body[start : start + size]
        previous = s3_signature.chunk_signature(key, moment, scope, previous, sha256(data).hexdigest())
        sent += f"{len(data):x};chunk-signature={previous}\r\n".encode() + data
        sent += b"\r\n" if data or "trailer" not in changes else b""
    if "trailer" in changes:
        last = s3_signature.trailer_signature(key, moment, scope, previous, trailer + b"\n")
        sent += trailer + f"\r\nx-amz-trailer-signature:{last}\r\n\r\n".encode()
    return request, sent


@pytest.mark.parametrize("trailer", [{}, {"trailer": "yes"}])
async def test_chunks_that_are_signed(rig: Rig, trailer: dict[str, str]) -> None:
    body = bytes(range(256)) * 10
    request, wire = chunked(body, 1000, **trailer)
    for cut in (None, 1, 7, 64):
        pieces = [wire] if cut is None else [wire[at : at + cut] for at in range(0, len(wire), cut)]
        answer = await chunks_sent(rig, request, pieces, len(wire))
        assert answer.status == 200, answer.body
    got = await rig("GET", "/box/o")
    assert (got.body, got.headers.get("content-encoding")) == (body, None)
    assert (await rig("DELETE", "/box/o")).status == 204
    broken = [
        wire.replace(body[5:9], b"zzzz", 1),
        wire[:-5],
        wire[: len(wire) // 2],
        b"",
        b"x\r\n",
        wire + b"more",
    ]
    broken += [wire.replace(b"chunk-signature=", b"chunk-signature=0", 1), wire.replace(b"3e8;", b"3e7;", 1)]
    broken += [b"0" * 5000, b"fffffffffff;chunk-signature=" + b"0" * 64 + b"\r\nx"]
    if trailer:
        broken.append(wire.replace(b"crc32:", b"crc32: A", 1))
    for each in broken:
        answer = await chunks_sent(rig, request, [each], len(each))
        assert code(answer) in ("SignatureDoesNotMatch", "IncompleteBody", "InvalidArgument"), each[:60]
        assert (await rig("GET", "/box/o")).status == 404


async def chunks_sent(rig: Rig, request: AWSRequest, pieces: list[bytes], length: int) -> Answer:
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers |= {"host": "cloud.test", "content-length": str(length)}
    return await rig("PUT", "/box/o", as_=NOBODY, prefix="", chunks=pieces, **headers)


async def test_chunks_as_clients_make_them(tmp_path: Path) -> None:
    """boto3 over a plain connection, with a checksum after an unsigned body and with none."""
    async with running(tmp_path, listen=True) as rig:
        for config in (
            {},
            {"request_checksum_calculation": "when_required"},
            {"s3": {"payload_signing_enabled": True}},
            {"signature_version": "s3"},
        ):
            s3 = rig.client(**config)
            if not (await rig.do(s3.list_buckets))["Buckets"]:
                await rig.do(s3.create_bucket, Bucket="box")
            body = b"chunks" * 100_000
            await rig.do(s3.put_object, Bucket="box", Key="o", Body=body)
            assert (await rig.do(s3.get_object, Bucket="box", Key="o"))["Body"].read() == body


# What is broken


async def test_bad_uploads_write_nothing(rig: Rig) -> None:
    for headers, expected in (
        ({"content_md5": b64encode(b"0" * 16).decode()}, "BadDigest"),
        ({"content_md5": "x"}, "InvalidDigest"),
        ({"content_length": "x"}, "InvalidArgument"),
        ({"content_length": str(6 * 2**30)}, "EntityTooLarge"),
        ({"x_amz_meta_a": "b" * 2049}, "MetadataTooLarge"),
        ({"x_amz_storage_class": "LUNAR"}, "InvalidStorageClass"),
        ({"if_match": '"x"'}, "NoSuchKey"),
        ({"if_none_match": '"x"'}, "NotImplemented"),
    ):
        answer = await rig("PUT", "/box/o", b"x", **headers)
        assert code(answer) == expected
        assert "<RequestId>" in answer.body.decode()
    assert code(await rig("PUT", "/box/o", b"short", content_length="10")) == "IncompleteBody"
    for path, expected in (
        ("/box/" + "k" * 1025, "KeyTooLongError"),
        ("/box/" + "ü" * 513, "KeyTooLongError"),
        ("/box/a\0b", "NoSuchKey"),
        ("/none/k", "NoSuchBucket"),
        ("/box/k?torrent", "NotImplemented"),
        ("/box?inventory", "NotImplemented"),
    ):
        answer = await rig("PUT", path, b"x")
        assert (code(answer) or str(answer.status)) == expected, path
    assert code(await rig("PUT", "/box/\ufffd", b"x", raw_path=b"/s3/box/%FF")) == "InvalidURI"
    assert (await rig("PUT", "/box/\ufffd", b"x", raw_path=b"/s3/box/%EF%BF%BD")).status == 200
    assert code(await rig("PATCH", "/box/o")) == "MethodNotAllowed"
    assert (await rig("GET", "/box/o")).status == 404
    assert code(await rig("PUT", "/box/old", b"x", if_none_match="*")) == "PreconditionFailed"
    assert (await rig("GET", "/box/old")).body == b"old"
    for bucket in ("ab", "UPPER", "1.2.3.4", "a..b", "-ab", "b" * 64, "ab_c"):
        assert code(await rig("PUT", f"/{bucket}")) == "InvalidBucketName"


@given(
    path=st.text(max_size=20),
    query=st.text(st.sampled_from("uploads=&partNumber123versionId%FFmax-keys?\u00e9 "), max_size=30),
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    header=st.sampled_from(
        [
            "range",
            "content-md5",
            "x-amz-copy-source",
            "if-match",
            "x-amz-date",
            "authorization",
            "x-amz-copy-source-range",
        ]
    ),
    value=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=30),
    body=st.binary(max_size=30),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_rubbish_is_never_our_mistake(
    rig: Rig, path: str, query: str, method: str, header: str, value: str, body: bytes
) -> None:
    as_signed = (
        {"authorization": "AWS4-HMAC-SHA256 " + value} if header == "authorization" else {header: value}
    )
    answer = await rig(
        method,
        f"/box/{quote(path, safe='/')}?{quote(query, safe='=&%?')}".replace("/box//", "/box/"),
        body,
        as_=NOBODY if header in ("authorization", "x-amz-date") else None,
        **as_signed,
    )
    assert answer.status < 500 or answer.status == 501
    answer = await rig(method, f"/box/x?{quote(query, safe='=&%?')}", body, **{header: value})
    assert answer.status < 500 or answer.status == 501
