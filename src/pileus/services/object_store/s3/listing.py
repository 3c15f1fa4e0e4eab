"""What is in a bucket: lists of version 1 and 2."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import quote

import msgspec

from pileus.kernel.http.reply import Reply
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.metadata import s3_etag
from pileus.services.object_store.name import Name
from pileus.services.object_store.s3 import xml
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.request import Request, no_such_bucket, owner_of

MOST = 1000
Encoded = Callable[[str], str]


class Row(msgspec.Struct):
    """An object, or names that go on after the delimiter, as the container's list has them."""

    name: str = ""
    hash: str = ""
    bytes: int = 0
    last_modified: str = ""
    subdir: str | None = None

    @property
    def key(self) -> str:
        return self.name if self.subdir is None else self.subdir


decode_rows = msgspec.json.Decoder(list[Row]).decode


def encoding(request: Request) -> tuple[str | None, Encoded]:
    """The encoding that the client asks for, and what does it."""
    kind = request.arg("encoding-type")
    if kind is None:
        return None, str
    if kind != "url":
        raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request")
    return kind, lambda text: quote(text, safe="/-_.~*")


def at_most(request: Request, name: str = "max-keys") -> int:
    """400 where it is no number; more than a thousand are a thousand."""
    text = request.arg(name)
    if text is None:
        return MOST
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise S3Error("InvalidArgument", f"Argument {name} must be an integer between 0 and 2147483647")
    if int(text) > 2147483647:
        raise S3Error("InvalidArgument", f"Argument {name} must be an integer between 0 and 2147483647")
    return min(int(text), MOST)


def listed_date(text: str) -> str:
    """A list's `2023-11-14T22:13:20.123450` in whole seconds, up: as a HEAD of the object has it."""
    if text[20:].strip("0"):
        return (datetime.fromisoformat(text[:19]) + timedelta(seconds=1)).isoformat() + ".000Z"
    return text[:19] + ".000Z"


async def _page(request: Request, marker: str, limit: int) -> tuple[list[Row], bool]:
    """So many after the marker, and whether there are more."""
    if limit == 0:
        return [], False
    asked = Ask(
        limit=limit + 1,
        marker=marker,
        prefix=request.arg("prefix") or "",
        delimiter=request.arg("delimiter") or "",
    )
    body = await request.state.list_objects(Name(request.account, request.bucket), asked, "json")
    if body is None:
        raise no_such_bucket(request.bucket)
    rows = decode_rows(body)
    return rows[:limit], len(rows) > limit


def _contents(
    request: Request, rows: list[Row], encoded: Encoded, *, owner: bool
) -> list[tuple[str, xml.Value]]:
    whose = owner_of(request.account) if owner else None
    return [
        (
            "Contents",
            [
                ("Key", encoded(row.name)),
                ("LastModified", listed_date(row.last_modified)),
                ("ETag", f'"{s3_etag(row.hash)}"'),
                ("Size", row.bytes),
                ("Owner", whose),
                ("StorageClass", "STANDARD"),
            ],
        )
        for row in rows
        if row.subdir is None
    ]


def _prefixes(rows: list[Row], encoded: Encoded) -> list[tuple[str, xml.Value]]:
    return [("CommonPrefixes", [("Prefix", encoded(row.subdir))]) for row in rows if row.subdir is not None]


@operations.bucket("GET", action="s3:ListBucket", answers=xml.media("ListBucketResult"))
async def list_objects(request: Request) -> Reply:
    """A bucket's objects, by version 1: a page begins after the marker."""
    kind, encoded = encoding(request)
    limit, marker, delimiter = at_most(request), request.arg("marker") or "", request.arg("delimiter") or ""
    rows, truncated = await _page(request, marker, limit)
    return xml.reply(
        "ListBucketResult",
        [
            ("Name", request.bucket),
            ("Prefix", encoded(request.arg("prefix") or "")),
            ("Marker", encoded(marker)),
            ("NextMarker", encoded(rows[-1].key) if truncated and delimiter else None),
            ("MaxKeys", limit),
            ("Delimiter", encoded(delimiter) if delimiter else None),
            ("IsTruncated", truncated),
            ("EncodingType", kind),
            *_contents(request, rows, encoded, owner=True),
            *_prefixes(rows, encoded),
        ],
    )


@operations.bucket("GET", "list-type", action="s3:ListBucket", answers=xml.media("ListBucketResult"))
async def list_objects_v2(request: Request) -> Reply:
    """A bucket's objects, by version 2: a page goes on where a token says."""
    if request.arg("list-type") != "2":
        raise S3Error("InvalidArgument", "list-type must be 2")
    kind, encoded = encoding(request)
    limit, token, start = at_most(request), request.arg("continuation-token"), request.arg("start-after")
    delimiter = request.arg("delimiter") or ""
    rows, truncated = await _page(request, start or "" if token is None else _read_token(token), limit)
    return xml.reply(
        "ListBucketResult",
        [
            ("Name", request.bucket),
            ("Prefix", encoded(request.arg("prefix") or "")),
            ("StartAfter", None if start is None else encoded(start)),
            ("ContinuationToken", token),
            ("NextContinuationToken", _token(rows[-1].key) if truncated else None),
            ("KeyCount", len(rows)),
            ("MaxKeys", limit),
            ("Delimiter", encoded(delimiter) if delimiter else None),
            ("IsTruncated", truncated),
            ("EncodingType", kind),
            *_contents(request, rows, encoded, owner=(request.arg("fetch-owner") or "").lower() == "true"),
            *_prefixes(rows, encoded),
        ],
    )


def _token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _read_token(token: str) -> str:
    try:
        found = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        found = ""
    if not found or "\0" in found:
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect")
    return found
