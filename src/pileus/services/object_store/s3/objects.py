"""Objects: put, got, deleted."""

from __future__ import annotations

from typing import NamedTuple

from pileus.kernel.api.answer import NOTHING, WHATEVER
from pileus.kernel.errors import ApiError, RangeNotSatisfiable, Unavailable
from pileus.kernel.http.reply import Reply
from pileus.services.object_store import access, content, symlinks, versioning
from pileus.services.object_store import conditions as swift_conditions
from pileus.services.object_store.api.read import open_content, open_object
from pileus.services.object_store.content import Content
from pileus.services.object_store.driver import DeviceError
from pileus.services.object_store.large import slo
from pileus.services.object_store.name import Name
from pileus.services.object_store.s3 import attributes, authorize, body, conditions, hooks, storing
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.request import Request, no_such_key

MAX_PARTS = 10_000


class Opened(NamedTuple):
    """An object, and the id of its version where the bucket has versions."""

    content: Content
    version_id: str | None


def version_asked(request: Request) -> str | None:
    """400 where the query names an empty one."""
    if request.version_id == "":
        raise S3Error("InvalidArgument", "Version id cannot be the empty string")
    return request.version_id


def reader(request: Request) -> symlinks.Permit:
    """What a manifest or a symlink names, the caller must be allowed to read, too."""
    allowed: set[tuple[str, str]] = set()

    async def permit(other: Name) -> None:
        at = (other.account, other.container)
        if at not in allowed:
            await authorize.require(request, "s3:GetObject", other)
            info = await request.state.container(*at)
            if info is None or info.metadata.keys().isdisjoint(access.RULED):
                allowed.add(at)

    return permit


async def find(request: Request) -> Opened:
    """404 where there is no such object, or it is a delete marker; 403 instead for a caller who may not list the bucket, and
    so is not to learn of it (Amazon S3 API reference, "GetObject", "Permissions")."""
    try:
        return await look(request)
    except ApiError as error:
        if error.status == 404 and not await _may_list(request):
            raise authorize.denied() from error
        raise


async def _may_list(request: Request) -> bool:
    """A prefix in the query of what is no list says nothing."""
    bucket = Name(request.account, request.bucket)
    return await authorize.allows(request, "s3:ListBucket", bucket, facts={"s3:prefix": []})


async def look(request: Request) -> Opened:
    """`find`, and 404 whoever asks."""
    version_id = version_asked(request)
    if version_id is None and not versioning.status(request.metadata):
        found = await open_object(request.state, request.name, permit=reader(request))
        if found is None:
            raise no_such_key(request.key)
        return Opened(found, None)
    return await _version(request, version_id)


async def _version(request: Request, version_id: str | None) -> Opened:
    """`version_id` None: the newest."""
    try:
        at = await versioning.find(request.state, request.name, request.metadata, version_id)
        if at is None:
            if version_id is None:
                raise no_such_key(request.key)
            raise S3Error(
                "NoSuchVersion",
                "The specified version does not exist.",
                details={"Key": request.key, "VersionId": version_id},
            )
        if at.is_marker:
            told = {"x-amz-delete-marker": "true", "x-amz-version-id": at.id}
            if version_id is None:
                raise S3Error(
                    "NoSuchKey",
                    "The specified key does not exist.",
                    headers=told,
                    details={"Key": request.key},
                )
            told["last-modified"] = at.version.changed.http
            raise S3Error(
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
                headers={**told, "allow": "DELETE"},
            )
        own = content.plain(request.state, at.at, at.version)
        found = await open_content(request.state, request.name, own, permit=reader(request))
    except DeviceError as error:
        raise Unavailable(str(error)) from error
    return Opened(found, at.id if versioning.status(request.metadata) else None)


@operations.object("HEAD", action="s3:GetObject", also={206: NOTHING, 304: NOTHING})
async def head_object(request: Request) -> Reply:
    """An object's metadata."""
    return await give(request, await find(request), with_body=False)


@operations.object("GET", action="s3:GetObject", answers=WHATEVER, also={206: WHATEVER, 304: NOTHING})
async def get_object(request: Request) -> Reply:
    """An object, or the part of it that `Range` or `partNumber` asks for."""
    return await give(request, await find(request), with_body=True)


async def give(request: Request, opened: Opened, *, with_body: bool) -> Reply:
    """What is opened, as the request's headers and query ask for it."""
    found, version_id = opened
    headers = attributes.described(found)
    if version_id is not None:
        headers["x-amz-version-id"] = version_id
    found = await hooks.giving(request, found, headers)
    if swift_conditions.are_asked(request.headers) and conditions.not_modified(
        request.headers, attributes.etag(found), found.changed
    ):
        return Reply(304, headers=headers)
    part = None
    if request.call.scope["query_string"]:
        attributes.override(request, headers)
        part = await _part(request, found, headers)
    size = found.size_bytes
    status, offset, length = 200, 0, size
    if part is not None:
        status, (offset, length) = 206, part
    elif (wanted := request.headers.get("range")) is not None:
        is_same = conditions.range_holds(request.headers, attributes.etag(found), found.changed)
        one = _range(wanted, size) if is_same else None
        if one is not None:
            status, (offset, length) = 206, one
    if status == 206 and length:
        headers["content-range"] = f"bytes {offset}-{offset + length - 1}/{size}"
    if not with_body:
        headers["content-length"] = str(length)
        return Reply(status, headers=headers)
    return content.reply(found, status, headers, offset, length)


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Offset and length of the one range that is asked for; of several, all of the object is given."""
    if "," in header:
        return None
    try:
        parts = swift_conditions.ranges(header, size)
    except RangeNotSatisfiable:
        raise S3Error(
            "InvalidRange",
            "The requested range is not satisfiable",
            headers={"content-range": f"bytes */{size}"},
            details={"RangeRequested": header[:100], "ActualObjectSize": str(size)},
        ) from None
    return None if parts is None else parts[0]


def part_number(text: str) -> int:
    """400 where it is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_PARTS):
        raise S3Error(
            "InvalidArgument", f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
        )
    return int(text)


async def _part(request: Request, found: Content, headers: dict[str, str]) -> tuple[int, int] | None:
    """Offset and length of the part that `partNumber` names."""
    text = request.arg("partNumber")
    if text is None:
        return None
    number = part_number(text)
    if "range" in request.headers:
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    lengths = await part_lengths(found)
    if number > len(lengths):
        raise S3Error("InvalidPartNumber", "The requested partnumber is not satisfiable")
    if len(lengths) > 1 or found.is_large:
        headers["x-amz-mp-parts-count"] = str(len(lengths))
    return sum(lengths[: number - 1]), lengths[number - 1]


async def part_lengths(found: Content) -> list[int]:
    """Bytes of each part, in order; of an object that has none, all of it."""
    if found.manifest is None:
        return [found.size_bytes]
    return slo.part_lengths(await found.manifest())


@operations.object("PUT", action="s3:PutObject")
async def put_object(request: Request) -> Reply:
    """Stores an object."""
    length = body.announced(request)
    wanted = body.wanted_md5(request)
    kept = attributes.of_request(request.headers)
    await storing.require_room(request, request.name, length)
    await storing.check_conditions(request)
    trailers: dict[str, str] = {}
    upload = hooks.Upload(request, request.name, body.opened(request, trailers), length, trailers)
    upload.system, upload.md5 = kept.system, wanted
    await hooks.taking(upload, "object")
    stored, told = await storing.store(request, request.name, kept, upload.body, upload.length, upload.md5)
    return Reply(200, headers={"etag": f'"{stored.etag}"', **told, **upload.headers})


@operations.object("DELETE", action="s3:DeleteObject", status=204)
async def delete_object(request: Request) -> Reply:
    """Deletes an object, or hides it behind a marker where the bucket has versions; with `versionId`, that version."""
    version_id = version_asked(request)
    wanted = request.headers.get("if-match")
    deleted = await storing.delete(request, request.name, version_id, wanted)
    headers = {}
    if deleted.id is not None:
        headers["x-amz-version-id"] = deleted.id
    if deleted.is_marker:
        headers["x-amz-delete-marker"] = "true"
    return Reply(204, headers=headers)
