"""CORS, web sites and the small settings of buckets."""

from __future__ import annotations

import json

import pytest

from tests.object_store_client import NOBODY, Answer
from tests.s3_client import Rig, code

PUBLIC = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::pile/*",
            },
            {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::pile"},
        ],
    }
).encode()


@pytest.fixture
async def rig(rig: Rig) -> Rig:
    assert (await rig("PUT", "/pile/o", b"body")).status == 200
    return rig


CORS = (
    b"<CORSConfiguration><CORSRule><AllowedOrigin>http://a.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
    b"<AllowedMethod>PUT</AllowedMethod><AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>"
    b"</CORSRule></CORSConfiguration>"
)


async def test_pages_of_other_origins(rig: Rig) -> None:
    asks = {"origin": "http://a.example", "access_control_request_method": "PUT"}
    assert (await rig("OPTIONS", "/pile/o", as_=NOBODY, **asks)).status == 403
    assert code(await rig("GET", "/pile?cors")) == "NoSuchCORSConfiguration"
    assert (await rig("PUT", "/pile?cors", CORS)).status == 200
    assert b"<AllowedOrigin>http://a.example<" in (await rig("GET", "/pile?cors")).body
    allowed = await rig(
        "OPTIONS", "/pile/new", as_=NOBODY, **asks, access_control_request_headers="X-Amz-Date, a"
    )
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == "http://a.example"
    assert allowed.headers["access-control-allow-headers"] == "x-amz-date, a"
    for other in ({"origin": "http://b.example"}, {"access_control_request_method": "DELETE"}):
        refused = await rig("OPTIONS", "/pile/o", as_=NOBODY, **{**asks, **other})
        assert (refused.status, code(refused)) == (403, "AccessForbidden")
    assert (await rig("OPTIONS", "/pile/o", as_=NOBODY)).status == 400
    assert (await rig("OPTIONS", "/none/o", as_=NOBODY, **asks)).status == 404
    got = await rig("GET", "/pile/o", origin="http://a.example")
    assert got.headers["access-control-allow-origin"] == "http://a.example"
    assert got.headers["access-control-expose-headers"] == "ETag"
    failed = await rig("GET", "/pile/none", origin="http://a.example")
    assert (failed.status, failed.headers["access-control-allow-origin"]) == (404, "http://a.example")
    assert (
        "access-control-allow-origin" not in (await rig("GET", "/pile/o", origin="http://b.example")).headers
    )
    for bad in (b"", CORS[:-5], CORS.replace(b"PUT", b"FLY"), b"<CORSConfiguration/>"):
        assert (await rig("PUT", "/pile?cors", bad)).status == 400
    assert (await rig("DELETE", "/pile?cors")).status == 204
    assert (
        "access-control-allow-origin" not in (await rig("GET", "/pile/o", origin="http://a.example")).headers
    )


SITE = (
    b"<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument><ErrorDocument><Key>lost.html</Key>"
    b"</ErrorDocument><RoutingRules><RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition><Redirect>"
    b"<ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>"
)


async def test_a_site(rig: Rig) -> None:
    async def page(path: str, method: str = "GET") -> Answer:
        return await rig(method, path, as_=NOBODY, prefix="/s3-website")

    assert code(await rig("GET", "/pile?website")) == "NoSuchWebsiteConfiguration"
    assert (await page("/pile/")).status == 404
    assert (await rig("PUT", "/pile?website", SITE)).status == 200
    assert b"<Suffix>index.html</Suffix>" in (await rig("GET", "/pile?website")).body
    await rig("PUT", "/pile/index.html", b"<h1>hello</h1>", content_type="text/html")
    await rig("PUT", "/pile/a/index.html", b"a")
    await rig("PUT", "/pile/moved", b"", x_amz_website_redirect_location="http://b.example/")
    assert (await page("/pile/")).status == 403  # nobody in particular may read it
    await rig("PUT", "/pile?policy", PUBLIC)
    start = await page("/pile/")
    assert (start.status, start.body, start.headers["content-type"]) == (200, b"<h1>hello</h1>", "text/html")
    assert ((await page("/pile/", "HEAD")).headers["content-length"], (await page("/pile/a/")).body) == (
        "14",
        b"a",
    )
    for path, status, location in (
        ("/pile", 302, "/s3-website/pile/"),
        ("/pile/a", 302, "/s3-website/pile/a/"),
        ("/pile/old/x", 301, "/s3-website/pile/new/x"),
        ("/pile/moved", 301, "http://b.example/"),
    ):
        answer = await page(path)
        assert (answer.status, answer.headers.get("location")) == (status, location), path
    for query in ("response-content-type=a/b", "a=%ff", "partNumber=x", "versionId=1", "acl", "b=%00"):
        asked = await page(f"/pile/?{query}")
        assert (asked.status, asked.body) == (200, b"<h1>hello</h1>"), query
        assert asked.headers["content-type"] == "text/html"
    lost = await page("/pile/none")
    assert (lost.status, b"<li>Code: NoSuchKey</li>" in lost.body) == (404, True)
    await rig("PUT", "/pile/lost.html", b"lost")
    lost = await page("/pile/none")
    assert (lost.status, lost.body) == (404, b"lost")
    assert (await page("/none/x")).status == 404
    for bad in (b"", SITE[:-5], SITE.replace(b"index.html", b"a/b")):
        assert (await rig("PUT", "/pile?website", bad)).status == 400
    assert (await rig("PUT", "/pile/bad", b"", x_amz_website_redirect_location="b.example")).status == 400
    assert (await rig("DELETE", "/pile?website")).status == 204
    assert (await page("/pile/")).status == 404


async def test_what_is_not_configured(rig: Rig) -> None:
    for name, inside in (
        ("logging", b"<BucketLoggingStatus"),
        ("requestPayment", b"<Payer>BucketOwner</Payer>"),
        ("accelerate", b"<AccelerateConfiguration"),
        ("notification", b"<NotificationConfiguration"),
        ("inventory", b"<IsTruncated>false</IsTruncated>"),
        ("metrics", b"<IsTruncated>false</IsTruncated>"),
    ):
        answer = await rig("GET", f"/pile?{name}")
        assert (answer.status, inside in answer.body) == (200, True), name
    assert code(await rig("GET", "/pile?replication")) == "ReplicationConfigurationNotFoundError"
    assert code(await rig("GET", "/pile?inventory&id=x")) == "NoSuchConfiguration"
    for name, document in (
        ("replication", b"<x/>"),
        ("inventory&id=x", b"<x/>"),
        ("accelerate", b"<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>"),
        ("notification", b"<NotificationConfiguration><TopicConfiguration/></NotificationConfiguration>"),
        (
            "requestPayment",
            b"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>",
        ),
    ):
        answer = await rig("PUT", f"/pile?{name}", document)
        assert (answer.status, code(answer)) == (501, "NotImplemented"), name


async def test_where_logs_are_wanted(rig: Rig) -> None:
    wanted = (
        b"<BucketLoggingStatus><LoggingEnabled><TargetBucket>pile</TargetBucket><TargetPrefix>l/</TargetPrefix>"
        b"</LoggingEnabled></BucketLoggingStatus>"
    )
    assert (await rig("PUT", "/pile?logging", wanted)).status == 200
    assert b"<TargetPrefix>l/<" in (await rig("GET", "/pile?logging")).body
    elsewhere = wanted.replace(b">pile<", b">other<")
    assert code(await rig("PUT", "/pile?logging", elsewhere)) == "InvalidTargetBucketForLogging"
    assert (await rig("PUT", "/pile?logging", b"<BucketLoggingStatus/>")).status == 200
    assert b"TargetBucket" not in (await rig("GET", "/pile?logging")).body
