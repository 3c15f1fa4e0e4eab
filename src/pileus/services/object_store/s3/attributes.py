"""What S3 calls the attributes of an object, and how they are kept."""

from __future__ import annotations

from collections.abc import Mapping

from pileus.services.object_store.content import Content
from pileus.services.object_store.metadata import LISTED_ETAG, ObjectMetadata, s3_etag
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.request import Request

META, SWIFT_META = "x-amz-meta-", "x-object-meta-"
MAX_META_BYTES = 2048
KEPT = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")
STORAGE_CLASS = "s3-storage-class"
STANDARD = "STANDARD"
STORAGE_CLASSES = frozenset(
    [
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "OUTPOSTS",
        "GLACIER_IR",
        "SNOW",
        "EXPRESS_ONEZONE",
    ]
)
DEFAULT_TYPE = "binary/octet-stream"
_OVERRIDES = {
    "response-content-type": "content-type",
    "response-content-language": "content-language",
    "response-expires": "expires",
    "response-cache-control": "cache-control",
    "response-content-disposition": "content-disposition",
    "response-content-encoding": "content-encoding",
}


def of_request(headers: Mapping[str, str]) -> ObjectMetadata:
    """What a request says of an object that it makes. 400 where that is too much."""
    kept: dict[str, str] = {}
    total = 0
    for name, value in headers.items():
        if name.startswith(META):
            total += len(name) - len(META) + len(value)
            kept[SWIFT_META + name[len(META) :]] = value
        elif name in KEPT:
            if name == "content-encoding":
                value = ",".join(
                    each for each in value.split(",") if each.strip().lower() != "aws-chunked"
                ).strip()
            if value.strip():
                kept[name] = value
    if total > MAX_META_BYTES:
        raise S3Error(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            details={"Size": str(total), "MaxSizeAllowed": str(MAX_META_BYTES)},
        )
    return ObjectMetadata(
        content_type=headers.get("content-type") or DEFAULT_TYPE,
        etag="",
        headers=kept,
        system=of_class(headers),
    )


def of_class(headers: Mapping[str, str]) -> dict[str, str]:
    """The storage class, where it is not the usual one. All are stored alike."""
    wanted = headers.get("x-amz-storage-class", STANDARD)
    if wanted not in STORAGE_CLASSES:
        raise S3Error(
            "InvalidStorageClass",
            "The storage class you specified is not valid",
            details={"StorageClassRequested": wanted[:60]},
        )
    return {} if wanted == STANDARD else {STORAGE_CLASS: wanted}


def etag(found: Content) -> str:
    """As S3 has it: that of an object of several parts is no MD5, and says so."""
    listed = found.kept.system.get(LISTED_ETAG)
    if listed is not None:
        return s3_etag(listed)
    return f"{found.etag}-1" if found.is_large else found.etag


def described(found: Content) -> dict[str, str]:
    """The headers of an answer that has, or would have, the object."""
    kept = found.kept
    headers = {
        "content-type": found.content_type or kept.content_type,
        "etag": f'"{etag(found)}"',
        "last-modified": found.changed.http,
        "accept-ranges": "bytes",
    }
    for name, value in kept.headers.items():
        if name.startswith(SWIFT_META):
            headers[META + name[len(SWIFT_META) :]] = value
        elif name in KEPT:
            headers[name] = value
    if STORAGE_CLASS in kept.system:
        headers["x-amz-storage-class"] = kept.system[STORAGE_CLASS]
    return headers


def override(request: Request, headers: dict[str, str]) -> None:
    """As `response-*` in the query says; 400 for nobody in particular, who may not, and where a header can't say
    it."""
    for name, header in _OVERRIDES.items():
        if (value := request.arg(name)) is not None:
            if request.context is None:
                raise S3Error(
                    "InvalidRequest",
                    "Request specific response headers cannot be used for anonymous GET requests.",
                )
            if not all(each == "\t" or (" " <= each <= "\xff" and each != "\x7f") for each in value):
                raise S3Error("InvalidArgument", "Header value cannot be represented using ISO-8859-1.")
            headers[header] = value
