"""Signatures of S3 requests, against botocore's signer."""

from __future__ import annotations

import datetime
from hashlib import sha256
from hmac import HMAC
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from pileus.lib import aws_signature, s3_signature

KEYS = Credentials("access", "secret/key+")
ODD = (
    "/bucket/plain",
    "/bucket/a b",
    "/bucket/a+b",
    "/bucket/ü/日本",
    "/bucket//two//slashes/",
    "/bucket/./../dots",
    "/bucket/100%25",
    "/bucket/%2F",
    "/bucket/!'()*,;:@&=$~-_.",
    "/bucket/a%20b%2Bc",
)
QUERIES = (
    "",
    "uploads",
    "uploads=",
    "list-type=2&prefix=a%2Fb&delimiter=%2F",
    "prefix=a%20b&marker=%C3%BC%2B",
    "b=2&a=1&a=0&A=3",
    "versionId=null&response-content-disposition=attachment%3B%20filename%3D%22x%22",
)


def signer(secret: str, day: str, region: str) -> HMAC:
    return s3_signature.signer(aws_signature.signing_key(secret, day, region, "s3"))


def version_4(request: AWSRequest, path: str, query: str) -> str:
    """As the service makes it, of what is on the wire."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    authorization = headers["authorization"]
    names = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    scope = authorization.partition("Credential=")[2].partition(",")[0].split("/", 1)[1]
    day, region, _, _ = scope.split("/")
    canonical = s3_signature.canonical_request(
        request.method,
        s3_signature.canonical_path(unquote(path)),
        s3_signature.canonical_query(query),
        headers,
        names,
        headers["x-amz-content-sha256"],
    )
    text = s3_signature.string_to_sign(headers["x-amz-date"], scope, canonical)
    return s3_signature.signature_4(signer(KEYS.secret_key, day, region), text)


def signed(path: str, query: str, method: str = "PUT", **headers: str) -> AWSRequest:
    url = "http://s3.test:8900" + path + (f"?{query}" if query else "")
    request = AWSRequest(method=method, url=url, data=b"body", headers={"Host": "s3.test:8900", **headers})
    S3SigV4Auth(KEYS, "s3", "eu-west-1").add_auth(request)
    return request


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("path", ODD)
def test_version_4_in_the_header(path: str, query: str) -> None:
    wire = quote(unquote(path), safe="/-_.~")
    request = signed(wire, query)
    given_signature = request.headers["Authorization"].partition("Signature=")[2]
    assert version_4(request, wire, query) == given_signature


@given(
    key=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=30),
    value=st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    header=st.text(st.sampled_from("ab  \t1"), max_size=12),
)
def test_version_4_of_anything(key: str, value: str, header: str) -> None:
    wire = "/bucket/" + quote(key, safe="/-_.~")
    query = "prefix=" + quote(value, safe="-_.~")
    request = signed(wire, query, **{"x-amz-meta-a": header})
    assert version_4(request, wire, query) == request.headers["Authorization"].partition("Signature=")[2]
    request.headers.replace_header("x-amz-meta-a", header + "x")
    assert version_4(request, wire, query) != request.headers["Authorization"].partition("Signature=")[2]


@pytest.mark.parametrize("path", ODD)
def test_version_4_in_the_query(path: str) -> None:
    wire = quote(unquote(path), safe="/-_.~")
    request = AWSRequest(method="GET", url="http://s3.test" + wire + "?response-expires=x%20y", headers={})
    S3SigV4QueryAuth(KEYS, "s3", "eu-west-1", expires=60).add_auth(request)
    query = urlsplit(request.url).query
    said = dict(s3_signature.pairs(query))
    scope = unquote(said["X-Amz-Credential"]).split("/", 1)[1]
    canonical = s3_signature.canonical_request(
        "GET",
        s3_signature.canonical_path(unquote(wire)),
        s3_signature.canonical_query(query),
        {"host": "s3.test"},
        ["host"],
        "UNSIGNED-PAYLOAD",
    )
    key = signer(KEYS.secret_key, scope[:8], "eu-west-1")
    text = s3_signature.string_to_sign(said["X-Amz-Date"], scope, canonical)
    assert s3_signature.signature_4(key, text) == said["X-Amz-Signature"]


@pytest.mark.parametrize("query", ["", "uploads", "acl&x=1", "versionId=a%2Bb&uploadId=2&partNumber=1"])
@pytest.mark.parametrize("path", ODD)
def test_version_2(path: str, query: str) -> None:
    wire = quote(unquote(path), safe="/-_.~")
    url = f"http://s3.test{wire}" + (f"?{query}" if query else "")
    headers = {"Content-Type": "text/x", "x-amz-meta-b": "  two   spaces ", "x-amz-meta-a": "1"}
    request = AWSRequest(method="PUT", url=url, headers=headers)
    request.auth_path = wire
    HmacV1Auth(KEYS).add_auth(request)
    sent = {name.lower(): value for name, value in request.headers.items()}
    text = s3_signature.string_to_sign_2("PUT", wire, query, sent, sent["date"])
    expected = request.headers["Authorization"].partition(":")[2]
    assert s3_signature.signature_2(KEYS.secret_key, text) == expected


def test_version_2_in_the_query() -> None:
    request = AWSRequest(method="GET", url="http://s3.test/bucket/a%20b?response-expires=x%20y", headers={})
    request.auth_path = "/bucket/a%20b"
    HmacV1QueryAuth(KEYS, expires=60).add_auth(request)
    query = urlsplit(request.url).query
    said: dict[str, Any] = dict(s3_signature.pairs(query))
    text = s3_signature.string_to_sign_2("GET", "/bucket/a%20b", query, {}, said["Expires"])
    assert s3_signature.signature_2(KEYS.secret_key, text) == unquote(said["Signature"])


def test_chunks_as_the_documentation_has_them() -> None:
    """The example of the Amazon S3 API reference, "Transferring payload in multiple chunks"."""
    key = signer("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1")
    moment, scope = "20130524T000000Z", "20130524/us-east-1/s3/aws4_request"
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    found = [seed]
    for data in (b"a" * 65536, b"a" * 1024, b""):
        found.append(s3_signature.chunk_signature(key, moment, scope, found[-1], sha256(data).hexdigest()))
    assert found[1:] == [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]
    assert datetime.datetime.fromisoformat(moment).tzinfo is datetime.UTC
