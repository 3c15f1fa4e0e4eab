"""Where a request for S3 comes in, and which bucket and object its address names.

With a signature of S3's any path at the cloud's root is S3's; `/s3` is always, for those without one; and all of a
configured domain is, with the bucket in the host's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from pileus.kernel.api.service import Runtime
from pileus.services.object_store.s3.errors import S3Error

PREFIX = "/s3"
_BUCKET = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
_ADDRESS = re.compile(r"^\d+\.\d+\.\d+\.\d+$")
_ADDRESSABLE = re.compile(r"^[A-Za-z0-9._-]{1,255}$")
_ELSEWHERE = re.compile(b"^AWS4-.*/(s3|s3express|s3-object-lambda)/aws4_request", re.DOTALL)
"""Signatures of kinds, and of services beside it, that are not here: S3 says so itself."""
_FORMS = re.compile(r"^/[a-z0-9][a-z0-9.-]{2,62}/?$")
MAX_KEY = 1024


class Place(NamedTuple):
    bucket: str
    key: str
    virtual: bool = False
    """Whether the host names the bucket."""


def claims(runtime: Runtime, scope: Mapping[str, Any]) -> str | None:
    """The path below `/s3` of a request that is S3's though its own path is elsewhere; see `Service.claims`."""
    domain = runtime.state.settings.s3_domain
    for name, value in scope["headers"]:
        if name == b"authorization":
            if _is_signed(value):
                return _below(scope["path"])
        elif name == b"access-control-request-headers":
            # A browser asks whether a page may send what S3 signs; that request itself is not signed.
            if scope["method"] == "OPTIONS" and b"x-amz-" in value.lower():
                return _below(scope["path"])
        elif name == b"content-type" and value[:19].lower() == b"multipart/form-data":
            # A browser's form, whose signature is in its body, at the address that clients make of a bucket.
            if scope["method"] == "POST" and _FORMS.match(scope["path"]):
                return _below(scope["path"])
        elif domain and name == b"host" and _labels(value.decode("latin-1"), domain) is not None:
            return _below(scope["path"])
    query = scope["query_string"]
    if query and (b"X-Amz-Signature=" in query or (b"AWSAccessKeyId=" in query and b"Signature=" in query)):
        return _below(scope["path"])
    return None


def _is_signed(authorization: bytes) -> bool:
    if authorization.startswith(b"AWS4-HMAC-SHA256") and b"/s3/aws4_request" in authorization:
        return True
    return authorization.startswith(b"AWS ") or _ELSEWHERE.match(authorization) is not None


def _below(path: str) -> str:
    return path if _is_below(path) else PREFIX + path


def _is_below(path: str) -> bool:
    return path.startswith("/s3/") or path == PREFIX


def _labels(host: str, domain: str) -> str | None:
    """What stands before the domain in a host's name; None where it is another domain."""
    name = host.lower().rpartition(":")[0] if re.search(r":\d+$", host) else host.lower()
    if name == domain:
        return ""
    return name.removesuffix("." + domain) if name.endswith("." + domain) else None


def locate(scope: Mapping[str, Any], host: str, domain: str) -> Place:
    """The bucket and the key, empty where none is named. 400 where the path is no text."""
    path: str = scope["path"]
    if "\0" in path or ("\ufffd" in path and not _is_utf8(scope)):
        raise S3Error("InvalidURI", "Couldn't parse the specified URI.")
    if domain and (bucket := _labels(host, domain)):
        return Place(bucket, path[1:], virtual=True)
    if _is_below(path):
        path = path[len(PREFIX) :]
    bucket, _, key = path[1:].partition("/")
    if not bucket and key:
        raise S3Error("InvalidURI", "The path names a key, but no bucket.")
    return Place(bucket, key)


def _is_utf8(scope: Mapping[str, Any]) -> bool:
    try:
        unquote_to_bytes(scope.get("raw_path") or scope["path"].encode()).decode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        return False
    return True


def check_key(key: str) -> None:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise S3Error("InvalidURI", "Couldn't parse the specified URI.") from None
    if size > MAX_KEY:
        raise S3Error("KeyTooLongError", "Your key is too long", details={"MaxSizeAllowed": str(MAX_KEY)})


def is_addressable(bucket: str) -> bool:
    """Whether a container can be reached as a bucket at all: Swift's names may be nearly anything."""
    return _ADDRESSABLE.match(bucket) is not None


def check_new_bucket(bucket: str) -> None:
    """The rules for new names (Amazon S3 user guide, "Bucket naming rules")."""
    if not _BUCKET.match(bucket) or ".." in bucket or _ADDRESS.match(bucket):
        raise S3Error(
            "InvalidBucketName",
            "The specified bucket is not valid: 3 to 63 of a-z, 0-9, '-' and '.', no address.",
            details={"BucketName": bucket},
        )
