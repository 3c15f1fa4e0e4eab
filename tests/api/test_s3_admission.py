"""What holds against writes by Swift's API holds by S3's: rates, closed accounts, forbidden characters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from pileus.kernel.context import Context
from pileus.services.object_store.settings import Settings
from tests.object_store_client import OTHER, Answer
from tests.s3_client import Rig, code, running

RESELLER = Context(user_id="r", project_id="p9", roles=frozenset({"ResellerAdmin"}))
EVERYBODY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::pile/*"}
        ],
    }
).encode()
DELETE_ALL = b"<Delete><Object><Key>o</Key></Object><Object><Key>p</Key></Object></Delete>"
SLOW = Settings(account_ratelimit=0.01, container_ratelimits={"0": 0.01}, ratelimit_max_sleep_seconds=0.1)


@pytest.fixture
async def rig(rig: Rig) -> Rig:
    assert (await rig("PUT", "/pile/o", b"body")).status == 200
    return rig


async def filled(rig: Rig, key: str) -> Answer:
    """A form of a browser's that nobody in particular sends."""
    fields = f'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\n{key}\r\n'
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nx\r\n--b--\r\n'
    kind = "multipart/form-data; boundary=b"
    return await rig("POST", "/pile", (fields + file).encode(), as_=None, content_type=kind)


async def test_an_account_that_is_closed(rig: Rig) -> None:
    begun = (await rig("POST", "/pile/o?uploads")).body.decode()
    upload = begun.partition("<UploadId>")[2].partition("</UploadId>")[0]
    assert (await rig("PUT", "/pile?tagging", b"<Tagging><TagSet/></Tagging>")).status == 204
    assert (await rig("PUT", "/pile?policy", EVERYBODY)).status == 204
    assert (await rig.swift("POST", "", as_=RESELLER, x_account_sysmeta_read_only="true")).status == 204
    for method, path, body in (
        ("PUT", "/new", b""),
        ("DELETE", "/pile", b""),
        ("PUT", "/pile/p", b"x"),
        ("DELETE", "/pile/o", b""),
        ("POST", "/pile?delete", DELETE_ALL),
        ("POST", "/pile/p?uploads", b""),
        ("PUT", f"/pile/o?partNumber=1&uploadId={upload}", b"x"),
        ("POST", f"/pile/o?uploadId={upload}", b""),
        ("DELETE", f"/pile/o?uploadId={upload}", b""),
        ("PUT", "/pile?tagging", b"<Tagging><TagSet/></Tagging>"),
        ("DELETE", "/pile?policy", b""),
        ("PUT", "/pile/o?tagging", b"<Tagging><TagSet/></Tagging>"),
    ):
        answer = await rig(method, path, body)
        assert (answer.status, code(answer)) == (405, "MethodNotAllowed"), (method, path)
        assert b"Writes are disabled for this account." in answer.body
    copied = await rig("PUT", "/pile/p", x_amz_copy_source="/pile/o")
    assert copied.status == 405
    # It is closed to those who were let in, too; who may not write at all is told that.
    assert (await filled(rig, "p")).status == 405
    assert code(await rig("DELETE", "/pile/o", as_=OTHER)) == "AccessDenied"
    assert (await rig("PUT", "/theirs", as_=OTHER)).status == 200
    assert (await rig("PUT", "/theirs/o", b"x", as_=OTHER)).status == 200
    assert (await rig("GET", "/pile/o")).body == b"body"
    assert code(await rig("GET", "/pile/p")) == "NoSuchKey"
    assert (await rig.swift("POST", "", as_=RESELLER, x_remove_account_sysmeta_read_only="x")).status == 204
    assert (await rig("PUT", "/pile/p", b"x")).status == 200


async def test_a_store_that_is_closed_but_for_deletions(rig: Rig, tmp_path: Path) -> None:
    closed = Settings(read_only=True, read_only_allows_deletes=True)
    await rig.state.close()
    async with running(tmp_path, settings=closed) as rig:
        assert (await rig("PUT", "/pile/p", b"x")).status == 405
        assert (await rig("DELETE", "/pile?tagging")).status == 405
        told = await rig("POST", "/pile?delete", DELETE_ALL)
        assert (told.status, told.body.count(b"<Deleted>")) == (200, 2)
        assert code(await rig("GET", "/pile/o")) == "NoSuchKey"
        assert (await rig("DELETE", "/pile")).status == 204


async def test_who_writes_too_often_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, settings=SLOW) as rig:
        assert (await rig("PUT", "/pile")).status == 200
        refused = await rig("PUT", "/other")
        assert (refused.status, code(refused)) == (503, "SlowDown")
        assert code(await rig("GET", "/other?location")) == "NoSuchBucket"
        assert code(await rig("DELETE", "/pile")) == "SlowDown"
        assert (await rig("PUT", "/pile?policy", EVERYBODY)).status == 204
        assert (await rig("PUT", "/pile/o", b"x")).status == 200
        # One turn of the container's, whichever API asks, and whatever the operation is.
        assert (await rig.swift("PUT", "/pile/p", b"x")).status == 498
        for method, path in (
            ("PUT", "/pile/p"),
            ("DELETE", "/pile/o"),
            ("POST", "/pile/p?uploads"),
            ("PUT", "/pile/o?tagging"),
        ):
            assert code(await rig(method, path, b"x")) == "SlowDown", (method, path)
        assert code(await rig("PUT", "/pile/p", x_amz_copy_source="/pile/o")) == "SlowDown"
        assert code(await filled(rig, "p")) == "SlowDown"
        many = await rig("POST", "/pile?delete", DELETE_ALL)
        assert (many.status, many.body.count(b"<Code>SlowDown</Code>")) == (200, 2)
        # Strangers take nobody's turn, reading and settings take none.
        assert (await rig("GET", "/pile/o")).body == b"x"
        assert (await rig("PUT", "/pile?tagging", b"<Tagging><TagSet/></Tagging>")).status == 204
        assert code(await rig("GET", "/pile/p")) == "NoSuchKey"


async def test_a_stranger_takes_nobodys_turn(tmp_path: Path) -> None:
    async with running(tmp_path, settings=SLOW) as rig:
        assert (await rig("PUT", "/pile")).status == 200
        for _ in range(3):
            assert code(await rig("PUT", "/pile/o", b"x", as_=OTHER)) == "AccessDenied"
        assert (await rig("PUT", "/pile/o", b"x")).status == 200


@pytest.mark.slow
async def test_boto3_takes_it_as_its_own(tmp_path: Path) -> None:
    async with running(tmp_path, settings=SLOW, listen=True) as rig:
        s3 = rig.client()
        await rig.do(s3.create_bucket, Bucket="pile")
        await rig.do(s3.put_object, Bucket="pile", Key="o", Body=b"x")
        with pytest.raises(ClientError, match=r"SlowDown.*reduce your request rate") as refused:
            await rig.do(s3.put_object, Bucket="pile", Key="p", Body=b"x" * 100_000)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


async def test_characters_that_no_name_may_have(tmp_path: Path) -> None:
    async with running(tmp_path, settings=Settings(forbidden_characters="'<")) as rig:
        assert (await rig("PUT", "/pile")).status == 200
        for path in ("/pile/it's", "/pile/a<b"):
            assert code(await rig("PUT", path, b"x")) == "InvalidArgument", path
        assert (await rig("PUT", "/pile?policy", EVERYBODY)).status == 204
        assert code(await filled(rig, "it's")) == "InvalidArgument"
        assert (await rig("GET", "/pile?list-type=2")).body.count(b"<Key>") == 0
