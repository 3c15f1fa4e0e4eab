"""Two requests with the same part: retries of clients that gave up too soon."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pileus.services.object_store.s3 import multipart
from tests.api.test_s3_bad_input import Gate
from tests.s3_client import Rig, code, element


async def begun(rig: Rig, **headers: str) -> str:
    return f"/pile/m?uploadId={element(await rig('POST', '/pile/m?uploads', **headers), 'UploadId')}"


def document(etag: str) -> bytes:
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    return f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()


async def test_what_began_earlier_and_ends_later(rig: Rig) -> None:
    at, gate = await begun(rig), Gate(1)
    first = asyncio.create_task(
        rig("PUT", f"{at}&partNumber=1", chunks=[b"fir", gate, b"st"], content_length="5")
    )
    await gate.all_there.wait()
    second = await rig("PUT", f"{at}&partNumber=1", b"second")
    gate.set()
    late = await first
    assert (late.status, code(late)) == (503, "SlowDown")
    assert (await rig("POST", at, document(second.headers["etag"]))).status == 200
    assert (await rig("GET", "/pile/m")).body == b"second"


async def test_an_upload_is_completed_while_a_part_comes_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, receive = await begun(rig), multipart.receive
    etag = (await rig("PUT", f"{at}&partNumber=1", b"part")).headers["etag"]

    async def late(*arguments: Any) -> Any:
        stored = await receive(*arguments)
        assert (await rig("POST", at, document(etag))).status == 200
        return stored

    monkeypatch.setattr(multipart, "receive", late)
    again = await rig("PUT", f"{at}&partNumber=1", b"part")
    assert (again.status, code(again)) == (404, "NoSuchUpload")
    assert (await rig("GET", "/pile/m")).body == b"part"


async def test_a_completion_for_another_kind_of_checksum(rig: Rig) -> None:
    at = await begun(rig, x_amz_checksum_algorithm="CRC32", x_amz_checksum_type="FULL_OBJECT")
    etag = (await rig("PUT", f"{at}&partNumber=1", b"part")).headers["etag"]
    wrong = await rig("POST", at, document(etag), x_amz_checksum_type="COMPOSITE")
    assert (wrong.status, code(wrong)) == (400, "BadDigest")
    assert (await rig("GET", "/pile/m")).status == 404
    assert (await rig("POST", at, document(etag), x_amz_checksum_type="FULL_OBJECT")).status == 200
