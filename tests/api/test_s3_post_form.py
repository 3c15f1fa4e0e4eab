"""Uploads by a browser's form, signed by boto3 and by hand."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from tests.object_store_client import NOBODY, Answer
from tests.s3_client import KEYS, Rig, code

BOUNDARY = "--bound"


def form(fields: dict[str, str], file: bytes | None = b"body", filename: str = "C:\\a\\photo.png") -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'
        for n, v in fields.items()
    ]
    body = "".join(parts).encode()
    if file is not None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
        body += head.encode() + file + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


async def post(rig: Rig, body: bytes, size: int = 1000) -> Answer:
    chunks = [body[start : start + size] for start in range(0, max(1, len(body)), size)]
    return await rig(
        "POST",
        "/pile",
        as_=NOBODY,
        chunks=chunks,
        content_type=f"multipart/form-data; boundary={BOUNDARY}",
        content_length=str(len(body)),
    )


@cache
def signer(version: str) -> Any:
    return boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="olga",
        aws_secret_access_key=KEYS["olga"].secret,
        config=Config(signature_version=version),
    )


def presigned(
    key: str,
    conditions: list[Any] | None = None,
    fields: dict[str, str] | None = None,
    version: str = "s3v4",
) -> dict[str, str]:
    found = signer(version).generate_presigned_post("pile", key, Fields=fields, Conditions=conditions)
    return dict(found["fields"])


@pytest.mark.parametrize("version", ["s3", "s3v4"])
async def test_a_form_of_boto3(rig: Rig, version: str) -> None:
    said = {"acl": "private", "Content-Type": "image/png", "x-amz-meta-colour": "red"}
    fields = presigned("up/${filename}", [{name: value} for name, value in said.items()], said, version)
    body = bytes(range(256)) * 4000
    answer = await post(rig, form(fields, body))
    assert (answer.status, answer.headers["location"].endswith("/s3/pile/up/photo.png")) == (204, True)
    got = await rig("GET", "/pile/up/photo.png")
    assert (got.body, got.headers["content-type"], got.headers["x-amz-meta-colour"]) == (
        body,
        "image/png",
        "red",
    )
    assert got.headers["etag"] == answer.headers["etag"]


async def test_where_the_browser_goes(rig: Rig) -> None:
    for said, status in (("200", 200), ("201", 201), ("299", 204)):
        fields = presigned("o", [{"success_action_status": said}], {"success_action_status": said})
        answer = await post(rig, form(fields))
        assert answer.status == status
        if status == 201:
            assert b"<PostResponse" in answer.body
            assert b"<Key>o</Key>" in answer.body
    to = {"success_action_redirect": "http://a.example/done?x=1"}
    answer = await post(rig, form(presigned("o", [to], to)))
    assert answer.status == 303
    assert answer.headers["location"].startswith("http://a.example/done?x=1&bucket=pile&key=o&etag=%22")
    to = {"success_action_redirect": "http://[is no address"}
    assert (await post(rig, form(presigned("o", [to], to)))).status == 204


async def test_the_address_that_clients_make(listening: Rig) -> None:
    """Is the cloud's own, where a form's signature is in its body."""
    rig = listening
    assert (await rig("PUT", "/pile")).status == 200
    made = rig.client().generate_presigned_post("pile", "o")
    async with httpx.AsyncClient() as http:
        answer = await http.post(made["url"], data=made["fields"], files={"file": b"body"})
    assert answer.status_code == 204
    assert (await rig("GET", "/pile/o")).body == b"body"


async def test_metadata_beyond_ascii(rig: Rig) -> None:
    """Is kept as a PUT's: in UTF-8."""
    said = {"x-amz-meta-colour": "gr\u00fcn \u20ac"}
    assert (await post(rig, form(presigned("o", [said], said)))).status == 204
    assert (
        await rig("PUT", "/pile/p", x_amz_meta_colour=said["x-amz-meta-colour"].encode().decode("latin-1"))
    ).status == 200
    kept = [(await rig("HEAD", f"/pile/{key}")).headers["x-amz-meta-colour"] for key in "op"]
    assert kept[0] == kept[1]
    assert kept[0].encode("latin-1").decode() == said["x-amz-meta-colour"]


async def test_version_2(rig: Rig) -> None:
    expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    policy = base64.b64encode(
        json.dumps({"expiration": expires, "conditions": [{"bucket": "pile"}, ["eq", "$key", "o"]]}).encode()
    ).decode()
    digest = hmac.digest(KEYS["olga"].secret.encode(), policy.encode(), "sha1")
    fields = {
        "key": "o",
        "AWSAccessKeyId": "olga",
        "policy": policy,
        "signature": base64.b64encode(digest).decode(),
    }
    assert (await post(rig, form(fields))).status == 204
    assert code(await post(rig, form({**fields, "signature": "x"}))) == "SignatureDoesNotMatch"
    assert code(await post(rig, form({**fields, "AWSAccessKeyId": "nobody"}))) == "InvalidAccessKeyId"
    assert code(await post(rig, form({**fields, "key": "p"}))) == "AccessDenied"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"x-amz-signature": "0" * 64}, "SignatureDoesNotMatch"),
        ({"x-amz-signature": "ä"}, "SignatureDoesNotMatch"),
        ({"x-amz-meta-more": "1"}, "AccessDenied"),
        ({"key": "other"}, "AccessDenied"),
        ({"x-amz-algorithm": "none"}, "InvalidArgument"),
        ({"x-amz-credential": "olga"}, "InvalidArgument"),
        ({"x-amz-credential": "oto/20200101/us-east-1/s3/aws4_request"}, "InvalidArgument"),
        ({"policy": "e30="}, "SignatureDoesNotMatch"),
        ({"x-amz-date": ""}, "InvalidArgument"),
    ],
)
async def test_signatures_and_policies_hold(rig: Rig, change: dict[str, str], kind: str) -> None:
    answer = await post(rig, form({**presigned("o"), **change}))
    assert (400 <= answer.status < 500, code(answer)) == (True, kind)
    assert (await rig("HEAD", "/pile/o")).status == 404


async def test_lengths(rig: Rig) -> None:
    fields = presigned("o", [["content-length-range", 2, 4]])
    assert code(await post(rig, form(fields, b"x"))) == "EntityTooSmall"
    assert code(await post(rig, form(fields, b"x" * 5))) == "EntityTooLarge"
    assert code(await post(rig, form(fields, b"x" * 3_000_000), 100_000)) == "EntityTooLarge"
    assert (await rig("HEAD", "/pile/o")).status == 404
    assert (await post(rig, form(fields, b"xxx"))).status == 204


async def test_broken_forms(rig: Rig) -> None:
    fields = presigned("o")
    whole = form(fields, b"x" * 2000)
    for body, kind in (
        (b"", "MalformedPOSTRequest"),
        (b"no form", "MalformedPOSTRequest"),
        (whole[:-500], "MalformedPOSTRequest"),
        (form(fields, None), "InvalidArgument"),
        (form({name: value for name, value in fields.items() if name != "key"}), "InvalidArgument"),
        (form({**fields, "x-ignore-it": "x" * 30_000}), "MaxPostPreDataLengthExceededError"),
        (
            form({**fields, **{f"x-ignore-{n}": "x" * 9000 for n in range(3)}}),
            "MaxPostPreDataLengthExceededError",
        ),
        (form({**fields, "x-ignore-": "\udcff"[:0]}).replace(b"olga", b"\xff\xfe"), "MalformedPOSTRequest"),
        (form({"key": "o", "tagging": "<x/>"}), "MalformedXML"),
        (form({**fields, "key": "k" * 2000}), "KeyTooLongError"),
    ):
        answer = await post(rig, body)
        assert (400 <= answer.status < 500, code(answer)) == (True, kind), body[:80]
    assert (await rig("HEAD", "/pile/o")).status == 404
    assert (
        code(await rig("POST", "/none", as_=NOBODY, content_type="multipart/form-data; boundary=b"))
        == "NoSuchBucket"
    )


async def test_a_form_of_anybody(rig: Rig) -> None:
    """Without a policy it is nobody's in particular: as the bucket allows."""
    assert (await post(rig, form({"key": "o"}))).status == 403
    opened = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::pile/in/*",
    }
    await rig("PUT", "/pile?policy", json.dumps({"Statement": opened}).encode())
    assert (await post(rig, form({"key": "o"}))).status == 403
    assert (await post(rig, form({"key": "in/o"}))).status == 204
    assert (await rig("GET", "/pile/in/o")).body == b"body"
