"""Lifecycle, object lock and policies of forms: dates, and who may pass them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.services.object_store.s3 import lifecycle, object_lock, post_policy
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.lifecycle import Subject
from pileus.services.object_store.s3.object_lock import Lock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def rules(*each: str) -> lifecycle.Configuration:
    inside = "".join(f"<Rule><ID>r{n}</ID><Status>Enabled</Status>{one}</Rule>" for n, one in enumerate(each))
    return lifecycle.read(f"<LifecycleConfiguration>{inside}</LifecycleConfiguration>".encode())


def day(number: int) -> datetime:
    return datetime(2026, 3, number, tzinfo=UTC)


ONE_DAY = "<Expiration><Days>1</Days></Expiration>"
ALL = "<Filter/>"


def test_days_end_at_midnight() -> None:
    found = rules(f"{ALL}<Expiration><Days>3</Days></Expiration>", f"<Prefix>logs/</Prefix>{ONE_DAY}")
    assert lifecycle.expiry(found, Subject("o", 1, NOON, {})) == (day(5), "r0")
    assert lifecycle.expiry(found, Subject("logs/o", 1, NOON, {})) == (day(3), "r1")
    assert lifecycle.expiry(found, Subject("logs/o", 1, day(1), {})) == (day(2), "r1")
    shown = lifecycle.expiry(found, Subject("o", 1, NOON, {}))
    assert shown is not None
    assert shown.header == 'expiry-date="Thu, 05 Mar 2026 00:00:00 GMT", rule-id="r0"'


@pytest.mark.parametrize(
    ("where", "key", "size", "tags", "meant"),
    [
        ("<Filter><Prefix>a/</Prefix></Filter>", "a/b", 1, {}, True),
        ("<Filter><Prefix>a/</Prefix></Filter>", "b", 1, {}, False),
        ("<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", "b", 1, {"k": "v", "x": ""}, True),
        ("<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", "b", 1, {"k": "w"}, False),
        ("<Filter><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan></Filter>", "b", 10, {}, False),
        ("<Filter><ObjectSizeLessThan>10</ObjectSizeLessThan></Filter>", "b", 9, {}, True),
        (
            "<Filter><And><Prefix>b</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>"
            "<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter>",
            "b",
            6,
            {"k": "v"},
            True,
        ),
    ],
)
def test_filters(where: str, key: str, size: int, tags: dict[str, str], meant: bool) -> None:
    found = lifecycle.expiry(rules(where + ONE_DAY), Subject(key, size, NOON, tags))
    assert (found is not None) is meant


def test_old_versions_markers_and_uploads() -> None:
    found = rules(
        f"{ALL}<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays>"
        "<NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
        f"{ALL}<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        f"{ALL}<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
        "</AbortIncompleteMultipartUpload>",
    )
    old = Subject("o", 1, NOON, {})
    assert lifecycle.old_version_goes(found, old, NOON, 1, day(4))
    assert not lifecycle.old_version_goes(found, old, NOON, 0, day(4))
    assert not lifecycle.old_version_goes(found, old, NOON, 1, day(4) - timedelta(seconds=1))
    assert lifecycle.lone_marker_goes(found, old, NOON)
    assert lifecycle.expiry(found, old) is None
    assert lifecycle.upload_aborts(found, "o", NOON) == (day(3), "r2")
    off = rules(f"{ALL}{ONE_DAY}")
    off.rule[0].status = "Disabled"
    assert lifecycle.expiry(off, old) is None
    assert lifecycle.expiry(rules(f"{ALL}<Expiration><Days>{2**31 - 1}</Days></Expiration>"), old) is not None


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        (ONE_DAY, "MalformedXML"),
        (f"<Prefix/>{ALL}{ONE_DAY}", "MalformedXML"),
        (ALL, "InvalidArgument"),
        (f"{ALL}<Expiration/>", "MalformedXML"),
        (f"{ALL}<Expiration><Days>0</Days></Expiration>", "InvalidArgument"),
        (f"{ALL}<Expiration><Days>{'9' * 30}</Days></Expiration>", "InvalidArgument"),
        (f"{ALL}<Expiration><Days>1</Days><Date>2026-01-01T00:00:00Z</Date></Expiration>", "MalformedXML"),
        (f"{ALL}<Expiration><Date>2026-01-01T01:00:00Z</Date></Expiration>", "InvalidArgument"),
        (f"{ALL}<Expiration><Date>2026-01-01T00:00:00</Date></Expiration>", "InvalidArgument"),
        (
            f"{ALL}<NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays></NoncurrentVersionExpiration>",
            "InvalidArgument",
        ),
        (
            f"<Filter><Prefix>a</Prefix><ObjectSizeLessThan>1</ObjectSizeLessThan></Filter>{ONE_DAY}",
            "MalformedXML",
        ),
        (
            "<Filter><Tag><Key>k</Key><Value/></Tag></Filter><AbortIncompleteMultipartUpload>"
            "<DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
            "InvalidRequest",
        ),
        (
            f"{ALL}<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>",
            "NotImplemented",
        ),
    ],
)
def test_what_is_no_rule(rule: str, kind: str) -> None:
    with pytest.raises(S3Error) as error:
        rules(rule)
    assert error.value.kind == kind


def test_too_many_rules_and_doubled_ids() -> None:
    for many in ([], [ALL + ONE_DAY] * 1001):
        with pytest.raises(S3Error):
            rules(*many)
    twice = f"<Rule><ID>a</ID><Status>Enabled</Status>{ALL}{ONE_DAY}</Rule>" * 2
    with pytest.raises(S3Error):
        lifecycle.read(f"<LifecycleConfiguration>{twice}</LifecycleConfiguration>".encode())


locks = st.tuples(
    st.sampled_from(["GOVERNANCE", "COMPLIANCE"]), st.integers(2, 28).map(day), st.booleans()
).map(lambda given: Lock(*given)) | st.booleans().map(lambda held: Lock(held=held))


@given(locks)
def test_locks_are_kept(lock: Lock) -> None:
    assert object_lock.load(lock.stored()) == lock


@given(locks, locks, st.booleans())
def test_a_retention_only_grows(old: Lock, new: Lock, bypass: bool) -> None:
    try:
        found = object_lock.changed(old, new, NOON, bypass=bypass)
    except S3Error:
        assert old.retained(NOON)
        return
    assert found.held is old.held
    if old.mode == "COMPLIANCE":
        assert found.mode == "COMPLIANCE"
        assert found.until is not None
        assert old.until is not None
        assert found.until >= old.until
    elif old.retained(NOON) and not bypass:
        assert found.until is not None
        assert old.until is not None
        assert found.until >= old.until


def test_what_a_lock_forbids() -> None:
    governed, bound = Lock("GOVERNANCE", day(9)), Lock("COMPLIANCE", day(9))
    assert governed.forbids_removal(NOON, bypass=False)
    assert not governed.forbids_removal(NOON, bypass=True)
    assert bound.forbids_removal(NOON, bypass=True)
    assert not bound.forbids_removal(day(9), bypass=False)
    assert Lock(held=True).forbids_removal(day(9), bypass=True)


def test_locks_of_requests() -> None:
    headers = {
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-retain-until-date": "2026-03-09T00:00:00Z",
        "x-amz-object-lock-legal-hold": "ON",
    }
    assert object_lock.of_headers(headers, NOON) == Lock("GOVERNANCE", day(9), held=True)
    for name, value in (
        ("mode", "OTHER"),
        ("retain-until-date", "2026-02-01T00:00:00Z"),
        ("retain-until-date", "2026-03-09T00:00:00"),
        ("retain-until-date", "soon"),
        ("legal-hold", "PERHAPS"),
    ):
        with pytest.raises(S3Error):
            object_lock.of_headers({**headers, f"x-amz-object-lock-{name}": value}, NOON)
    with pytest.raises(S3Error):
        object_lock.of_headers({"x-amz-object-lock-mode": "GOVERNANCE"}, NOON)
    enabled = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
    default = "<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>3</Days></DefaultRetention></Rule>"
    found = object_lock.read(
        f"<ObjectLockConfiguration>{enabled}{default}</ObjectLockConfiguration>".encode()
    )
    assert object_lock.with_default(Lock(), found, NOON) == Lock("COMPLIANCE", NOON + timedelta(days=3))
    for wrong in ("<Days>0</Days>", "<Days>1</Days><Years>1</Years>", "<Years>1000</Years>", ""):
        body = f"<ObjectLockConfiguration>{enabled}{default.replace('<Days>3</Days>', wrong)}</ObjectLockConfiguration>"
        with pytest.raises(S3Error):
            object_lock.read(body.encode())


def form(*conditions: Any, expiration: str = "2026-03-02T00:00:00.000Z") -> post_policy.PostPolicy:
    body = json.dumps({"expiration": expiration, "conditions": [{"bucket": "b"}, *conditions]})
    return post_policy.read(base64.b64encode(body.encode()).decode())


def test_what_forms_may_upload() -> None:
    found = form({"acl": "private"}, ["starts-with", "$key", "user/"], ["content-length-range", 2, 4])
    fields = {"bucket": "b", "key": "user/x", "acl": "private", "policy": "…", "x-ignore-me": ""}
    found.check(fields, NOON)
    found.check_length(1, whole=False)
    found.check_length(2, whole=True)
    for changed in ({"key": "other"}, {"acl": ""}, {"bucket": "c"}, {"x-amz-meta-a": "1"}):
        with pytest.raises(S3Error) as error:
            found.check({**fields, **changed}, NOON)
        assert error.value.status == 403
    with pytest.raises(S3Error):
        found.check(fields, day(2))
    for size, kind in ((5, "EntityTooLarge"), (1, "EntityTooSmall")):
        with pytest.raises(S3Error) as error:
            found.check_length(size, whole=True)
        assert error.value.kind == kind
    types = form(["starts-with", "$Content-Type", "image/"])
    types.check({"bucket": "b", "content-type": "image/png,image/gif"}, NOON)
    with pytest.raises(S3Error):
        types.check({"bucket": "b", "content-type": "image/png,text/html"}, NOON)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"conditions": {}}',
        b'{"conditions": []}',
        b'{"conditions": [], "expiration": 7}',
        b'{"conditions": [], "expiration": "soon"}',
        b'{"conditions": [{}], "expiration": "2026-03-02T00:00:00Z"}',
        b'{"conditions": [{"a": 1}], "expiration": "2026-03-02T00:00:00Z"}',
        b'{"conditions": [["eq", "key", "a"]], "expiration": "2026-03-02T00:00:00Z"}',
        b'{"conditions": [["ne", "$key", "a"]], "expiration": "2026-03-02T00:00:00Z"}',
        b'{"conditions": [["content-length-range", -1, 5]], "expiration": "2026-03-02T00:00:00Z"}',
        b'{"conditions": [["content-length-range", true, 5]], "expiration": "2026-03-02T00:00:00Z"}',
        b'{"conditions": [], "expiration": "2026-03-02T00:00:00Z", "more": 1}',
    ],
)
def test_what_is_no_policy_of_a_form(body: bytes) -> None:
    with pytest.raises(S3Error) as error:
        post_policy.read(base64.b64encode(body).decode())
    assert error.value.kind == "InvalidPolicyDocument"
