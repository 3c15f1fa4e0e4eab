"""Static large objects, put and deleted with their segments (Object Storage API, "Static large objects")."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.utils import formatdate
from hashlib import md5

from pileus.kernel.api.call import Call, read_bool
from pileus.kernel.errors import ApiError, BadRequest, NotFound
from pileus.kernel.http.reply import Reply
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import (
    access,
    container_sync,
    expirer,
    locks,
    metadata,
    versioning,
    versions,
)
from pileus.services.object_store.api import outcome, versioned, write
from pileus.services.object_store.api.bulk_delete import DELETED, NOT_FOUND, new_outcome
from pileus.services.object_store.api.container import gone
from pileus.services.object_store.api.outcome import Outcome
from pileus.services.object_store.api.read import open_object
from pileus.services.object_store.content import Content
from pileus.services.object_store.large import segments, slo
from pileus.services.object_store.listings import ContainerInfo
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.receive import Unprocessable
from pileus.services.object_store.state import ObjectStoreState

MAX_DELETED = 10_000
"""Segments, those of manifests in manifests among them, that one request deletes."""


async def put_manifest(call: Call, name: Name, info: ContainerInfo) -> Reply:
    """Stores a manifest; with `heartbeat` the answer begins before all segments have been looked at."""
    state: ObjectStoreState = call.runtime.state
    await write.if_none(call, state, name)
    wanted = slo.wanted_segments(await call.body(slo.MAX_MANIFEST_BYTES))
    if not read_bool("heartbeat", call.arg("heartbeat") or "false"):
        stored, now = await _store(call, name, info, wanted)
        return write.created(f'"{stored}"', now)
    return await outcome.begun(call, _told(call, name, info, wanted), 202)


async def _told(call: Call, name: Name, info: ContainerInfo, wanted: list[slo.Wanted]) -> Outcome:
    result = Outcome("upload", status=201)
    try:
        etag, now = await _store(call, name, info, wanted)
    except slo.Problems as error:
        result.status, result.errors, result.body = error.status, error.problems, error.title
    except ApiError as error:
        result.refuse(error)
    else:
        result.more = {"Etag": f'"{etag}"', "Last Modified": formatdate(now.whole_seconds, usegmt=True)}
    return result


async def _store(
    call: Call, name: Name, info: ContainerInfo, wanted: list[slo.Wanted]
) -> tuple[str, Timestamp]:
    state: ObjectStoreState = call.runtime.state
    manifest = await slo.build(state, name, wanted, _reader(call, name))
    expected = (call.header("etag") or "").strip('"').lower()
    if expected and expected != manifest.etag:
        raise Unprocessable(f"The segments' etags have the MD5 {manifest.etag}, not {expected}.")
    body = manifest.encode()
    await write.check_quota(state, name, info, len(body))
    await versions.keep(state, name, info.metadata)
    now = write.moment(call, name, info)
    own = md5(body, usedforsecurity=False).hexdigest()
    kept = ObjectMetadata(
        content_type=write.content_type(call, name),
        etag="",
        headers=write.kept_headers(call, now),
        large_etag=manifest.etag,
        large_bytes=manifest.size_bytes,
        system={metadata.LISTED_ETAG: f"{own}{metadata.S3_ETAG}{manifest.etag}-{len(manifest.segments)}"},
    )
    await write.store(
        state, name, now, kept, _once(body), len(body), check=write.condition(call, state, name)
    )
    await versioned.tell(call, name, info)
    return manifest.etag, now


def _reader(call: Call, name: Name) -> slo.Permit:
    """Lets pass what the caller may read, and make a segment of the object."""
    allowed: set[tuple[str, str]] = set()

    async def permit(segment: Name) -> None:
        at = (segment.account, segment.container)
        if at not in allowed:
            if not container_sync.is_sent(call) or at != (name.account, name.container):
                await access.require(call, segment, "read")
            allowed.add(at)

    return permit


async def require_segments(call: Call, name: Name, body: bytes) -> None:
    """400 where a stored manifest, as the object of that name, would list what is not there, or the caller may not read."""
    await slo.build(call.runtime.state, name, slo.given(body), _reader(call, name))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def delete_large(call: Call, name: Name) -> Reply:
    """Deletes the manifest and its segments, at once or (`async`) soon; answers as a bulk deletion does."""
    state: ObjectStoreState = call.runtime.state
    await write.allow(call, name)
    outcome.form(call)
    found = await open_object(state, name, raw=True)
    if found is None:
        raise gone()
    if found.kept.large_etag is None:
        raise BadRequest("Not an SLO manifest")
    wanted = await _all_below(state, name, found, 0)
    if len(wanted) > MAX_DELETED:
        raise BadRequest(f"The manifest has more than {MAX_DELETED} segments in all.")
    if read_bool("async", call.arg("async") or "false") and await _may_wait(call, wanted):
        expirer.delete_soon(state.listings, state.now(), [segment.path for segment in wanted])
        await state.settle()
        await write.delete(call, name)
        return Reply(204, headers={"content-type": "text/html; charset=UTF-8"})
    return await outcome.reply(call, _delete_all(call, [*wanted, name]))


async def _may_wait(call: Call, wanted: list[Name]) -> bool:
    """Whether the segments can go without being looked at again; 403 where the caller may not delete them."""
    state: ObjectStoreState = call.runtime.state
    for each in {segment.container: segment for segment in wanted}.values():
        info = await write.allow(call, each)
        await locks.require_parts_free(state, each)
        if versioning.status(info.metadata):
            return False
    return True


async def _all_below(state: ObjectStoreState, name: Name, found: Content, depth: int) -> list[Name]:
    """Segments, and those of segments that are manifests, each before what lists it."""
    body = b"".join([chunk async for chunk in found.read(0, found.size_bytes)])
    wanted: list[Name] = []
    inner = set(slo.nested(name.account, body)) if depth < segments.MAX_DEPTH else set()
    for segment in dict.fromkeys(each.name for each in slo.segments(name.account, body) if each.data is None):
        if segment in inner and len(wanted) <= MAX_DELETED:
            below = await open_object(state, segment, raw=True)
            if below is not None and below.kept.large_etag is not None:
                wanted += await _all_below(state, segment, below, depth + 1)
        wanted.append(segment)
    return list(dict.fromkeys(wanted))


async def _delete_all(call: Call, wanted: list[Name]) -> Outcome:
    result = new_outcome()
    for name in wanted:
        try:
            if not await write.delete(call, name):
                raise NotFound("There is no such object.")
        except NotFound:
            result.counts[NOT_FOUND] += 1
        except ApiError as error:
            result.fail(f"{name.container}/{name.object}", error)
        else:
            result.counts[DELETED] += 1
    return result
