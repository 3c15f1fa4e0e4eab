"""What policies of buckets are asked: which action, about which version, with which facts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.api.test_s3_access import policy
from tests.api.test_s3_requests import Ahead
from tests.object_store_client import NOBODY, OTHER
from tests.s3_client import Rig, code, element, running

VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
TAGS = b"<Tagging><TagSet><Tag><Key>level</Key><Value>%b</Value></Tag></TagSet></Tagging>"


@pytest.fixture
async def old(rig: Rig) -> str:
    """The id of an old version, secret by its tag, of `pile/o`, whose newest is open."""
    assert (await rig("PUT", "/pile?versioning", VERSIONING)).status == 200
    first = await rig("PUT", "/pile/o", b"secret", x_amz_tagging="level=secret")
    await rig("PUT", "/pile/o", b"open", x_amz_tagging="level=open")
    return first.headers["x-amz-version-id"]


async def test_who_may_read_an_object_may_not_read_its_versions(rig: Rig, old: str) -> None:
    await rig("PUT", "/pile?policy", policy({"Action": ["s3:GetObject", "s3:GetObjectTagging"]}))
    for as_ in (NOBODY, OTHER):
        assert (await rig("GET", "/pile/o", as_=as_)).body == b"open"
        for method, query in (("GET", ""), ("HEAD", ""), ("GET", "&tagging"), ("GET", "&attributes")):
            wanted = await rig(method, f"/pile/o?versionId={old}{query}", as_=as_)
            assert wanted.status == 403, (method, query)
        assert (await rig.swift("GET", f"/pile/o?version-id={old}", as_=as_)).status in (401, 403)
    versions = policy({"Action": ["s3:GetObjectVersion", "s3:GetObjectVersionTagging"]})
    await rig("PUT", "/pile?policy", versions)
    assert (await rig("GET", f"/pile/o?versionId={old}", as_=OTHER)).body == b"secret"
    assert (await rig.swift("GET", f"/pile/o?version-id={old}", as_=OTHER)).body == b"secret"
    assert b"secret" in (await rig("GET", f"/pile/o?versionId={old}&tagging", as_=OTHER)).body
    assert (await rig("GET", "/pile/o", as_=OTHER)).status == 403
    denied = policy(
        *({"Effect": "Deny", "Action": f"s3:{verb}ObjectVersion"} for verb in ("Get", "Delete")),
    )
    await rig("PUT", "/pile?policy", denied)
    assert (await rig("GET", f"/pile/o?versionId={old}")).status == 403
    assert (await rig("DELETE", f"/pile/o?versionId={old}")).status == 403
    assert (await rig.swift("DELETE", f"/pile/o?version-id={old}")).status == 403
    assert (await rig("GET", "/pile/o")).body == b"open"
    assert (await rig("DELETE", "/pile/o")).status == 204


async def test_tags_are_those_of_the_version(rig: Rig, old: str) -> None:
    """Whichever way it is named, and whatever else the query says."""
    tagged = {"StringEquals": {"s3:ExistingObjectTag/level": "open"}}
    theirs = {"Principal": {"AWS": "p2"}, "Condition": tagged}
    reading = {**theirs, "Action": ["s3:GetObject*", "s3:DeleteObjectVersion"]}
    writing = {"Principal": {"AWS": "p2"}, "Action": "s3:PutObject", "Resource": "arn:aws:s3:::pile/copy"}
    await rig("PUT", "/pile?policy", policy(reading, writing))
    newest = (await rig("HEAD", "/pile/o")).headers["x-amz-version-id"]
    copied = await rig("PUT", "/pile/copy", as_=OTHER, x_amz_copy_source=f"/pile/o?versionId={old}")
    assert code(copied) == "AccessDenied"
    copied = await rig("PUT", "/pile/copy", as_=OTHER, x_amz_copy_source=f"/pile/o?versionId={newest}")
    assert copied.status == 200
    many = f"<Delete><Object><Key>o</Key><VersionId>{old}</VersionId></Object></Delete>".encode()
    assert b"AccessDenied" in (await rig("POST", "/pile?delete", many, as_=OTHER)).body
    await rig("PUT", "/pile/shut", b"shut", x_amz_tagging="level=open")
    open_id = (await rig("HEAD", "/pile/shut")).headers["x-amz-version-id"]
    await rig("PUT", "/pile/shut", b"shut", x_amz_tagging="level=secret")
    assert (await rig.swift("GET", f"/pile/shut?versionId={open_id}", as_=OTHER)).status == 403


async def test_a_write_takes_no_version(rig: Rig, old: str) -> None:
    answer = await rig("PUT", f"/pile/o?versionId={old}", b"x")
    assert (answer.status, code(answer)) == (400, "InvalidArgument")
    assert (await rig("GET", "/pile/o")).body == b"open"


async def test_sites_show_what_is_newest(rig: Rig, old: str) -> None:
    site = b"<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>"
    await rig("PUT", "/pile?website", site)
    await rig("PUT", "/pile?policy", policy({}))
    page = await rig("GET", f"/pile/o?versionId={old}", as_=NOBODY, prefix="/s3-website")
    assert page.body == b"open"


async def test_what_a_document_brings_is_known(rig: Rig) -> None:
    assert (await rig("PUT", "/lock", x_amz_bucket_object_lock_enabled="true")).status == 200
    await rig("PUT", "/lock/o", b"body")
    only = [
        {
            "Effect": "Deny",
            "Action": "s3:PutObjectTagging",
            "Condition": {"StringNotEquals": {"s3:RequestObjectTag/level": "open"}},
        },
        {
            "Effect": "Deny",
            "Action": ["s3:PutObjectRetention", "s3:PutObject"],
            "Condition": {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}},
        },
        {
            "Effect": "Deny",
            "Action": "s3:PutObjectLegalHold",
            "Condition": {"StringEquals": {"s3:object-lock-legal-hold": "ON"}},
        },
    ]
    statements = [{**each, "Resource": "arn:aws:s3:::lock/*"} for each in only]
    assert (await rig("PUT", "/lock?policy", policy(*statements))).status == 204
    assert (await rig("PUT", "/lock/o?tagging", TAGS % b"open")).status == 200
    assert (await rig("PUT", "/lock/o?tagging", TAGS % b"secret")).status == 403
    now = rig.state.clock.now()
    for days, status in ((9, 200), (30, 403)):
        until = f"{now + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
        kept = f"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
        assert (await rig("PUT", "/lock/o?retention", kept.encode())).status == status
        headers = {"x_amz_object_lock_mode": "GOVERNANCE", "x_amz_object_lock_retain_until_date": until}
        put = await rig("PUT", "/lock/new", b"", **headers, x_amz_sdk_checksum_algorithm="CRC32")
        assert put.status == status
    hold = b"<LegalHold><Status>%b</Status></LegalHold>"
    assert (await rig("PUT", "/lock/o?legal-hold", hold % b"ON")).status == 403
    assert (await rig("PUT", "/lock/o?legal-hold", hold % b"OFF")).status == 200
    assert (await rig("PUT", "/lock/o?legal-hold", hold % b"OFF", as_=OTHER)).status == 403


async def test_governance_is_passed_over_where_the_object_allows_it(rig: Rig) -> None:
    assert (await rig("PUT", "/lock", x_amz_bucket_object_lock_enabled="true")).status == 200
    until = f"{rig.state.clock.now() + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    locked = {"x_amz_object_lock_mode": "GOVERNANCE", "x_amz_object_lock_retain_until_date": until}
    made = await rig("PUT", "/lock/o", b"", **locked, x_amz_sdk_checksum_algorithm="CRC32")
    denied = {
        "Effect": "Deny",
        "Action": "s3:BypassGovernanceRetention",
        "Resource": "arn:aws:s3:::lock/*",
    }
    await rig("PUT", "/lock?policy", policy(denied))
    version = made.headers["x-amz-version-id"]
    many = f"<Delete><Object><Key>o</Key><VersionId>{version}</VersionId></Object></Delete>".encode()
    for _ in range(2):
        told = await rig("POST", "/lock?delete", many, x_amz_bypass_governance_retention="true")
        assert (b"AccessDenied" in told.body) == (_ == 0)
        await rig("DELETE", "/lock?policy")
    assert (await rig("GET", f"/lock/o?versionId={version}")).status == 404


async def test_conditional_writes_can_be_demanded(rig: Rig) -> None:
    """As the S3 User Guide has it in "Enforce conditional writes"."""
    demand = {
        "Effect": "Deny",
        "Action": "s3:PutObject",
        "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
    }
    assert (await rig("PUT", "/pile?policy", policy(demand))).status == 204
    assert (await rig("PUT", "/pile/o", b"x")).status == 403
    assert (await rig.swift("PUT", "/pile/o?uploads", b"x")).status == 403
    assert (await rig("PUT", "/pile/o", b"x", if_none_match="*")).status == 200
    upload = element(await rig("POST", "/pile/m?uploads"), "UploadId")
    part = await rig("PUT", f"/pile/m?uploadId={upload}&partNumber=1", b"x")
    assert part.status == 200
    done = (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
        f"<ETag>{part.headers['etag']}</ETag></Part></CompleteMultipartUpload>"
    ).encode()
    for more in ("", "&partNumber=1"):
        assert (await rig("POST", f"/pile/m?uploadId={upload}{more}", done)).status == 403
    assert (await rig("POST", f"/pile/m?uploadId={upload}", done, if_none_match="*")).status == 200


async def test_how_a_request_was_signed_is_known(tmp_path: Path) -> None:
    clock = Ahead()
    async with running(tmp_path, clock=clock) as rig:
        await rig("PUT", "/pile")
        await rig("PUT", "/pile/o", b"body")
        rig.port = 1

        async def fetched(version: str) -> str:
            asked = {"Params": {"Bucket": "pile", "Key": "o"}, "ExpiresIn": 86_400}
            url = urlsplit(
                rig.client(signature_version=version).generate_presigned_url("get_object", **asked)
            )
            clock.ahead = timedelta(minutes=5)
            got = await rig("GET", f"{url.path}?{url.query}", as_=NOBODY, prefix="", host=str(url.netloc))
            clock.ahead = timedelta()
            return code(got) or got.body.decode()

        assert [await fetched(each) for each in ("s3", "s3v4")] == ["body", "body"]
        for operator, key, value, expected in (
            ("StringEquals", "s3:signatureversion", "AWS", ["AccessDenied", "body"]),
            ("StringEquals", "s3:signatureversion", "AWS4-HMAC-SHA256", ["body", "AccessDenied"]),
            ("StringEquals", "s3:authType", "REST-QUERY-STRING", ["AccessDenied", "AccessDenied"]),
            ("NumericGreaterThan", "s3:signatureAge", "60000", ["body", "AccessDenied"]),
            ("NumericGreaterThan", "s3:signatureAge", "600000", ["body", "body"]),
        ):
            denied = {"Effect": "Deny", "Condition": {operator: {key: value}}}
            await rig("PUT", "/pile?policy", policy(denied))
            assert [await fetched(each) for each in ("s3", "s3v4")] == expected, key


async def test_an_etag_is_known_to_who_may_read(rig: Rig) -> None:
    """Else whoever may only write could find out what is there by guesses."""
    etag = (await rig("PUT", "/pile/o", b"body")).headers["etag"]
    only = {"Principal": {"AWS": "p2"}, "Action": ["s3:PutObject", "s3:DeleteObject"]}
    await rig("PUT", "/pile?policy", policy(only))
    many = f"<Delete><Object><Key>o</Key><ETag>{etag}</ETag></Object></Delete>".encode()
    for guess in (etag, '"0"'):
        assert (await rig("PUT", "/pile/o", b"x", as_=OTHER, if_match=guess)).status == 403
        assert (await rig("DELETE", "/pile/o", as_=OTHER, if_match=guess)).status == 403
    assert b"AccessDenied" in (await rig("POST", "/pile?delete", many, as_=OTHER)).body
    assert (await rig("PUT", "/pile/o", b"x", as_=OTHER, if_none_match="*")).status == 412
    await rig("PUT", "/pile?policy", policy({**only, "Action": [*only["Action"], "s3:GetObject"]}))
    assert (await rig("PUT", "/pile/o", b"x", as_=OTHER, if_match='"0"')).status == 412
    assert (await rig("PUT", "/pile/o", b"x", as_=OTHER, if_match=etag)).status == 200


async def test_a_marker_is_no_source(rig: Rig, old: str) -> None:
    marker = (await rig("DELETE", "/pile/o")).headers["x-amz-version-id"]
    answer = await rig("PUT", "/pile/copy", x_amz_copy_source=f"/pile/o?versionId={marker}")
    assert (answer.status, code(answer)) == (400, "InvalidRequest")
    assert code(await rig("PUT", "/pile/copy", x_amz_copy_source="/pile/o")) == "NoSuchKey"


async def test_a_copy_takes_tags_along_for_who_may_read_them(rig: Rig) -> None:
    await rig("PUT", "/pile/o", b"body", x_amz_tagging="level=secret")
    await rig("PUT", "/theirs", as_=OTHER)
    source = {"x_amz_copy_source": "/pile/o"}
    for actions, status in ((["s3:GetObject"], 403), (["s3:GetObject", "s3:GetObjectTagging"], 200)):
        await rig("PUT", "/pile?policy", policy({"Action": actions}))
        assert (await rig("PUT", "/theirs/copy", as_=OTHER, **source)).status == status
        plain = await rig("PUT", "/theirs/plain", as_=OTHER, **source, x_amz_tagging_directive="REPLACE")
        assert plain.status == 200
    assert b"secret" in (await rig("GET", "/theirs/copy?tagging", as_=OTHER)).body
    assert b"secret" not in (await rig("GET", "/theirs/plain?tagging", as_=OTHER)).body


async def test_an_upload_brings_a_list_along_for_who_may_set_one(rig: Rig) -> None:
    owned = (
        b"<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>"
    )
    await rig("PUT", "/pile?ownershipControls", owned)
    for actions, status in ((["s3:PutObject"], 403), (["s3:PutObject", "s3:PutObjectAcl"], 200)):
        await rig("PUT", "/pile?policy", policy({"Action": actions}))
        assert (await rig("PUT", "/pile/o", b"x", as_=OTHER, x_amz_acl="public-read")).status == status
        own = await rig("PUT", "/pile/o", b"x", as_=OTHER, x_amz_acl="bucket-owner-full-control")
        assert own.status == 200


async def test_attributes_are_for_who_may_read(rig: Rig) -> None:
    await rig("PUT", "/pile/o", b"body")
    wanted = {"x_amz_object_attributes": "ETag"}
    for actions, status in (
        (["s3:GetObjectAttributes"], 403),
        (["s3:GetObject"], 403),
        (["s3:GetObject", "s3:GetObjectAttributes"], 200),
    ):
        await rig("PUT", "/pile?policy", policy({"Action": actions}))
        assert (await rig("GET", "/pile/o?attributes", as_=OTHER, **wanted)).status == status
