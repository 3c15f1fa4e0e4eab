"""Who may: bucket policies, access control lists, public access, and that Swift's API keeps to the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.object_store_client import NOBODY, OTHER
from tests.s3_client import Rig, code

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


@pytest.fixture
async def rig(rig: Rig) -> Rig:
    assert (await rig("PUT", "/pile/o", b"body")).status == 200
    return rig


def policy(*statements: dict[str, Any]) -> bytes:
    filled = [
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::pile/*",
            **each,
        }
        for each in statements
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": filled}).encode()


async def test_a_policy_opens_and_shuts(rig: Rig) -> None:
    assert code(await rig("GET", "/pile?policy")) == "NoSuchBucketPolicy"
    assert (await rig("GET", "/pile/o", as_=OTHER)).status == 403
    assert (await rig("PUT", "/pile?policy", policy({"Principal": {"AWS": "p2"}}))).status == 204
    assert b"<IsPublic>false<" in (await rig("GET", "/pile?policyStatus")).body
    assert (await rig("GET", "/pile/o", as_=OTHER)).body == b"body"
    assert (await rig("GET", "/pile/o", as_=NOBODY)).status == 403
    assert (await rig("HEAD", "/pile", as_=OTHER)).status == 403
    assert (await rig("PUT", "/pile/o", b"", as_=OTHER)).status == 403
    opened = policy({}, {"Effect": "Deny", "Resource": "arn:aws:s3:::pile/s*", "Action": "s3:*"})
    assert (await rig("PUT", "/pile?policy", opened)).status == 204
    assert (await rig("GET", "/pile?policy")).body == opened
    assert b"<IsPublic>true<" in (await rig("GET", "/pile?policyStatus")).body
    assert (await rig("GET", "/pile/o", as_=NOBODY)).body == b"body"
    for asked in (("PUT", "/pile/secret"), ("GET", "/pile/secret"), ("DELETE", "/pile/secret")):
        assert code(await rig(*asked)) == "AccessDenied"
    # Swift's API is no way around it.
    assert (await rig.swift("GET", "/pile/o", as_=NOBODY)).body == b"body"
    assert (await rig.swift("PUT", "/pile/secret", b"")).status == 403
    assert (await rig.swift("PUT", "/pile/open", b"")).status == 201
    assert (await rig.swift("COPY", "/pile/open", destination="pile/secret")).status == 403
    assert (await rig("DELETE", "/pile?policy", as_=OTHER)).status == 403
    assert (await rig("DELETE", "/pile?policy")).status == 204
    assert (await rig("GET", "/pile/o", as_=NOBODY)).status == 403
    assert (await rig("PUT", "/pile/secret", b"")).status == 200


async def test_an_owner_that_shut_itself_out(rig: Rig) -> None:
    shut = policy(
        {"Effect": "Deny", "Action": "s3:*", "Resource": ["arn:aws:s3:::pile", "arn:aws:s3:::pile/*"]}
    )
    assert (await rig("PUT", "/pile?policy", shut)).status == 204
    assert (await rig("HEAD", "/pile")).status == 403
    assert (await rig("GET", "/pile?policy")).status == 200
    assert (await rig("DELETE", "/pile?policy")).status == 204
    assert (await rig("GET", "/pile/o")).status == 200


async def test_conditions_see_the_request(rig: Rig) -> None:
    for operator, key, value, headers, allowed in (
        ("StringEquals", "s3:ExistingObjectTag/colour", "red", {}, True),
        ("StringEquals", "s3:ExistingObjectTag/colour", "blue", {}, False),
        ("StringLike", "aws:Referer", "http://a.example/*", {"referer": "http://a.example/x"}, True),
        ("StringLike", "aws:Referer", "http://a.example/*", {"referer": "http://b.example/x"}, False),
        ("Bool", "aws:SecureTransport", "true", {}, False),
        ("StringEquals", "aws:username", "oto", {}, True),
        ("DateLessThan", "aws:CurrentTime", "2020-01-01T00:00:00Z", {}, False),
    ):
        await rig("PUT", "/pile/o", b"body", x_amz_tagging="colour=red")
        await rig("PUT", "/pile?policy", policy({"Condition": {operator: {key: value}}}))
        assert ((await rig("GET", "/pile/o", as_=OTHER, **headers)).status == 200) is allowed, key


async def test_bad_policies_leave_the_old_one(rig: Rig) -> None:
    good = policy({})
    await rig("PUT", "/pile?policy", good)
    for bad in (
        b"",
        b"{",
        policy({"Action": "s3:Fly"}),
        policy({"Resource": "arn:aws:s3:::other/*"}),
        b" " * 30_000,
    ):
        answer = await rig("PUT", "/pile?policy", bad)
        assert answer.status == 400, bad
        assert code(answer) in ("MalformedPolicy", "MaxMessageLengthExceeded")
    wrong = await rig("PUT", "/pile?policy", policy({}, {}), x_amz_checksum_crc32="AAAAAA==")
    assert (wrong.status, code(wrong)) == (400, "BadDigest")
    assert (await rig("GET", "/pile?policy")).body == good


async def test_what_blocks_public_access(rig: Rig) -> None:
    assert code(await rig("GET", "/pile?publicAccessBlock")) == "NoSuchPublicAccessBlockConfiguration"
    await rig("PUT", "/pile?policy", policy({}))
    blocked = (
        b"<PublicAccessBlockConfiguration><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true"
        b"</RestrictPublicBuckets><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>"
    )
    assert (await rig("PUT", "/pile?publicAccessBlock", blocked)).status == 200
    assert b"<RestrictPublicBuckets>true<" in (await rig("GET", "/pile?publicAccessBlock")).body
    assert (await rig("GET", "/pile/o", as_=NOBODY)).status == 403
    assert code(await rig("PUT", "/pile?policy", policy({}))) == "AccessDenied"
    assert (await rig("PUT", "/pile?policy", policy({"Principal": {"AWS": "p2"}}))).status == 204
    assert (await rig("GET", "/pile/o", as_=OTHER)).status == 200
    await rig.swift("POST", "/pile", x_container_read=".r:*,p2:*")
    assert (await rig.swift("GET", "/pile/o", as_=NOBODY)).status == 401
    assert (await rig.swift("GET", "/pile/o", as_=OTHER)).status == 200
    assert (await rig("DELETE", "/pile?publicAccessBlock")).status == 204
    assert (await rig.swift("GET", "/pile/o", as_=NOBODY)).status == 200


async def test_lists_are_off_until_they_are_wanted(rig: Rig) -> None:
    assert b"BucketOwnerEnforced" in (await rig("GET", "/pile?ownershipControls")).body
    assert code(await rig("PUT", "/pile?acl", x_amz_acl="public-read")) == "AccessControlListNotSupported"
    assert code(await rig("PUT", "/pile/p", b"x", x_amz_acl="public-read")) == "AccessControlListNotSupported"
    assert (await rig("GET", "/pile/p")).status == 404
    assert (await rig("PUT", "/pile/p", b"x", x_amz_acl="private")).status == 200
    assert code(await rig("PUT", "/new1", x_amz_acl="public-read")) == "InvalidBucketAclWithObjectOwnership"
    made = await rig("PUT", "/new1", x_amz_acl="public-read", x_amz_object_ownership="ObjectWriter")
    assert made.status == 200
    assert ALL_USERS.encode() in (await rig("GET", "/new1?acl")).body
    assert code(await rig("PUT", "/new2", x_amz_object_ownership="Mine")) == "InvalidArgument"


async def test_lists_of_buckets_and_objects(rig: Rig) -> None:
    preferred = b"<OwnershipControls><Rule><ObjectOwnership>BucketOwnerPreferred</ObjectOwnership></Rule></OwnershipControls>"
    assert (await rig("PUT", "/pile?ownershipControls", preferred)).status == 200
    assert (await rig("PUT", "/pile?acl", x_amz_grant_write='id="p2"')).status == 200
    assert (await rig("PUT", "/pile/theirs", b"x", as_=OTHER)).status == 200
    assert (await rig("GET", "/pile/theirs", as_=OTHER)).status == 403
    assert (await rig.swift("PUT", "/pile/theirs", b"y", as_=OTHER)).status == 201
    assert (await rig("PUT", "/pile/o?acl", x_amz_acl="public-read")).status == 200
    for as_ in (OTHER, NOBODY):
        assert (await rig("GET", "/pile/o", as_=as_)).body == b"body"
        assert (await rig("GET", "/pile/theirs", as_=as_)).status == 403
    assert (await rig.swift("GET", "/pile/o", as_=NOBODY)).body == b"body"
    shown = await rig("GET", "/pile/o?acl")
    assert shown.body.count(b"<Grant>") == 2
    assert (await rig("PUT", "/pile/o?acl", shown.body)).status == 200
    assert (await rig("GET", "/pile/o?acl", as_=OTHER)).status == 403
    assert code(await rig("PUT", "/pile/o?acl", shown.body, x_amz_acl="private")) == "UnexpectedContent"
    assert code(await rig("PUT", "/pile/none?acl", x_amz_acl="private")) == "NoSuchKey"
    for bad in (b"<AccessControlPolicy/>", b"<!DOCTYPE a []><a/>", shown.body[:-10]):
        assert code(await rig("PUT", "/pile/o?acl", bad)) == "MalformedACLError"
    # To enforce the owner again, the bucket's list must be its own.
    assert (await rig("PUT", "/pile?acl", x_amz_acl="private")).status == 200
    enforced = preferred.replace(b"BucketOwnerPreferred", b"BucketOwnerEnforced")
    assert (await rig("PUT", "/pile?ownershipControls", enforced)).status == 200
    assert (await rig("GET", "/pile/o", as_=NOBODY)).status == 403


async def test_swifts_lists_are_seen_in_s3(rig: Rig) -> None:
    await rig.swift("POST", "/pile", x_container_read="p2:*", x_container_write="p2:u2")
    assert (await rig("GET", "/pile/o", as_=OTHER)).body == b"body"
    assert (await rig("PUT", "/pile/o2", b"x", as_=OTHER)).status == 200
    shown = (await rig("GET", "/pile?acl")).body
    assert b"<ID>p2</ID>" in shown
    assert b"<ID>u2</ID>" in shown
    await rig("PUT", "/pile?acl", x_amz_acl="private")
    assert (await rig("GET", "/pile/o", as_=OTHER)).status == 403
    assert "x-container-read" not in (await rig.swift("HEAD", "/pile")).headers


async def test_a_referrer_that_is_no_address(rig: Rig) -> None:
    await rig.swift("POST", "/pile", x_container_read=".r:.example.org")
    for get in (rig, rig.swift):
        assert (await get("GET", "/pile/o", as_=OTHER, referer="http://[a.example.org")).status == 403
        assert (await get("GET", "/pile/o", as_=OTHER, referer="http://a.example.org")).status == 200


async def test_tags(rig: Rig) -> None:
    tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    assert code(await rig("GET", "/pile?tagging")) == "NoSuchTagSet"
    for path, status in (("/pile", 204), ("/pile/o", 200)):
        assert (await rig("PUT", f"{path}?tagging", tags)).status == status
        assert b"<Key>a</Key><Value>1</Value>" in (await rig("GET", f"{path}?tagging")).body
        many = tags.replace(b"</TagSet>", b"<Tag><Key>b</Key><Value/></Tag>" * 2 + b"</TagSet>")
        for bad in (many, tags[:-3], b"", tags.replace(b">a<", b">aws:a<")):
            assert (await rig("PUT", f"{path}?tagging", bad)).status == 400
        assert b"<Key>a</Key><Value>1</Value>" in (await rig("GET", f"{path}?tagging")).body
    assert (await rig("HEAD", "/pile/o")).headers["x-amz-tagging-count"] == "1"
    assert (await rig.swift("POST", "/pile/o", x_object_meta_b="2")).status == 202
    assert b"<Key>a</Key>" in (await rig("GET", "/pile/o?tagging")).body
    for path in ("/pile", "/pile/o"):
        assert (await rig("DELETE", f"{path}?tagging")).status == 204
    assert b"<TagSet></TagSet>" in (await rig("GET", "/pile/o?tagging")).body
    assert (await rig("PUT", "/pile/t", b"x", x_amz_tagging="a=1&b=%C3%A4")).status == 200
    assert "<Value>ä</Value>".encode() in (await rig("GET", "/pile/t?tagging")).body
    for bad in ("a=1&a=2", "&".join(f"k{n}=" for n in range(11)), "a=%ff"):
        assert (await rig("PUT", "/pile/u", b"x", x_amz_tagging=bad)).status == 400
    assert (await rig("GET", "/pile/u")).status == 404
    assert code(await rig("GET", "/pile/none?tagging")) == "NoSuchKey"


async def test_a_manifest_opens_nothing_else(rig: Rig) -> None:
    """Who may write and read in one place gets no further by what it writes there."""
    await rig("PUT", "/private")
    await rig("PUT", "/private/secret", b"secret")
    await rig("PUT", "/pile/secret", b"secret")
    theirs = {
        "Principal": {"AWS": "p2"},
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": "arn:aws:s3:::pile/in/*",
    }
    await rig("PUT", "/pile?policy", policy(theirs))
    for number, container in enumerate(("private", "pile")):
        manifest = json.dumps([{"path": f"/{container}/secret"}]).encode()
        for name, headers, body, query in (
            (f"dlo{number}", {"x-object-manifest": f"{container}/secret"}, b"", ""),
            (f"slo{number}", {}, manifest, "?multipart-manifest=put"),
            (f"link{number}", {"x-symlink-target": f"{container}/secret"}, b"", ""),
        ):
            await rig.swift("PUT", f"/pile/in/{name}{query}", body, as_=OTHER, **headers)
            for answer in (
                await rig("GET", f"/pile/in/{name}", as_=OTHER),
                await rig.swift("GET", f"/pile/in/{name}", as_=OTHER),
            ):
                assert answer.status in (403, 404), (name, answer.status)
                assert b"secret</" not in answer.body
                assert answer.body != b"secret"
    await rig.swift("PUT", "/pile/in/own", b"", x_object_manifest="private/secret")
    assert (await rig("GET", "/pile/in/own")).body == b"secret"
    assert (await rig.swift("GET", "/pile/in/own")).body == b"secret"
