"""What buckets are set to is found again as it was set: programs that keep clouds as they are written down compare the two."""

from __future__ import annotations

import pytest

from tests.s3_client import Rig, code, element

RULES = (
    b"<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter><Tag><Key>a</Key><Value>1</Value></Tag>"
    b"</Filter><Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>"
)
MINIMUM = "x-amz-transition-default-minimum-object-size"


async def test_ownership_that_was_taken_away(rig: Rig) -> None:
    assert b"BucketOwnerEnforced" in (await rig("GET", "/pile?ownershipControls")).body
    for wanted in ("ObjectWriter", "BucketOwnerEnforced"):
        rule = f"<Rule><ObjectOwnership>{wanted}</ObjectOwnership></Rule>"
        document = f"<OwnershipControls>{rule}</OwnershipControls>".encode()
        assert (await rig("PUT", "/pile?ownershipControls", document)).status == 200
        assert wanted.encode() in (await rig("GET", "/pile?ownershipControls")).body
        assert (await rig("DELETE", "/pile?ownershipControls")).status == 204
        gone = await rig("GET", "/pile?ownershipControls")
        assert (gone.status, code(gone)) == (404, "OwnershipControlsNotFoundError")
        assert code(await rig("PUT", "/pile?acl", x_amz_acl="public-read")) == "AccessControlListNotSupported"


@pytest.mark.parametrize("minimum", ["", "all_storage_classes_128K", "varies_by_storage_class"])
async def test_the_least_size_for_another_class(rig: Rig, minimum: str) -> None:
    headers = {MINIMUM.replace("-", "_"): minimum} if minimum else {}
    for answer in (
        await rig("PUT", "/pile?lifecycle", RULES, **headers),
        await rig("GET", "/pile?lifecycle"),
    ):
        assert answer.headers[MINIMUM] == (minimum or "all_storage_classes_128K")
    wrong = await rig("PUT", "/pile?lifecycle", RULES, x_amz_transition_default_minimum_object_size="1")
    assert code(wrong) == "InvalidArgument"


async def test_when_an_object_will_go(rig: Rig) -> None:
    """However it came, and by its tags."""
    assert (await rig("PUT", "/pile?lifecycle", RULES)).status == 200
    tagged = {"x_amz_tagging": "a=1"}
    answers = [
        await rig("PUT", "/pile/o", b"x", **tagged),
        await rig("HEAD", "/pile/o"),
        await rig("PUT", "/pile/copy", x_amz_copy_source="/pile/o"),
    ]
    upload = element(await rig("POST", "/pile/m?uploads", **tagged), "UploadId")
    etag = (await rig("PUT", f"/pile/m?uploadId={upload}&partNumber=1", b"x")).headers["etag"]
    parts = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    done = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    answers.append(await rig("POST", f"/pile/m?uploadId={upload}", done))
    for answer in answers:
        assert answer.status == 200
        assert answer.headers["x-amz-expiration"].endswith('rule-id="r"')
    assert "x-amz-expiration" not in (await rig("PUT", "/pile/other", b"x")).headers
