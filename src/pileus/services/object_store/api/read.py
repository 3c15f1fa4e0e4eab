"""Objects, read."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import formatdate
from hashlib import md5
from urllib.parse import quote

from pileus.kernel.api.answer import NOTHING, WHATEVER
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import (
    Conflict,
    Forbidden,
    NotFound,
    PreconditionFailed,
    RangeNotSatisfiable,
    Unauthorized,
    Unavailable,
)
from pileus.kernel.http.reply import Reply
from pileus.services.object_store import (
    access,
    conditions,
    content,
    metadata,
    symlinks,
    temp_url,
    versioning,
)
from pileus.services.object_store.api import part, versioned
from pileus.services.object_store.api.container import gone
from pileus.services.object_store.content import Content
from pileus.services.object_store.driver import DeviceError, Version
from pileus.services.object_store.large import dlo, segments, slo
from pileus.services.object_store.name import Name, parse
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.version_entries import MARKER, NULL

routes = Routes()
OBJECT = "/{account}/{container}/{object:path}"


async def open_object(
    state: ObjectStoreState,
    name: Name,
    *,
    raw: bool = False,
    permit: symlinks.Permit | None = None,
    depth: int = 0,
    reads: bool = True,
) -> Content | None:
    """What reading the object gives; `raw`: a large object's manifest instead. None where there is none.

    `permit` is asked of each object that the caller did not name, but that a symlink or a manifest does. Without it
    symlinks are not followed. Who `reads` no bytes needs no leave for a static large object's segments: its manifest says how
    large it is.
    """
    try:
        version = await state.find(name)
    except DeviceError as error:
        raise Unavailable(str(error)) from error
    if version is None:
        return None
    own = content.plain(state, name, version)
    if permit is not None and symlinks.of(own.kept) is not None:
        own = await _linked(state, name, version, permit)
        name = own.name or name
    elif own.kept.system and versioning.linked(own.kept) is not None:
        newest = await _newest(state, name)
        if newest is None:
            return None
        own = newest
    return await open_content(state, name, own, raw=raw, permit=permit, depth=depth, reads=reads)


async def _linked(state: ObjectStoreState, name: Name, version: Version, permit: symlinks.Permit) -> Content:
    """What a symlink leads to; 404 where that is not there."""
    at, found = await symlinks.follow(state, name, version, permit)
    own = None if found is None else content.plain(state, at, found)
    if own is not None and versioning.linked(own.kept) is not None:
        own = await _newest(state, at)
    if own is None:
        where = {"content-location": _path(at)}
        raise NotFound("The symlink's target is not there.", headers=where)
    return own._replace(name=at)


async def _newest(state: ObjectStoreState, name: Name) -> Content | None:
    """What a link to a version stands for."""
    found = await versioning.find(state, name, {}, None)
    return (
        None if found is None else content.plain(state, found.at, found.version)._replace(version_id=found.id)
    )


async def open_content(
    state: ObjectStoreState,
    name: Name,
    own: Content,
    *,
    raw: bool = False,
    permit: symlinks.Permit | None = None,
    depth: int = 0,
    reads: bool = True,
) -> Content:
    """What is stored as the object, or as a version of it, read as what it means."""
    kept = own.kept
    manifest = kept.headers.get("x-object-manifest")
    if raw or (manifest is None and kept.large_etag is None):
        return own
    if depth >= segments.MAX_DEPTH:
        raise segments.BrokenSegment("manifests name each other too deeply")

    async def open_segment(segment: Name) -> Content | None:
        return await open_object(state, segment, permit=permit, depth=depth + 1)

    async def manifest_body() -> bytes:
        return b"".join([chunk async for chunk in own.read(0, own.size_bytes)])

    if kept.large_etag is not None:
        parts, etag = slo.segments(name.account, await manifest_body()), kept.large_etag
    else:
        parts, etag = await dlo.segments(state, name.account, manifest or "")
    named = [part.name for part in parts if part.data is None]
    if permit is not None and metadata.UPLOAD not in kept.system and (reads or kept.large_etag is None):
        for segment in named:
            try:
                await permit(segment)
            except (Forbidden, Unauthorized) as error:
                if kept.large_etag is None:
                    raise
                raise Conflict("The caller may not read a segment of the large object.") from error
    return Content(
        kept,
        own.changed,
        sum(part.length for part in parts),
        etag,
        lambda offset, length: segments.read(parts, open_segment, offset, length),
        is_large=True,
        name=own.name,
        version_id=own.version_id,
        manifest=None if kept.large_etag is None else manifest_body,
    )


def described(found: Content) -> dict[str, str]:
    """The headers of an object, as HEAD and GET give them."""
    headers = {
        **found.kept.headers,
        "content-type": found.content_type or found.kept.content_type,
        "etag": f'"{found.etag}"' if found.is_large else found.etag,
        "last-modified": found.changed.http,
        "x-timestamp": found.changed.normal,
        "accept-ranges": "bytes",
    }
    if found.kept.large_etag is not None:
        headers["x-static-large-object"] = "True"
        headers["x-manifest-etag"] = found.kept.etag
    if found.version_id is not None:
        headers[versioned.VERSION] = found.version_id
    if found.name is not None:
        headers["content-location"] = _path(found.name)
    return headers


def _path(name: Name) -> str:
    return quote(f"/v1/{name.path}")


def reader(call: Call, name: Name) -> symlinks.Permit:
    """Who may read `name` may read what the returned function lets pass."""
    state: ObjectStoreState = call.runtime.state
    allowed: set[tuple[str, str]] = set()

    async def permit(other: Name) -> None:
        at = (other.account, other.container)
        if at in allowed:
            return
        info = await state.container(*at)
        ruled = info is not None and not info.metadata.keys().isdisjoint(access.RULED)
        if ruled or at != (name.account, name.container):
            if temp_url.is_signed(call):
                await temp_url.require_reach(call, name, other)
            else:
                await access.require(call, other, "read")
        if not ruled:
            allowed.add(at)

    return permit


async def _find(call: Call) -> tuple[Name, Content]:
    name = parse(call.path)
    state: ObjectStoreState = call.runtime.state
    if temp_url.is_signed(call):
        await temp_url.require(call, name)
    else:
        await access.require(call, name, "read", by_list=not call.arg("version-id"))
    raw, reads = call.arg("multipart-manifest") == "get", call.method != "HEAD"
    link = call.arg("symlink") == "get"
    permit = None if link else reader(call, name)
    info = await state.container(name.account, name.container)
    version_id = versioned.asked(call, info)
    if version_id is None:
        found = await open_object(state, name, raw=raw or link, permit=permit, reads=reads)
        if found is not None and found.version_id is None and info and versioning.status(info.metadata):
            found = found._replace(version_id=NULL)
    else:
        found = await open_version(state, name, version_id, raw=raw or link, permit=permit, reads=reads)
    if found is None:
        raise gone()
    if reads:
        content.require_readable(found)
    if raw and found.kept.large_etag is not None:
        if call.arg("format") != "raw":
            found = found._replace(content_type="application/json; charset=utf-8")
        else:
            body = slo.as_given(b"".join([chunk async for chunk in found.read(0, found.size_bytes)]))
            found = found._replace(
                size_bytes=len(body),
                etag=md5(body, usedforsecurity=False).hexdigest(),
                whole=body,
                read=lambda offset, length: _once(body[offset:][:length]),
            )
    return name, found


async def open_version(
    state: ObjectStoreState,
    name: Name,
    version_id: str,
    *,
    raw: bool,
    permit: symlinks.Permit | None,
    reads: bool = True,
) -> Content | None:
    """An older version, or the newest, by its id; 404 for a delete marker, which says that it is one."""
    info = await state.container(name.account, name.container)
    at = None if info is None else await versioning.find(state, name, info.metadata, version_id)
    if at is None:
        return None
    if at.is_marker:
        raise NotFound(
            "This version is a deletion.", headers={versioned.VERSION: at.id, "content-type": MARKER}
        )
    own = content.plain(state, at.at, at.version)
    if permit is not None and symlinks.of(own.kept) is not None:
        own = await _linked(state, name, at.version, permit)
    own = own._replace(version_id=at.id)
    return await open_content(state, own.name or name, own, raw=raw, permit=permit, reads=reads)


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


def _headers(call: Call, name: Name, found: Content) -> dict[str, str]:
    headers = described(found)
    if (link := symlinks.of(found.kept)) is not None:
        headers.update(link.headers())
    if found.version_id not in (None, NULL) and found.name is None and not call.arg("version-id"):
        headers["content-location"] = f"{_path(name)}?version-id={found.version_id}"
    if temp_url.is_signed(call):
        hidden = [
            each
            for each in headers
            if each.startswith("x-object-meta-") and not each.startswith("x-object-meta-public-")
        ]
        for each in hidden:
            del headers[each]
        if call.method == "GET":
            headers["content-disposition"] = _disposition(call, name, headers.get("content-disposition"))
        headers["expires"] = formatdate(_expires(call), usegmt=True)
    return headers


def _expires(call: Call) -> float:
    text = call.arg("temp_url_expires") or "0"
    return float(text) if text.isdigit() else call.runtime.clock.now().timestamp()


def _disposition(call: Call, name: Name, own: str | None) -> str:
    """What a browser does with a download: save it under its own name, unless the URL says otherwise."""
    filename = call.arg("filename")
    if "inline" in call.query:
        return f'inline; filename="{_quoted(filename)}"' if filename else "inline"
    if not filename and own:
        return own
    shown = filename or name.object.rstrip("/").rpartition("/")[2]
    return f"attachment; filename=\"{_quoted(shown)}\"; filename*=UTF-8''{quote(shown, safe='')}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "%22").replace("\r", "").replace("\n", "")


def _unchanged(call: Call, found: Content, headers: dict[str, str]) -> bool:
    if not conditions.are_asked(call.headers):
        return False
    when = datetime.fromtimestamp(found.changed.whole_seconds, UTC)
    try:
        return conditions.not_modified(call.headers, found.etag, when)
    except PreconditionFailed as error:
        error.headers.update(_identity(headers))
        raise


_IDENTITY = ("etag", "last-modified", "x-timestamp", "accept-ranges", "content-location", versioned.VERSION)


def _identity(headers: dict[str, str]) -> dict[str, str]:
    """What an error tells of the object that it is about."""
    return {name: headers[name] for name in _IDENTITY if name in headers}


@routes.add("HEAD", OBJECT, policy=ANYONE, also=dict.fromkeys((206, 301, 304), NOTHING))
async def head_object(call: Call) -> Reply:
    """An object's metadata."""
    name, found = await _find(call)
    headers = _headers(call, name, found)
    if _unchanged(call, found, headers):
        return Reply(304, headers=headers)
    one = await part.asked(call, found, headers)
    headers["content-length"] = str(found.size_bytes if one is None else one[1])
    return Reply(200 if one is None else 206, headers=headers)


@routes.add(
    "GET",
    OBJECT,
    policy=ANYONE,
    answers=WHATEVER,
    also={206: WHATEVER, 301: NOTHING, 304: NOTHING},
)
async def get_object(call: Call) -> Reply:
    """An object, or the parts of it that `Range` asks for."""
    name, found = await _find(call)
    headers = _headers(call, name, found)
    if _unchanged(call, found, headers):
        return Reply(304, headers=headers)
    if (one := await part.asked(call, found, headers)) is not None:
        return await _begun(found, content.reply(found, 206, headers, *one))
    size = found.size_bytes
    wanted = call.header("range") if _range_holds(call, found) else None
    try:
        parts = conditions.ranges(wanted, size)
    except RangeNotSatisfiable as error:
        error.headers.update(_identity(headers))
        raise
    if parts is None:
        return await _begun(found, content.reply(found, 200, headers, 0, size))
    if len(parts) == 1:
        offset, length = parts[0]
        headers["content-range"] = f"bytes {offset}-{offset + length - 1}/{size}"
        return await _begun(found, content.reply(found, 206, headers, offset, length))
    return _several(headers, found, parts)


async def _begun(found: Content, reply: Reply) -> Reply:
    """A large object that is broken where the answer begins is a 409, not an answer that breaks off."""
    if not found.is_large or reply.stream is None:
        return reply
    stream = reply.stream
    try:
        reply.stream = _resumed(await anext(stream, b""), stream)
    except segments.BrokenSegment as error:
        raise Conflict(str(error)) from error
    return reply


async def _resumed(first: bytes, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(stream):
        yield first
        async for chunk in stream:
            yield chunk


def _range_holds(call: Call, found: Content) -> bool:
    """`If-Range`: the parts are wanted of this version only."""
    header = call.header("if-range")
    if header is None:
        return True
    return header.strip().strip('"') in (found.etag, found.changed.http)


def _several(headers: dict[str, str], found: Content, parts: list[tuple[int, int]]) -> Reply:
    """Parts behind each other, each with a head of its own (RFC 9110, section 14.6)."""
    boundary = secrets.token_hex(16)
    kind, size = headers["content-type"], found.size_bytes
    heads = [
        (
            f"--{boundary}\r\nContent-Type: {kind}\r\n"
            f"Content-Range: bytes {offset}-{offset + length - 1}/{size}\r\n\r\n"
        ).encode("latin-1", "replace")
        for offset, length in parts
    ]
    end = f"--{boundary}--".encode()
    headers["content-type"] = f"multipart/byteranges;boundary={boundary}"
    headers["content-length"] = str(sum(map(len, heads)) + sum(length + 2 for _, length in parts) + len(end))

    async def stream() -> AsyncGenerator[bytes, None]:
        for head, (offset, length) in zip(heads, parts, strict=True):
            yield head
            async for chunk in found.read(offset, length):
                yield chunk
            yield b"\r\n"
        yield end

    return Reply(206, headers=headers, stream=stream())
