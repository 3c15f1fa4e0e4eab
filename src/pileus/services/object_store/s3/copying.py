"""Objects, copied inside the store."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from pileus.kernel.http.reply import Reply
from pileus.services.object_store.content import Content
from pileus.services.object_store.metadata import IS_NULL, LINK, LISTED_ETAG, RESTORED, UPLOAD
from pileus.services.object_store.receive import GIB
from pileus.services.object_store.s3 import (
    attributes,
    authorize,
    conditions,
    hooks,
    objects,
    place,
    storing,
    xml,
)
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.objects import Opened
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.request import Request, iso_date

SOURCE = "x-amz-copy-source"
_RANGE = re.compile(r"^bytes=(\d{1,15})-(\d{1,15})$")
_ENCODED_QUERY = re.compile("%3F(?=versionId(=|%3D))", re.IGNORECASE)
NOT_COPIED = frozenset({LISTED_ETAG, UPLOAD, attributes.STORAGE_CLASS, LINK, RESTORED, IS_NULL})
"""What is kept with an object and belongs to its bytes as they were stored, or to the name; the request says it anew."""


class Source(NamedTuple):
    request: Request
    """As if it were asked for by itself."""
    content: Content
    version_id: str | None


async def open_source(request: Request) -> Source:
    """What `x-amz-copy-source` names, read on the caller's behalf; 412 where a condition on it fails."""
    text = request.headers[SOURCE]
    path, mark, query = text.partition("?")
    if not mark and (encoded := _ENCODED_QUERY.search(path)):  # some clients encode all of it
        path, mark, query = path[: encoded.start()], "?", path[encoded.end() :]
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    if not bucket or not key or "\0" in path or "\ufffd" in unquote(path):
        raise S3Error(
            "InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        )
    place.check_key(key)
    version_id = None
    if mark:
        name, _, value = unquote(query).partition("=")
        if name != "versionId" or not value:
            raise S3Error("InvalidArgument", "Copy Source may name a versionId and nothing else in its query")
        version_id = value
    source = Request(request.call, bucket, key, request.context, request.signed)
    source.version_id, source.headers = version_id, request.headers
    await source.find_bucket()
    request.copied = source
    authorize.check_owner(request, "x-amz-source-expected-bucket-owner", source.account)
    await authorize.require(source, "s3:GetObject")
    try:
        found: Opened = await objects.find(source)
    except S3Error as error:
        if error.kind != "MethodNotAllowed":
            raise
        raise S3Error(
            "InvalidRequest",
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        ) from error
    content = await hooks.giving(source, found.content, {})
    if conditions.not_modified(
        request.headers, attributes.etag(found.content), found.content.changed, prefix="x-amz-copy-source-"
    ):
        raise conditions.failed("x-amz-copy-source-If-None-Match")
    return Source(source, content, found.version_id)


def directive(request: Request, header: str = "x-amz-metadata-directive") -> str:
    wanted = request.headers.get(header, "COPY")
    if wanted not in ("COPY", "REPLACE"):
        raise S3Error("InvalidArgument", f"Unknown {header.removeprefix('x-amz-')}.")
    return wanted


@operations.object("PUT", action="s3:PutObject", header=SOURCE, answers=xml.media("CopyObjectResult"))
async def copy_object(request: Request) -> Reply:
    """Copies an object, with its metadata or with new ones."""
    source = await open_source(request)
    found, replace = source.content, directive(request) == "REPLACE"
    if found.size_bytes > request.state.settings.max_file_size_gib * GIB:
        raise S3Error(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy source: copy it in parts.",
        )
    if (
        source.request.name == request.name
        and source.version_id is None
        and not replace
        and not any(name in request.headers for name in CHANGES)
    ):
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )
    said = attributes.of_request(request.headers)
    if replace:
        kept = said
    else:
        system = {name: value for name, value in found.kept.system.items() if name not in NOT_COPIED}
        headers = dict(found.kept.headers)
        headers.pop("x-object-manifest", None)
        kept = msgspec.structs.replace(
            said, content_type=found.kept.content_type, headers=headers, system={**system, **said.system}
        )
    await storing.require_room(request, request.name, found.size_bytes)
    await storing.check_conditions(request)
    upload = hooks.Upload(request, request.name, found.read(0, found.size_bytes), found.size_bytes, {})
    upload.system = kept.system
    upload.source = found
    await hooks.taking(upload, "object")
    stored, told = await storing.store(request, request.name, kept, upload.body, upload.length)
    if source.version_id is not None:
        told["x-amz-copy-source-version-id"] = source.version_id
    return answer("CopyObjectResult", stored.etag, upload, told)


CHANGES = (
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
)
"""With one of them a copy of an object to itself does something."""


def answer(root: str, etag: str, upload: hooks.Upload, headers: dict[str, str]) -> Reply:
    now = iso_date(upload.request.state.now())
    reply = xml.reply(root, [("LastModified", now), ("ETag", f'"{etag}"'), *upload.elements])
    reply.headers.update({**headers, **upload.headers})
    return reply


def copied_range(request: Request, size: int) -> tuple[int, int]:
    """Offset and length of what of the source becomes a part."""
    text = request.headers.get("x-amz-copy-source-range")
    if text is None:
        return 0, size
    matched = _RANGE.match(text)
    if matched is None or int(matched[1]) > int(matched[2]):
        raise S3Error(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
        )
    first, last = int(matched[1]), int(matched[2])
    if last >= size:
        raise S3Error("InvalidArgument", f"Range specified is not valid for source object of size: {size}")
    return first, last - first + 1
