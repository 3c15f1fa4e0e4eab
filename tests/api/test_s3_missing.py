"""What is not there, for those who may read a bucket's objects and not list them."""

from __future__ import annotations

import pytest

from tests.api.test_s3_access import policy
from tests.api.test_s3_sites import SITE
from tests.object_store_client import NOBODY, OTHER
from tests.s3_client import Rig, code

LISTS = {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::pile"}
READS = {"Action": ["s3:GetObject*", "s3:PutObject"]}
VERSIONED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


@pytest.mark.parametrize("as_", [OTHER, NOBODY])
async def test_only_who_may_list_learns_that_a_key_is_not_there(rig: Rig, as_: object) -> None:
    asks = [
        ("/pile/none", {}),
        ("/pile/none?attributes", {"x_amz_object_attributes": "ETag"}),
        ("/pile/none?tagging", {}),
        ("/pile/none?prefix=a/", {}),
    ]
    only_a = {**LISTS, "Condition": {"StringEquals": {"s3:prefix": "a/"}}}
    for statements in ((READS,), (READS, only_a)):
        assert (await rig("PUT", "/pile?policy", policy(*statements))).status == 204
        for path, headers in asks:
            answer = await rig("GET", path, as_=as_, **headers)
            assert (answer.status, code(answer), b"none<" in answer.body.split(b"<Resource>")[0]) == (
                403,
                "AccessDenied",
                False,
            ), path
        head = await rig("HEAD", "/pile/none", as_=as_)
        assert (head.status, head.body) == (403, b"")
        copied = await rig("PUT", "/pile/copy", as_=as_, x_amz_copy_source="/pile/none")
        assert code(copied) == "AccessDenied"
        for path, headers in asks:
            assert code(await rig("GET", path, **headers)) == "NoSuchKey"  # the owner
    assert (await rig("PUT", "/pile?policy", policy(READS, LISTS))).status == 204
    for path, headers in asks:
        assert code(await rig("GET", path, as_=as_, **headers)) == "NoSuchKey"
    assert (await rig("HEAD", "/pile/none", as_=as_)).status == 404


async def test_only_who_may_list_learns_of_versions_that_are_not_there(rig: Rig) -> None:
    assert (await rig("PUT", "/pile?versioning", VERSIONED)).status == 200
    version = (await rig("PUT", "/pile/o", b"body")).headers["x-amz-version-id"]
    assert (await rig("DELETE", f"/pile/o?versionId={version}")).status == 204
    assert (await rig("DELETE", "/pile/o")).status == 204
    for statements, missing, deleted in (
        ((READS,), "AccessDenied", "AccessDenied"),
        ((READS, LISTS), "NoSuchVersion", "NoSuchKey"),
    ):
        assert (await rig("PUT", "/pile?policy", policy(*statements))).status == 204
        assert code(await rig("GET", f"/pile/o?versionId={version}", as_=OTHER)) == missing
        marked = await rig("GET", "/pile/o", as_=OTHER)
        assert code(marked) == deleted
        assert ("x-amz-delete-marker" in marked.headers) is (deleted == "NoSuchKey")


async def test_a_site_tells_who_may_read_its_pages(rig: Rig) -> None:
    assert (await rig("PUT", "/pile?website", SITE)).status == 200
    assert (await rig("PUT", "/pile/a/index.html", b"a")).status == 200
    assert (await rig("PUT", "/pile?policy", policy(READS))).status == 204
    folder = await rig("GET", "/pile/a", as_=NOBODY, prefix="/s3-website")
    assert (folder.status, folder.headers["location"]) == (302, "/s3-website/pile/a/")
    missing = await rig("GET", "/pile/none", as_=NOBODY, prefix="/s3-website")
    assert (missing.status, b"<li>Code: NoSuchKey</li>" in missing.body) == (404, True)
