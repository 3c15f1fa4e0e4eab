"""Conditions on what is there (RFC 9110, section 13; Amazon S3 API reference, "Conditional requests")."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from pileus.lib import http_date
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import conditions
from pileus.services.object_store.s3.errors import S3Error


def failed(condition: str) -> S3Error:
    return S3Error(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        details={"Condition": condition},
    )


def not_modified(headers: Mapping[str, str], etag: str, changed: Timestamp, prefix: str = "") -> bool:
    """Whether a 304 is the answer; 412 where a condition fails. `prefix` is that of the headers of a copy's source."""
    if not prefix and not conditions.are_asked(headers):
        return False
    match, none = headers.get(prefix + "if-match"), headers.get(prefix + "if-none-match")
    moment = datetime.fromtimestamp(changed.whole_seconds, UTC)
    if match is not None:
        if not _fits(match, etag):
            raise failed("If-Match")
    elif (unmodified := http_date.parse(headers.get(prefix + "if-unmodified-since"))) and moment > unmodified:
        raise failed("If-Unmodified-Since")
    if none is not None:
        return _fits(none, etag)
    since = http_date.parse(headers.get(prefix + "if-modified-since"))
    return since is not None and moment <= since


def range_holds(headers: Mapping[str, str], etag: str, changed: Timestamp) -> bool:
    """Whether a part may be given: with `If-Range` only of what the client has already (RFC 9110, section 13.1.5)."""
    header = headers.get("if-range")
    return header is None or header.strip() in (f'"{etag}"', etag, changed.http)


def may_write(headers: Mapping[str, str], etag: str | None) -> None:
    """412 where the object is another than the client takes it for, or is there and should not; 404 where it is not there
    and should. `etag` is that of what is there."""
    match, none = headers.get("if-match"), headers.get("if-none-match")
    if none is not None:
        if none.strip() != "*":
            raise S3Error(
                "NotImplemented",
                "A header you provided implies functionality that is not implemented: If-None-Match takes * only.",
            )
        if etag is not None:
            raise failed("If-None-Match")
    if match is not None:
        if etag is None:
            raise S3Error("NoSuchKey", "The specified key does not exist.")
        if not _fits(match, etag):
            raise failed("If-Match")


def _fits(header: str, etag: str) -> bool:
    return any(each.strip().removeprefix("W/").strip('"') in (etag, "*") for each in header.split(","))
