"""Objects: put, got, deleted."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from pileus.kernel.errors import RangeNotSatisfiable, TooLarge
from pileus.kernel.http.reply import Reply
from pileus.services.object_store import conditions as swift_conditions
from pileus.services.object_store.api.read import open_object
from pileus.services.object_store.api.write import check_quota, remove
from pileus.services.object_store.content import Content
from pileus.services.object_store.driver import Superseded
from pileus.services.object_store.receive import Unprocessable, receive
from pileus.services.object_store.s3 import attributes, body, conditions, hooks
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.operations import operations
from pileus.services.object_store.s3.request import Request, no_such_key


async def find(request: Request) -> Content:
    """404 where there is no such object."""
    found = await open_object(request.state, request.name)
    if found is None:
        raise no_such_key(request.key)
    return found


async def require_room(request: Request, size: int) -> None:
    assert request.info is not None  # found before any handler runs
    try:
        await check_quota(request.state, request.name, request.info, size)
    except TooLarge as error:
        raise S3Error("QuotaExceeded", "The bucket or the project may not hold so much.") from error


@operations.object("HEAD", action="s3:GetObject")
async def head_object(request: Request) -> Reply:
    """An object's metadata."""
    return await _give(request, with_body=False)


@operations.object("GET", action="s3:GetObject")
async def get_object(request: Request) -> Reply:
    """An object, or the part of it that `Range` asks for."""
    return await _give(request, with_body=True)


async def _give(request: Request, *, with_body: bool) -> Reply:
    found = await find(request)
    headers = attributes.described(found)
    found = await hooks.giving(request, found, headers)
    if conditions.not_modified(request.headers, attributes.etag(found), found.changed):
        return Reply(304, headers=headers)
    if request.call.scope["query_string"]:
        attributes.override(request, headers)
    size = found.size_bytes
    try:
        parts = swift_conditions.ranges(request.headers.get("range"), size)
    except RangeNotSatisfiable:
        raise S3Error(
            "InvalidRange",
            "The requested range is not satisfiable",
            headers={"content-range": f"bytes */{size}"},
            details={"ActualObjectSize": str(size)},
        ) from None
    status, offset, length = 200, 0, size
    if parts is not None and len(parts) == 1:
        status, (offset, length) = 206, parts[0]
        headers["content-range"] = f"bytes {offset}-{offset + length - 1}/{size}"
    headers["content-length"] = str(length)
    if not with_body or length == 0:
        return Reply(status, headers=headers)
    return Reply(status, headers=headers, stream=_stream(found, offset, length))


async def _stream(found: Content, offset: int, length: int) -> AsyncGenerator[bytes, None]:
    async for chunk in found.read(offset, length):
        yield chunk


@operations.object("PUT", action="s3:PutObject")
async def put_object(request: Request) -> Reply:
    """Stores an object."""
    length = body.announced(request)
    wanted = body.wanted_md5(request)
    kept = attributes.of_request(request.headers)
    await require_room(request, length)
    old = await request.state.find(request.name)
    if "if-match" in request.headers or "if-none-match" in request.headers:
        there = await open_object(request.state, request.name)
        conditions.may_write(request.headers, None if there is None else attributes.etag(there))
    if old is not None:
        await hooks.guard(request, request.name, old)
    trailers: dict[str, str] = {}
    upload = hooks.Upload(request, request.name, body.opened(request, trailers), length, trailers)
    upload.system = kept.system
    await hooks.taking(upload, "object")
    try:
        stored = await receive(
            request.state, upload.name, request.state.now(), kept, upload.body, upload.length, wanted
        )
    except Unprocessable:
        raise body.bad_digest() from None
    except Superseded as newer:
        raise S3Error(
            "SlowDown", "Another request changed the object at the same time; try again."
        ) from newer
    return Reply(200, headers={"etag": f'"{stored.etag}"', **upload.headers})


@operations.object("DELETE", action="s3:DeleteObject")
async def delete_object(request: Request) -> Reply:
    """Deletes an object; what is not there is deleted already."""
    old = await request.state.find(request.name)
    if old is not None:
        await hooks.guard(request, request.name, old)
        await remove(request.state, request.name)
    return Reply(204)
