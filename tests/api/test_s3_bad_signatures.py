"""Signatures that are broken in every way there is, and signed requests that somebody adds to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.test_s3_requests import OLGA, code, sent, signed
from tests.s3_client import Rig, keys, running

URL = "http://cloud.test/box/o"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        assert (await rig("PUT", "/box")).status == 200
        assert (await rig("PUT", "/box/secret", b"secret")).status == 200
        yield rig


def presigned(method: str, url: str = URL, version: int = 4, **headers: str) -> AWSRequest:
    request = AWSRequest(method=method, url=url, headers={"Host": "cloud.test", **headers})
    if version == 2:
        request.auth_path = urlsplit(url).path
        HmacV1QueryAuth(OLGA, expires=60).add_auth(request)
    else:
        S3SigV4QueryAuth(OLGA, "s3", "us-east-1", expires=60).add_auth(request)
    return request


async def test_nothing_is_added_to_what_was_signed(rig: Rig) -> None:
    for added in (
        {"x_amz_copy_source": "/box/secret"},
        {"x_amz_acl": "public-read"},
        {"x_amz_tagging": "a=b"},
        {"x_amz_meta_color": "red"},
        {"x_amz_bypass_governance_retention": "true"},
        {"x_amz_website_redirect_location": "http://elsewhere/"},
        {"x_amz_security_token": "x"},
    ):
        for request in (presigned("PUT"), signed("PUT", "/box/o", b"x")):
            refused = await sent(rig, request, b"x", **added)
            assert (refused.status, code(refused)) == (403, "AccessDenied")
            name = next(iter(added)).replace("_", "-")
            assert f"<HeadersNotSigned>{name}</HeadersNotSigned>".encode() in refused.body
        assert code(await sent(rig, presigned("PUT", version=2), b"x", **added)) == "SignatureDoesNotMatch"
    assert await keys(rig, "box") == ["secret"]
    assert (await sent(rig, presigned("PUT"), b"x")).status == 200


async def test_what_was_signed_may_be_there(rig: Rig) -> None:
    request = presigned("PUT", **{"x-amz-meta-color": "red"})
    assert (await sent(rig, request, b"x")).status == 200
    assert code(await sent(rig, request, b"x", x_amz_meta_color="blue")) == "SignatureDoesNotMatch"
    assert (await rig("HEAD", "/box/o")).headers["x-amz-meta-color"] == "red"


async def test_one_signature_only(rig: Rig) -> None:
    header = signed("GET", "/box/secret").headers
    for version in (2, 4):
        both = await sent(
            rig,
            presigned("GET", "http://cloud.test/box/secret", version),
            authorization=header["Authorization"],
            x_amz_date=header["X-Amz-Date"],
            x_amz_content_sha256=header["X-Amz-Content-SHA256"],
        )
        assert (both.status, code(both)) == (400, "InvalidArgument")


@pytest.mark.parametrize("version", [2, 4])
async def test_a_presigned_url_with_anything_changed(rig: Rig, version: int) -> None:
    good = presigned("GET", "http://cloud.test/box/secret", version)
    assert (await sent(rig, good)).body == b"secret"
    parts = urlsplit(good.url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in query:
        for changed in (None, "", "x", query[name] + "0", query[name][:-1], "9" * 40, "\u00fc", "-1", "0"):
            if changed == query[name]:
                continue
            wrong = (
                {**query, name: changed}
                if changed is not None
                else {k: v for k, v in query.items() if k != name}
            )
            request = AWSRequest(
                method="GET",
                url=f"http://cloud.test/box/secret?{urlencode(wrong)}",
                headers={"Host": "cloud.test"},
            )
            answer = await sent(rig, request)
            assert answer.status in (400, 403, 404), (name, changed, answer.body)
            assert b"secret" not in answer.body.replace(b"/box/secret", b""), (name, changed)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(0, 10**6),
    with_=st.characters(max_codepoint=255, exclude_characters="\r\n\0"),
    old=st.booleans(),
)
async def test_an_authorization_with_any_letter_changed(rig: Rig, at: int, with_: str, old: bool) -> None:
    if old:
        request = AWSRequest(method="PUT", url=URL, headers={})
        request.auth_path = "/box/o"
        HmacV1Auth(OLGA).add_auth(request)
    else:
        request = signed("PUT", "/box/o", b"x")
    good = request.headers["Authorization"]
    at %= len(good)
    wrong = good[:at] + with_ + good[at + 1 :]
    if wrong == good or wrong.strip() == good:
        return
    answer = await sent(rig, request, b"x", authorization=wrong)
    # The space before a name and after a comma counts for nothing, and what is not S3's any more is nobody's.
    if not ((answer.status == 200 and good[at] in " ,") or with_.isspace()):
        assert answer.status in (400, 403, 404), wrong
        assert await keys(rig, "box") == ["secret"]
    await rig("DELETE", "/box/o")


async def test_kinds_of_signatures_that_are_not_here(rig: Rig) -> None:
    header = signed("GET", "/box/secret").headers
    asymmetric = header["Authorization"].replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")
    answer = await sent(rig, signed("GET", "/box/secret"), authorization=asymmetric)
    assert (answer.status, code(answer)) == (501, "NotImplemented")
    for service in ("s3express", "s3-object-lambda"):
        scope = header["Authorization"].replace("/s3/", f"/{service}/")
        assert code(await sent(rig, signed("GET", "/box/secret"), authorization=scope)) == "NotImplemented"
