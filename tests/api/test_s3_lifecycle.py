"""What lifecycle rules remove, in days that pass at once."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pileus.services.object_store.settings import Settings
from pileus.testing.clock import FakeClock
from tests.s3_client import Rig, element, running

DAY = 24 * 3600


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock(datetime(2030, 1, 1, 6, tzinfo=UTC))


@pytest.fixture
async def rig(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Rig]:
    async with running(tmp_path, clock=clock, settings=Settings(s3_lifecycle_per_second=math.inf)) as rig:
        assert (await rig("PUT", "/pile")).status == 200
        yield rig


def rules(*each: str) -> bytes:
    inside = "".join(f"<Rule><ID>r{n}</ID><Status>Enabled</Status>{one}</Rule>" for n, one in enumerate(each))
    return f"<LifecycleConfiguration>{inside}</LifecycleConfiguration>".encode()


async def set_rules(rig: Rig, *each: str) -> None:
    answer = await rig("PUT", "/pile?lifecycle", rules(*each))
    assert answer.status == 200, answer.body


async def pass_days(rig: Rig, clock: FakeClock, days: int) -> dict[str, int]:
    """Days without the walk's own turns, then one walk."""
    await rig.state.daemons.close()
    await clock.advance(days * DAY)
    return dict((await rig.state.daemons.run_once("object-lifecycle")).counts)


async def keys(rig: Rig) -> list[str]:
    body = (await rig("GET", "/pile")).body.decode()
    return [each.partition("</Key>")[0] for each in body.split("<Key>")[1:]]


async def test_rules_as_they_were_put(rig: Rig) -> None:
    assert element(await rig("GET", "/pile?lifecycle"), "Code") == "NoSuchLifecycleConfiguration"
    await set_rules(rig, "<Filter><Prefix>a/</Prefix></Filter><Expiration><Days>3</Days></Expiration>")
    shown = (await rig("GET", "/pile?lifecycle")).body
    assert b"<Prefix>a/</Prefix>" in shown
    assert (await rig("PUT", "/pile?lifecycle", shown)).status == 200
    for bad in (
        b"",
        shown[:-5],
        rules(),
        rules("<Filter/>"),
        rules("<Filter/><Expiration><Days>0</Days></Expiration>"),
    ):
        assert (await rig("PUT", "/pile?lifecycle", bad)).status == 400
    assert (await rig("GET", "/pile?lifecycle")).body == shown
    put = await rig("PUT", "/pile/a/o", b"x")
    assert put.headers["x-amz-expiration"] == 'expiry-date="Sat, 05 Jan 2030 00:00:00 GMT", rule-id="r0"'
    assert (await rig("HEAD", "/pile/a/o")).headers["x-amz-expiration"] == put.headers["x-amz-expiration"]
    assert "x-amz-expiration" not in (await rig("PUT", "/pile/b", b"x")).headers
    assert (await rig("DELETE", "/pile?lifecycle")).status == 204
    assert (await rig("GET", "/pile?lifecycle")).status == 404


async def test_objects_go_when_their_time_has_come(rig: Rig, clock: FakeClock) -> None:
    await set_rules(
        rig,
        "<Filter><Prefix>logs/</Prefix></Filter><Expiration><Days>2</Days></Expiration>",
        "<Filter><Tag><Key>keep</Key><Value>no</Value></Tag></Filter><Expiration><Days>1</Days></Expiration>",
        "<Filter><ObjectSizeGreaterThan>100</ObjectSizeGreaterThan></Filter><Expiration><Date>2030-01-04T00:00:00Z"
        "</Date></Expiration>",
    )
    await rig("PUT", "/pile/logs/a", b"x")
    await rig("PUT", "/pile/tagged", b"x", x_amz_tagging="keep=no")
    await rig("PUT", "/pile/large", b"x" * 200)
    await rig("PUT", "/pile/stays", b"x")
    assert (await pass_days(rig, clock, 0)).get("expired", 0) == 0
    assert (await pass_days(rig, clock, 2))["expired"] == 1
    assert await keys(rig) == ["large", "logs/a", "stays"]
    await rig("PUT", "/pile/logs/b", b"x")
    assert (await pass_days(rig, clock, 1))["expired"] == 2
    assert await keys(rig) == ["logs/b", "stays"]
    assert (await rig.swift("GET", "/pile")).body == b"logs/b\nstays\n"


async def test_versions_and_markers(rig: Rig, clock: FakeClock) -> None:
    await rig("PUT", "/pile/o", b"null")
    await rig(
        "PUT",
        "/pile?versioning",
        b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    )
    ids = [(await rig("PUT", "/pile/o", b"%d" % n)).headers["x-amz-version-id"] for n in range(3)]
    await set_rules(
        rig,
        "<Filter/><Expiration><Days>5</Days></Expiration>",
        "<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>1"
        "</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
    )

    async def there() -> list[str]:
        found = []
        for version in ("null", *ids):
            answer = await rig("GET", f"/pile/o?versionId={version}")
            if answer.status == 200:
                found.append(answer.body.decode())
        return found

    assert await there() == ["null", "0", "1", "2"]
    assert (await pass_days(rig, clock, 3))["removed"] == 1
    assert await there() == ["1", "2"]  # one of the old ones is kept
    assert (await pass_days(rig, clock, 3))["hidden"] == 1
    assert (await rig("GET", "/pile/o")).headers["x-amz-delete-marker"] == "true"
    assert await there() == ["2"]
    await set_rules(
        rig,
        "<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>",
        "<Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
    )
    await pass_days(rig, clock, 3)
    assert await there() == []
    assert b"<DeleteMarker>" not in (await rig("GET", "/pile?versions")).body
    assert (await rig("DELETE", "/pile")).status == 204
    assert await pass_days(rig, clock, 1) == {}


async def test_what_is_locked_stays(rig: Rig, clock: FakeClock) -> None:
    await rig("PUT", "/vault", x_amz_bucket_object_lock_enabled="true")
    held = {"x_amz_object_lock_legal_hold": "ON", "x_amz_sdk_checksum_algorithm": "CRC32"}
    old = (await rig("PUT", "/vault/o", b"old", **held)).headers["x-amz-version-id"]
    await rig("PUT", "/vault/o", b"new")
    rule = "<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"
    assert (await rig("PUT", "/vault?lifecycle", rules(rule))).status == 200
    await pass_days(rig, clock, 5)
    assert (await rig("GET", f"/vault/o?versionId={old}")).body == b"old"
    await rig("PUT", f"/vault/o?legal-hold&versionId={old}", b"<LegalHold><Status>OFF</Status></LegalHold>")
    await pass_days(rig, clock, 1)
    assert (await rig("GET", f"/vault/o?versionId={old}")).status == 404
    assert (await rig("GET", "/vault/o")).body == b"new"


async def test_uploads_that_nobody_completes(rig: Rig, clock: FakeClock) -> None:
    await set_rules(
        rig,
        "<Filter><Prefix>a</Prefix></Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>1"
        "</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
    )
    ids = {}
    for key in ("a", "b"):
        ids[key] = element(await rig("POST", f"/pile/{key}?uploads"), "UploadId")
        assert (await rig("PUT", f"/pile/{key}?uploadId={ids[key]}&partNumber=1", b"part")).status == 200
    assert (await pass_days(rig, clock, 3))["aborted"] == 1
    assert (await rig("GET", f"/pile/a?uploadId={ids['a']}")).status == 404
    assert (await rig("GET", f"/pile/b?uploadId={ids['b']}")).status == 200
    assert (await rig.swift("GET", "/pile+segments")).body.decode().startswith("b/")


async def test_parts_go_with_their_object(rig: Rig, clock: FakeClock) -> None:
    await set_rules(rig, "<Filter/><Expiration><Days>1</Days></Expiration>")
    at = f"/pile/o?uploadId={element(await rig('POST', '/pile/o?uploads'), 'UploadId')}"
    part = await rig("PUT", f"{at}&partNumber=1", b"last")
    listed = f"<Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
    await rig("POST", at, f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode())
    assert (await pass_days(rig, clock, 3))["expired"] == 1
    assert (await rig.swift("GET", "/pile+segments")).status == 204


async def test_an_interrupted_walk_goes_on(rig: Rig, clock: FakeClock) -> None:
    await set_rules(rig, "<Filter/><Expiration><Days>1</Days></Expiration>")
    for number in range(5):
        await rig("PUT", f"/pile/{number}", b"x")
    await rig.state.daemons.close()
    await clock.advance(3 * DAY)
    progress = rig.state.daemons.progress["object-lifecycle"]
    progress.place = '["AUTH_p1\\u001fpile","objects","2"]'
    assert (await rig.state.daemons.run_once("object-lifecycle")).counts["expired"] == 2
    assert await keys(rig) == ["0", "1", "2"]
    await rig.state.daemons.run_once("object-lifecycle")
    assert await keys(rig) == []
