"""Documents that are none, sent to every operation that takes one: refused, and nothing is changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.services.object_store.s3 import operations
from tests.s3_client import Rig, running

BOMB = (
    '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">'
    "]><{root}><Status>&c;</Status></{root}>"
)
ROOTS = {
    "acl": "AccessControlPolicy",
    "cors": "CORSConfiguration",
    "encryption": "ServerSideEncryptionConfiguration",
    "legal-hold": "LegalHold",
    "lifecycle": "LifecycleConfiguration",
    "logging": "BucketLoggingStatus",
    "object-lock": "ObjectLockConfiguration",
    "ownershipControls": "OwnershipControls",
    "policy": "{}",
    "publicAccessBlock": "PublicAccessBlockConfiguration",
    "retention": "Retention",
    "tagging": "Tagging",
    "versioning": "VersioningConfiguration",
    "website": "WebsiteConfiguration",
}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        assert (await rig("PUT", "/pile", x_amz_bucket_object_lock_enabled="true")).status == 200
        assert (await rig("PUT", "/pile/o", b"body")).status == 200
        yield rig


def places() -> list[tuple[str, str]]:
    """Path and name of all that can be set by a document."""
    found = {
        ("/pile/o" if each.level == "object" else "/pile", each.query[0])
        for each in operations
        if each.method == "PUT" and len(each.query) == 1 and each.header is None
    }
    assert {name for _, name in found} >= ROOTS.keys()
    return sorted(place for place in found if place[1] in ROOTS)


def rubbish(root: str) -> list[bytes]:
    return [
        b"",
        b"\0\xff\xfe",
        b"<",
        f"<{root}".encode(),
        f"<{root}><Rule><Rule><Rule></{root}>".encode(),
        f"<Other{root}/>".encode(),
        f"<{root}><Unheard>1</Unheard></{root}>".encode(),
        f"<{root}>{'<a>' * 5000}{'</a>' * 5000}</{root}>".encode(),
        BOMB.replace("{root}", root).encode(),
        BOMB.replace("{root}", root).encode("utf-16"),
        f'<?xml version="1.0" encoding="UTF-7"?><{root}/>'.encode(),
        f'<!DOCTYPE {root} SYSTEM "file:///etc/passwd"><{root}/>'.encode(),
    ]


@pytest.mark.parametrize("place", places(), ids="-".join)
async def test_documents_that_are_none(rig: Rig, place: tuple[str, str]) -> None:
    path, name = place
    if name == "acl":
        await rig("DELETE", "/pile?publicAccessBlock")
    before = await rig("GET", f"{path}?{name}")
    for body in rubbish(ROOTS[name]):
        if name == "logging" and body.startswith(b"<?xml"):
            continue  # an empty one ends it
        answer = await rig("PUT", f"{path}?{name}", body)
        assert 400 <= answer.status < 500, (body[:80], answer.body)
        assert b"root:" not in answer.body
    after = await rig("GET", f"{path}?{name}")
    assert (after.status, _without_ids(after.body)) == (before.status, _without_ids(before.body))
    assert (await rig("GET", "/pile/o")).body == b"body"


def _without_ids(body: bytes) -> bytes:
    return body.partition(b"<RequestId>")[0]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(places()), st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
async def test_rubbish(rig: Rig, place: tuple[str, str], body: bytes) -> None:
    path, name = place
    assert (await rig("PUT", f"{path}?{name}", body)).status in (400, 411, 501)


header = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "x-amz-acl",
                "x-amz-grant-read",
                "x-amz-tagging",
                "x-amz-checksum-crc32",
                "x-amz-checksum-sha256",
                "x-amz-sdk-checksum-algorithm",
                "x-amz-trailer",
                "x-amz-object-lock-mode",
                "x-amz-object-lock-retain-until-date",
                "x-amz-object-lock-legal-hold",
                "x-amz-server-side-encryption",
                "x-amz-server-side-encryption-customer-algorithm",
                "x-amz-server-side-encryption-customer-key",
                "x-amz-server-side-encryption-customer-key-md5",
                "x-amz-website-redirect-location",
                "x-amz-bypass-governance-retention",
                "origin",
                "access-control-request-method",
            ]
        ),
        header,
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["PUT", "GET", "HEAD", "OPTIONS", "DELETE"]),
)
async def test_headers(rig: Rig, headers: dict[str, str], method: str) -> None:
    answer = await rig(method, "/pile/other", b"x" if method == "PUT" else b"", **headers)
    assert answer.status < 500 or answer.status == 501, answer.body
