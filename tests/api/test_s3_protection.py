"""What protects objects: checksums, customers' keys, locks."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import md5
from pathlib import Path

import pytest

from pileus.kernel.clock import Clock
from pileus.services.object_store.name import Name
from pileus.services.object_store.s3.checksum import ALGORITHMS
from pileus.services.object_store.settings import Settings
from pileus.testing.clock import FakeClock
from tests.object_store_client import OTHER
from tests.s3_client import Rig, code, element, running

PART = bytes(range(256)) * 20_480
"""5 MiB, the least that a part may have."""


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
async def test_checksums(rig: Rig, name: str) -> None:
    algorithm, body = ALGORITHMS[name], b"body" * 100
    value = algorithm.of(body)
    put = await rig("PUT", "/pile/o", body, **{algorithm.header: value})
    assert (put.status, put.headers[algorithm.header], put.headers["x-amz-checksum-type"]) == (
        200,
        value,
        "FULL_OBJECT",
    )
    assert algorithm.header not in (await rig("HEAD", "/pile/o")).headers
    assert (await rig("GET", "/pile/o", x_amz_checksum_mode="ENABLED")).headers[algorithm.header] == value
    only = await rig("GET", "/pile/o?partNumber=1", x_amz_checksum_mode="ENABLED")
    assert only.headers[algorithm.header] == value
    shown = await rig("GET", "/pile/o?attributes", x_amz_object_attributes="Checksum")
    assert element(shown, algorithm.element) == value
    other = algorithm.of(b"other")
    assert code(await rig("PUT", "/pile/o", body, **{algorithm.header: other})) == "BadDigest"
    assert code(await rig("PUT", "/pile/n", body, **{algorithm.header: "x"})) == "InvalidRequest"
    assert (await rig("GET", "/pile/n")).status == 404
    assert (await rig("GET", "/pile/o")).body == body
    assert (await rig("PUT", "/pile/p", b"", x_amz_copy_source="/pile/o")).status == 200
    assert (await rig("HEAD", "/pile/p", x_amz_checksum_mode="ENABLED")).headers[algorithm.header] == value


@pytest.mark.parametrize(
    ("name", "kind"), [("CRC32", "COMPOSITE"), ("SHA256", "COMPOSITE"), ("CRC32C", "FULL_OBJECT")]
)
async def test_checksums_of_parts(rig: Rig, name: str, kind: str) -> None:
    algorithm = ALGORITHMS[name]
    begun = await rig("POST", "/pile/o?uploads", x_amz_checksum_algorithm=name, x_amz_checksum_type=kind)
    at = f"/pile/o?uploadId={element(begun, 'UploadId')}"
    wrong = {ALGORITHMS["SHA1"].header: ALGORITHMS["SHA1"].of(b"last")}
    assert code(await rig("PUT", f"{at}&partNumber=2", b"last", **wrong)) == "InvalidRequest"
    listed = ""
    for number, body in ((1, PART), (2, b"last")):
        part = await rig("PUT", f"{at}&partNumber={number}", body)
        assert part.headers[algorithm.header] == algorithm.of(body)
        listed += (
            f"<Part><PartNumber>{number}</PartNumber><ETag>{part.headers['etag']}</ETag>"
            f"<{algorithm.element}>{algorithm.of(body)}</{algorithm.element}></Part>"
        )
    document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    broken = document.replace(algorithm.of(b"last").encode(), algorithm.of(b"lost").encode())
    assert code(await rig("POST", at, broken)) == "InvalidPart"
    assert code(await rig("POST", at, document, **{algorithm.header: algorithm.of(b"x")})) == "BadDigest"
    assert code(await rig("POST", at, document, x_amz_mp_object_size="7")) == "InvalidRequest"
    done = await rig("POST", at, document)
    assert done.status == 200, done.body
    digests = base64.b64decode(algorithm.of(PART)) + base64.b64decode(algorithm.of(b"last"))
    expected = f"{algorithm.of(digests)}-2" if kind == "COMPOSITE" else algorithm.of(PART + b"last")
    assert element(done, algorithm.element) == expected
    head = (await rig("HEAD", "/pile/o", x_amz_checksum_mode="ENABLED")).headers
    assert (head[algorithm.header], head["x-amz-checksum-type"]) == (expected, kind)
    for number, body in ((1, PART), (2, b"last")):
        for method in ("GET", "HEAD"):
            asked = f"/pile/o?partNumber={number}"
            given = (await rig(method, asked, x_amz_checksum_mode="ENABLED")).headers
            assert (given[algorithm.header], given["x-amz-checksum-type"]) == (algorithm.of(body), kind)
            assert algorithm.header not in (await rig(method, asked)).headers
    copied = await rig("PUT", "/pile/p", b"", x_amz_copy_source="/pile/o")
    told = f"<{algorithm.element}>{algorithm.of(PART + b'last')}</{algorithm.element}>"
    assert told.encode() in copied.body


def key(fill: bytes = b"k", prefix: str = "x-amz-server-side-encryption-customer-") -> dict[str, str]:
    secret = fill * 32
    return {
        f"{prefix}algorithm": "AES256",
        f"{prefix}key": base64.b64encode(secret).decode(),
        f"{prefix}key-md5": base64.b64encode(md5(secret).digest()).decode(),
    }


SOURCE = "x-amz-copy-source-server-side-encryption-customer-"


async def test_customers_keys(rig: Rig) -> None:
    body = bytes(range(256)) * 2000
    told = {"content-md5": base64.b64encode(md5(body).digest()).decode()}
    put = await rig("PUT", "/pile/o", body, **key(), **told)
    assert put.headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
    assert "x-amz-server-side-encryption-customer-key" not in put.headers
    got = await rig("GET", "/pile/o", **key())
    assert (got.body, got.headers["content-length"]) == (body, str(len(body)))
    for first, last in ((0, 0), (1, 16), (15, 17), (300_001, 300_100), (511_999, 511_999)):
        part = await rig("GET", "/pile/o", **key(), range=f"bytes={first}-{last}")
        assert (part.status, part.body) == (206, body[first : last + 1])
    for method in ("GET", "HEAD"):
        assert (await rig(method, "/pile/o")).status == 400
        assert (await rig(method, "/pile/o", **key(b"x"))).status == 403
    await rig("PUT", "/pile/small", b"small", **key())
    assert (await rig("GET", "/pile/small", **key())).body == b"small"
    assert (await rig("GET", "/pile/small", **key(), range="bytes=1-2")).body == b"ma"
    # On the disk, and for Swift, there is no plain text; nor is a copy made that nobody could read.
    version = await rig.state.find(Name("AUTH_p1", "pile", "o"))
    assert version is not None
    assert version.body is None or version.body != body
    assert (await rig.swift("GET", "/pile/o")).status == 409
    assert (await rig.swift("COPY", "/pile/o", destination="pile/p")).status == 409
    assert (await rig.swift("HEAD", "/pile/o")).status == 200
    assert code(await rig("PUT", "/pile/p", b"", x_amz_copy_source="/pile/o")) == "InvalidRequest"
    copied = await rig("PUT", "/pile/p", b"", x_amz_copy_source="/pile/o", **key(b"y"), **key(prefix=SOURCE))
    assert copied.status == 200
    assert (await rig("GET", "/pile/p", **key(b"y"))).body == body
    assert (await rig("GET", "/pile/p", **key())).status == 403
    assert (await rig("PUT", "/pile/q", b"", x_amz_copy_source="/pile/o", **key(prefix=SOURCE))).status == 200
    assert (await rig("GET", "/pile/q")).body == body
    assert code(await rig("GET", "/pile/q", **key())) == "InvalidRequest"
    assert code(await rig("PUT", "/pile/r", body, **key(), content_md5=told["content-md5"][::-1])) in (
        "InvalidDigest",
        "BadDigest",
    )
    wrong = base64.b64encode(md5(b"").digest()).decode()
    assert code(await rig("PUT", "/pile/r", body, **key(), content_md5=wrong)) == "BadDigest"
    assert (await rig("HEAD", "/pile/r", **key())).status == 404


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": "DES"},
        {"key": "short"},
        {"key": base64.b64encode(b"k" * 31).decode()},
        {"key-md5": "x"},
        {"key": None},
        {"algorithm": None},
        {"key-md5": None},
    ],
)
async def test_keys_that_are_none(rig: Rig, change: dict[str, str | None]) -> None:
    prefix = "x-amz-server-side-encryption-customer-"
    headers = {**key(), **{prefix + name: value for name, value in change.items()}}
    answer = await rig(
        "PUT", "/pile/o", b"x", **{name: value for name, value in headers.items() if value is not None}
    )
    assert answer.status == 400
    assert (await rig("GET", "/pile/o")).status == 404


async def test_customers_keys_of_parts(rig: Rig) -> None:
    begun = await rig("POST", "/pile/o?uploads", **key())
    at = f"/pile/o?uploadId={element(begun, 'UploadId')}"
    assert (await rig("PUT", f"{at}&partNumber=1", b"x")).status == 400
    assert (await rig("PUT", f"{at}&partNumber=1", b"x", **key(b"x"))).status == 403
    listed = ""
    for number, body in ((1, PART), (2, b"last")):
        part = await rig("PUT", f"{at}&partNumber={number}", body, **key())
        listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
    done = await rig("POST", at, f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode())
    assert done.status == 200
    whole = PART + b"last"
    assert (await rig("GET", "/pile/o", **key())).body == whole
    start = len(PART) - 3
    some = await rig("GET", "/pile/o", **key(), range=f"bytes={start}-{start + 5}")
    assert some.body == whole[start : start + 6]
    assert (await rig("GET", "/pile/o?partNumber=2", **key())).body == b"last"
    assert (await rig("GET", "/pile/o", **key(b"x"))).status == 403


@pytest.mark.parametrize("encrypts", [False, True])
async def test_encryption_by_the_store(tmp_path: Path, encrypts: bool) -> None:
    """What can't be kept is not promised."""
    wanted = (
        b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256"
        b"</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )
    async with running(tmp_path, settings=Settings(encryption=encrypts)) as rig:
        await rig("PUT", "/pile")
        status = 200 if encrypts else 501
        assert (await rig("PUT", "/pile?encryption", wanted)).status == status
        assert (await rig("PUT", "/pile/o", b"x", x_amz_server_side_encryption="AES256")).status == status
        assert (await rig("GET", "/pile?encryption")).status == (200 if encrypts else 404)
        assert (await rig("PUT", "/pile/p", b"x")).status == 200
        assert ("x-amz-server-side-encryption" in (await rig("HEAD", "/pile/p")).headers) is encrypts
        assert (await rig("PUT", "/pile?encryption", wanted.replace(b"AES256", b"aws:kms"))).status == 501
        assert (await rig("PUT", "/pile/o", b"x", x_amz_server_side_encryption="rot13")).status == 400
        assert (await rig("PUT", "/pile?encryption", wanted[:-4])).status == 400


LOCKED = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
DEFAULT = LOCKED.replace(
    b"</ObjectLockConf",
    b"<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule></ObjectLockConf",
)


def retention(mode: str, until: str) -> bytes:
    return f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>".encode()


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def vault(tmp_path: Path, clock: Clock) -> AsyncIterator[Rig]:
    async with running(tmp_path, clock=clock) as rig:
        assert (await rig("PUT", "/vault", x_amz_bucket_object_lock_enabled="true")).status == 200
        yield rig


async def put(rig: Rig, **headers: str) -> str:
    answer = await rig("PUT", "/vault/o", b"body", **headers)
    assert answer.status == 200, answer.body
    return answer.headers["x-amz-version-id"]


@pytest.mark.slow
async def test_locks(vault: Rig, clock: FakeClock) -> None:
    rig, now = vault, clock.now()
    until = (now + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    later = (now + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    at = f"/vault/o?versionId={await put(rig)}"
    assert code(await rig("GET", at.replace("?", "?retention&"))) == "NoSuchObjectLockConfiguration"
    assert (await rig("PUT", at.replace("?", "?retention&"), retention("GOVERNANCE", until))).status == 200
    assert (await rig("HEAD", at)).headers["x-amz-object-lock-mode"] == "GOVERNANCE"
    assert code(await rig("DELETE", at)) == "AccessDenied"
    shorter = retention("GOVERNANCE", (now + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert code(await rig("PUT", at.replace("?", "?retention&"), shorter)) == "AccessDenied"
    bypass = {"x-amz-bypass-governance-retention": "true"}
    assert (
        await rig("PUT", at.replace("?", "?retention&"), retention("COMPLIANCE", later), **bypass)
    ).status == 200
    assert code(await rig("DELETE", at, **bypass)) == "AccessDenied"
    assert (
        code(await rig("PUT", at.replace("?", "?retention&"), retention("COMPLIANCE", until), **bypass))
        == "AccessDenied"
    )
    # A deletion without a version only hides it; Swift's API has no way around either.
    assert (await rig("DELETE", "/vault/o")).headers["x-amz-delete-marker"] == "true"
    assert (await rig("GET", at)).body == b"body"
    await put(rig)
    for swift in (
        ("PUT", "/vault/o"),
        ("POST", "/vault/o"),
        ("DELETE", "/vault/o"),
        ("DELETE", at),
        ("DELETE", at.replace("versionId", "version-id")),
        ("DELETE", "/vault"),
    ):
        await rig.swift(*swift)
    await rig.swift("POST", "/vault", x_versions_enabled="false")
    assert b"<Status>Enabled<" in (await rig("GET", "/vault?versioning")).body
    assert (await rig.swift("PUT", "/vault/soon", b"x", x_delete_after="60")).status == 400
    assert (await rig("GET", at)).body == b"body"
    assert (await rig("HEAD", at)).headers["x-amz-object-lock-mode"] == "COMPLIANCE"
    await clock.advance(9 * 24 * 3600 + 1)
    assert (
        await rig("PUT", at.replace("?", "?legal-hold&"), b"<LegalHold><Status>ON</Status></LegalHold>")
    ).status == 200
    assert code(await rig("DELETE", at, **bypass)) == "AccessDenied"
    assert b"<Status>ON<" in (await rig("GET", at.replace("?", "?legal-hold&"))).body
    assert (
        await rig("PUT", at.replace("?", "?legal-hold&"), b"<LegalHold><Status>OFF</Status></LegalHold>")
    ).status == 200
    assert (await rig("DELETE", at)).status == 204
    assert (await rig("GET", at)).status == 404


async def test_locks_of_a_bucket(vault: Rig, clock: FakeClock) -> None:
    rig = vault
    assert b"<ObjectLockEnabled>Enabled<" in (await rig("GET", "/vault?object-lock")).body
    assert (await rig("PUT", "/vault?object-lock", DEFAULT)).status == 200
    at = f"/vault/o?versionId={await put(rig)}"
    assert code(await rig("DELETE", at)) == "AccessDenied"
    bypass = {"x-amz-bypass-governance-retention": "true"}
    assert (await rig("DELETE", at, as_=OTHER, **bypass)).status == 403
    assert (await rig("DELETE", at, **bypass)).status == 204
    at = f"/vault/o?versionId={await put(rig)}"
    await clock.advance(3 * 24 * 3600 + 1)
    assert (await rig("DELETE", at)).status == 204
    suspended = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
    assert code(await rig("PUT", "/vault?versioning", suspended)) == "InvalidBucketState"
    for bad in (b"", DEFAULT[:-4], DEFAULT.replace(b">3<", b">0<"), DEFAULT.replace(b"GOVERNANCE", b"MAYBE")):
        assert (await rig("PUT", "/vault?object-lock", bad)).status == 400
    await rig("PUT", "/pile")
    assert code(await rig("GET", "/pile?object-lock")) == "ObjectLockConfigurationNotFoundError"
    assert code(await rig("PUT", "/pile?object-lock", LOCKED)) == "InvalidBucketState"
    assert code(await rig("PUT", "/pile/o", b"x", x_amz_object_lock_legal_hold="ON")) == "InvalidRequest"


async def test_locks_that_uploads_bring_along(vault: Rig, clock: FakeClock) -> None:
    until = (clock.now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lock = {"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": until}
    assert code(await vault("PUT", "/vault/o", b"x", **lock)) == "InvalidRequest"  # no checksum
    assert (await vault("GET", "/vault/o")).status == 404
    summed = {**lock, "content-md5": base64.b64encode(md5(b"x").digest()).decode()}
    assert (await vault("PUT", "/vault/summed", b"x", **summed)).status == 200
    lock["x-amz-sdk-checksum-algorithm"] = "CRC32"
    at = f"/vault/o?versionId={await put(vault, **lock)}"
    assert code(await vault("DELETE", at, x_amz_bypass_governance_retention="true")) == "AccessDenied"
    for bad in ({**lock, "x-amz-object-lock-mode": "X"}, {"x-amz-object-lock-mode": "COMPLIANCE"}):
        assert (await vault("PUT", "/vault/bad", b"x", **bad)).status == 400
    assert (await vault("GET", "/vault/bad")).status == 404
    copied = await vault("PUT", "/vault/copy", b"", x_amz_copy_source="/vault/o")
    assert (
        await vault("DELETE", f"/vault/copy?versionId={copied.headers['x-amz-version-id']}")
    ).status == 204
    begun = await vault("POST", "/vault/parts?uploads", x_amz_object_lock_legal_hold="ON")
    upload = f"/vault/parts?uploadId={element(begun, 'UploadId')}"
    part = await vault("PUT", f"{upload}&partNumber=1", b"last")
    listed = f"<Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
    done = await vault(
        "POST", upload, f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    )
    version = done.headers["x-amz-version-id"]
    assert code(await vault("DELETE", f"/vault/parts?versionId={version}")) == "AccessDenied"
    # The bytes of a locked object that came in parts are in a container of Swift's.
    names = (await vault.swift("GET", "/vault+segments")).body.decode().split()
    assert len(names) == 1
    for method in ("DELETE", "PUT", "POST"):
        assert (await vault.swift(method, f"/vault+segments/{names[0]}")).status == 403
    assert (await vault("GET", "/vault/parts")).body == b"last"
