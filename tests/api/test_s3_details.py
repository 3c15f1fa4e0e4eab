"""Small things in requests and answers that clients go by."""

from __future__ import annotations

import base64
from email.message import Message
from hashlib import md5

import pytest

from pileus.services.object_store.name import Name
from pileus.services.object_store.s3 import leavings
from pileus.services.object_store.s3.checksum import ALGORITHMS
from tests.object_store_client import NOBODY, OWNER, sent_to
from tests.s3_client import Rig, code, element

PART = bytes(5 * 1024 * 1024)


async def begun(rig: Rig, key: str = "m", **headers: str) -> str:
    answer = await rig("POST", f"/pile/{key}?uploads", **headers)
    return f"/pile/{key}?uploadId={element(answer, 'UploadId')}"


def document(*etags: str) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in enumerate(etags, start=1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


async def test_a_download_goes_on_only_with_the_same_object(rig: Rig) -> None:
    etag = (await rig("PUT", "/pile/o", b"0123456789")).headers["etag"]
    changed = (await rig("HEAD", "/pile/o")).headers["last-modified"]
    for same in (etag, etag.strip('"'), changed):
        answer = await rig("GET", "/pile/o", range="bytes=2-3", if_range=same)
        assert (answer.status, answer.body) == (206, b"23")
    for other in ('"other"', f"W/{etag}", "Mon, 01 Jan 2001 00:00:00 GMT"):
        answer = await rig("GET", "/pile/o", range="bytes=2-3", if_range=other)
        assert (answer.status, answer.body) == (200, b"0123456789"), other


@pytest.mark.parametrize("number", ["0", "10001", "-1", "000001999999", "1999999", "x", "\u0661", "9" * 5000])
async def test_numbers_that_no_part_has(rig: Rig, number: str) -> None:
    at = await begun(rig)
    answer = await rig("PUT", f"{at}&partNumber={number}", b"x")
    assert (answer.status, code(answer)) == (400, "InvalidArgument")
    assert b"<Part>" not in (await rig("GET", at)).body
    await rig("PUT", "/pile/o", b"x")
    assert (await rig("GET", f"/pile/o?partNumber={number}")).status == 400


async def test_another_key_for_what_is_there(rig: Rig) -> None:
    """A copy of an object to itself gives it another customer's key, or none."""

    def said(key: bytes, prefix: str = "x_amz_") -> dict[str, str]:
        name = f"{prefix}server_side_encryption_customer_"
        return {
            name + "algorithm": "AES256",
            name + "key": base64.b64encode(key).decode(),
            name + "key_md5": base64.b64encode(md5(key).digest()).decode(),
        }

    first, second = b"1" * 32, b"2" * 32
    assert (await rig("PUT", "/pile/o", b"body", **said(first))).status == 200
    of_source = said(first, "x_amz_copy_source_")
    turned = await rig("PUT", "/pile/o", x_amz_copy_source="/pile/o", **of_source, **said(second))
    assert turned.status == 200
    assert (await rig("GET", "/pile/o", **said(first))).status == 403
    assert (await rig("GET", "/pile/o", **said(second))).body == b"body"
    of_source = said(second, "x_amz_copy_source_")
    assert (await rig("PUT", "/pile/o", x_amz_copy_source="/pile/o", **of_source)).status == 200
    assert (await rig("GET", "/pile/o")).body == b"body"


async def test_attributes_of_parts(rig: Rig) -> None:
    crc = ALGORITHMS["CRC32"]
    at = await begun(rig, x_amz_checksum_algorithm="CRC32")
    etags = [
        (await rig("PUT", f"{at}&partNumber={n}", body)).headers["etag"] for n, body in ((1, PART), (2, b"2"))
    ]
    assert (await rig("POST", at, document(*etags))).status == 200
    sent = Message()
    sent["x-amz-object-attributes"] = "ObjectParts"
    sent["x-amz-object-attributes"] = "ObjectSize"  # Go's client sends each in a header of its own
    shown = await sent_to(rig.application, "GET", "/s3/pile/m", "attributes", sent, [b""], as_=OWNER)  # type: ignore[arg-type]
    for number, body in ((1, PART), (2, b"2")):
        expected = f"<ChecksumCRC32>{crc.of(body)}</ChecksumCRC32><PartNumber>{number}</PartNumber>"
        assert expected.encode() in shown.body
    assert element(shown, "ObjectSize") == str(len(PART) + 1)


async def test_what_the_end_of_an_upload_tells(rig: Rig) -> None:
    """Also when it is asked for again, by a client that did not get the answer."""
    status = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    await rig("PUT", "/pile?versioning", status)
    at = await begun(rig, "a%20b%3F", x_amz_checksum_algorithm="CRC32")
    etag = (await rig("PUT", f"{at}&partNumber=1", b"x")).headers["etag"]
    answers = [await rig("POST", at, document(etag)) for _ in range(2)]
    for name in ("Location", "ETag", "ChecksumCRC32", "ChecksumType"):
        assert element(answers[0], name)
        assert element(answers[0], name) == element(answers[1], name)
    assert answers[0].headers["x-amz-version-id"] == answers[1].headers["x-amz-version-id"]


async def test_when_an_upload_will_be_aborted(rig: Rig) -> None:
    rule = (
        b"<LifecycleConfiguration><Rule><ID>r 1</ID><Status>Enabled</Status><Filter><Prefix>m</Prefix></Filter>"
        b"<AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation>"
        b"</AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"
    )
    assert (await rig("PUT", "/pile?lifecycle", rule)).status == 200
    made = await rig("POST", "/pile/m?uploads")
    listed = await rig("GET", f"/pile/m?uploadId={element(made, 'UploadId')}")
    assert made.headers["x-amz-abort-rule-id"] == "r%201"
    assert made.headers["x-amz-abort-date"].endswith("00:00:00 GMT")
    assert made.headers["x-amz-abort-date"] == listed.headers["x-amz-abort-date"]
    assert "x-amz-abort-date" not in (await rig("POST", "/pile/other?uploads")).headers


async def test_an_error_names_its_request_as_the_headers_do(rig: Rig) -> None:
    answer = await rig("GET", "/pile/none")
    assert element(answer, "RequestId") == answer.headers["x-amz-request-id"]
    assert element(answer, "HostId") == answer.headers["x-amz-id-2"]


async def test_a_page_asks_before_it_signs(rig: Rig) -> None:
    """A browser's question has no signature, though the request that it is about will have one."""
    rule = (
        b"<CORSConfiguration><CORSRule><AllowedOrigin>http://a.example</AllowedOrigin><AllowedMethod>PUT"
        b"</AllowedMethod><AllowedHeader>*</AllowedHeader></CORSRule></CORSConfiguration>"
    )
    assert (await rig("PUT", "/pile?cors", rule)).status == 200
    asked = {"origin": "http://a.example", "access_control_request_method": "PUT"}
    names = "authorization,x-amz-content-sha256,x-amz-date"
    answer = await rig(
        "OPTIONS", "/pile/o", as_=NOBODY, prefix="", access_control_request_headers=names, **asked
    )
    assert answer.status == 200
    assert answer.headers["access-control-allow-headers"] == names.replace(",", ", ")
    plain = await rig(
        "OPTIONS", "/pile/o", as_=NOBODY, prefix="", access_control_request_headers="x-auth-token", **asked
    )
    assert plain.status == 404


async def test_many_are_deleted_only_by_the_whole_document(rig: Rig) -> None:
    await rig("PUT", "/pile/o", b"x")
    many = b"<Delete><Object><Key>o</Key></Object></Delete>"
    for headers in ({}, {"x_amz_sdk_checksum_algorithm": "CRC32"}):
        answer = await rig("POST", "/pile?delete", chunks=[many], **headers, content_length=str(len(many)))
        assert (answer.status, code(answer)) == (400, "InvalidRequest")
    assert code(await rig("POST", "/pile?delete", many, x_amz_checksum_crc32="AAAAAA==")) == "BadDigest"
    assert (await rig("GET", "/pile/o")).status == 200
    crc = {"x_amz_checksum_crc32": ALGORITHMS["CRC32"].of(many)}
    answer = await rig("POST", "/pile?delete", chunks=[many], **crc, content_length=str(len(many)))
    assert answer.status == 200
    assert (await rig("GET", "/pile/o")).status == 404


async def test_a_note_that_is_there_already(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left by a proxy whose clock is ahead."""
    note, behind = leavings.Note(Name("AUTH_p1", "pile", "o"), "0" * 32), rig.state.now()
    await leavings.leave(rig.state, note)
    monkeypatch.setattr(rig.state, "now", lambda: behind)
    await leavings.leave(rig.state, note)
    assert await rig.state.find(note.at) is not None


async def test_a_source_that_is_encoded_with_its_query(rig: Rig) -> None:
    status = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    await rig("PUT", "/pile?versioning", status)
    old = (await rig("PUT", "/pile/plain", b"plain")).headers["x-amz-version-id"]
    await rig("PUT", "/pile/plain", b"newer")
    assert (
        await rig("PUT", "/pile/copy", x_amz_copy_source=f"pile%2Fplain%3FversionId%3D{old}")
    ).status == 200
    assert (await rig("GET", "/pile/copy")).body == b"plain"


@pytest.mark.parametrize("query", ["partNumber=1", "uploadId=" + "0" * 32])
async def test_half_of_what_a_part_needs(rig: Rig, query: str) -> None:
    """Is no reason to overwrite the object."""
    await rig("PUT", "/pile/o", b"whole")
    answer = await rig("PUT", f"/pile/o?{query}", b"part")
    assert (answer.status, code(answer)) == (400, "InvalidArgument")
    assert (await rig("GET", "/pile/o")).body == b"whole"


FAR = "9999-12-31T23:59:59-23:59"


async def test_dates_beyond_all_calendars(rig: Rig) -> None:
    beyond = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
    await rig("PUT", "/pile/o", b"x")
    for name in ("if_modified_since", "if_unmodified_since"):
        assert (await rig("GET", "/pile/o", **{name: beyond})).status == 200
        assert (await rig.swift("GET", "/pile/o", **{name: beyond})).status == 200
        source = {"x_amz_copy_source": "/pile/o", f"x_amz_copy_source_{name}": beyond}
        assert (await rig("PUT", "/pile/c", **source)).status == 200
    signed = {"authorization": "AWS olga:x", "date": beyond}
    assert code(await rig("GET", "/pile/o", as_=NOBODY, prefix="", **signed)) == "AccessDenied"


async def test_locks_and_rules_beyond_all_calendars(rig: Rig) -> None:
    await rig("PUT", "/lock", x_amz_bucket_object_lock_enabled="true")
    until = {"x_amz_object_lock_mode": "GOVERNANCE", "x_amz_object_lock_retain_until_date": FAR}
    told = {"x_amz_sdk_checksum_algorithm": "CRC32"}
    assert code(await rig("PUT", "/lock/o", b"x", **until, **told)) == "InvalidArgument"
    await rig("PUT", "/lock/o", b"x")
    kept = f"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{FAR}</RetainUntilDate></Retention>"
    assert code(await rig("PUT", "/lock/o?retention", kept.encode())) == "InvalidArgument"
    for date in (FAR, "0001-01-01T00:00:00+23:59"):
        rule = f"<Rule><Status>Enabled</Status><Filter/><Expiration><Date>{date}</Date></Expiration></Rule>"
        document = f"<LifecycleConfiguration>{rule}</LifecycleConfiguration>".encode()
        assert code(await rig("PUT", "/lock?lifecycle", document)) == "InvalidArgument"
