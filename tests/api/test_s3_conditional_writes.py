"""Writes on a condition: of several at once, one is done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.object_store_client import Answer
from tests.s3_client import Rig, running

PART = 5 * 1024 * 1024


@pytest.fixture(params=["plain", "versions"])
async def rig(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        assert (await rig("PUT", "/pile")).status == 200
        if request.param == "versions":
            document = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
            assert (await rig("PUT", "/pile?versioning", document)).status == 200
        yield rig


async def begun(rig: Rig) -> str:
    """An upload of one part."""
    answer = await rig("POST", "/pile/o?uploads")
    upload = answer.body.decode().partition("<UploadId>")[2].partition("</UploadId>")[0]
    assert (await rig("PUT", f"/pile/o?partNumber=1&uploadId={upload}", b"part")).status == 200
    return upload


async def completed(rig: Rig, upload: str, **headers: str) -> Answer:
    listed = (await rig("GET", f"/pile/o?uploadId={upload}")).body.decode()
    etag = listed.partition("<ETag>")[2].partition("</ETag>")[0].replace("&quot;", "").strip('"')
    document = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    return await rig(
        "POST", f"/pile/o?uploadId={upload}", (document + "</CompleteMultipartUpload>").encode(), **headers
    )


async def test_one_makes_it(rig: Rig) -> None:
    """As a lock is taken: all see that there is none, and one has it."""
    assert (await rig("PUT", "/pile/source", b"copied")).status == 200
    uploads = [await begun(rig) for _ in range(3)]
    answers = await asyncio.gather(
        *(rig("PUT", "/pile/o", b"%d" % number, if_none_match="*") for number in range(10)),
        *(rig("PUT", "/pile/o", x_amz_copy_source="/pile/source", if_none_match="*") for _ in range(3)),
        *(completed(rig, upload, if_none_match="*") for upload in uploads),
    )
    assert Counter(each.status for each in answers) == {200: 1, 412: 15}
    won = next(number for number, each in enumerate(answers) if each.status == 200)
    body = b"%d" % won if won < 10 else b"copied" if won < 13 else b"part"
    assert (await rig("GET", "/pile/o")).body == body
    assert rig.state.turns == {}


async def test_one_changes_it(rig: Rig) -> None:
    etag = (await rig("PUT", "/pile/o", b"first")).headers["etag"]
    for turn in range(3):
        answers = await asyncio.gather(
            *(rig("PUT", "/pile/o", b"next %d %d" % (turn, number), if_match=etag) for number in range(8)),
        )
        assert Counter(each.status for each in answers) == {200: 1, 412: 7}
        etag = next(each.headers["etag"] for each in answers if each.status == 200)
        assert (await rig("HEAD", "/pile/o")).headers["etag"] == etag


async def test_one_takes_it_away(rig: Rig) -> None:
    etag = (await rig("PUT", "/pile/o", b"first")).headers["etag"]
    many = f"<Delete><Object><Key>o</Key><ETag>{etag}</ETag></Object></Delete>".encode()
    put, many_deleted, *deleted = await asyncio.gather(
        rig("PUT", "/pile/o", b"second", if_match=etag),
        rig("POST", "/pile?delete", many),
        *(rig("DELETE", "/pile/o", if_match=etag) for _ in range(5)),
    )
    done = [put.status == 200, b"<Deleted>" in many_deleted.body, *(each.status == 204 for each in deleted)]
    assert done.count(True) == 1
    assert (await rig("GET", "/pile/o")).status == (200 if put.status == 200 else 404)


async def test_what_comes_while_the_body_does_counts(rig: Rig) -> None:
    """A condition is looked at when all bytes are there, not only when they begin to come."""
    gate = asyncio.Event()
    slow = asyncio.create_task(
        rig("PUT", "/pile/o", chunks=[b"sl", gate, b"ow"], content_length="4", if_none_match="*")
    )
    assert (await rig("PUT", "/pile/o", b"quick", if_none_match="*")).status == 200
    gate.set()
    assert (await slow).status == 412
    assert (await rig("GET", "/pile/o")).body == b"quick"


async def test_after_a_failed_one_the_next_has_its_turn(rig: Rig) -> None:
    assert (await rig("PUT", "/pile/o", b"x", if_none_match="*", content_md5="A" * 22 + "==")).status == 400
    assert (await rig("PUT", "/pile/o", b"x", content_length="9", if_none_match="*")).status == 400
    assert (await rig("PUT", "/pile/o", b"x", if_none_match="*")).status == 200
    assert rig.state.turns == {}
