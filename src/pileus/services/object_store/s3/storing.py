"""What happens to what was there when an object is stored or deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from pileus.kernel.errors import TooLarge
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import admission, content, turns, versioning
from pileus.services.object_store.api.read import open_object
from pileus.services.object_store.api.write import check_quota
from pileus.services.object_store.driver import Superseded
from pileus.services.object_store.large import slo
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.rate_limit import TooFast
from pileus.services.object_store.receive import Unprocessable
from pileus.services.object_store.s3 import attributes, authorize, body, conditions, hooks, leavings
from pileus.services.object_store.s3.errors import S3Error
from pileus.services.object_store.s3.request import Request
from pileus.services.object_store.version_entries import NULL
from pileus.services.object_store.versioning import Deleted, Found

AT_ONCE = 50


async def take_turn(request: Request, name: Name) -> None:
    """Before an object is written, or a bucket made or deleted: not faster than the operator has set."""
    try:
        await admission.wait_for_turn(request.state, name)
    except TooFast:
        raise S3Error("SlowDown", "Please reduce your request rate.") from None


async def require_room(request: Request, name: Name, size: int) -> None:
    assert request.info is not None  # found before any handler runs
    try:
        await check_quota(request.state, name, request.info, size)
    except TooLarge as error:
        raise S3Error("QuotaExceeded", "The bucket or the project may not hold so much.") from error


async def replaced(request: Request, name: Name) -> Found | None:
    """The version that goes for good when the object is stored or deleted; asks whether it may."""
    status = versioning.status(request.metadata)
    if status == "Enabled":
        return None
    if status:
        found = await versioning.find(request.state, name, request.metadata, NULL)
    else:
        version = await request.state.find(name)
        found = None if version is None else Found(name, version, NULL)
    if found is not None:
        await hooks.guard(request, name, found)
    return found


async def check_conditions(request: Request) -> None:
    """412 where a write is not to be done on what is there; 403 where the caller may not know what that is."""
    if is_conditional(request):
        await _require_known(request, request.name, request.headers.get("if-match"))
        await _check(request, request.name, request.headers)


async def _require_known(request: Request, name: Name, if_match: str | None) -> None:
    """An etag tells of the bytes: who asks whether it is this one must be allowed to read them (S3 User Guide,
    "Conditional requests")."""
    if if_match is not None and if_match.strip() != "*":
        await authorize.require(request, "s3:GetObject", name)


def is_conditional(request: Request) -> bool:
    return "if-match" in request.headers or "if-none-match" in request.headers


async def _check(request: Request, name: Name, headers: Mapping[str, str]) -> None:
    there = await open_object(request.state, name)
    conditions.may_write(headers, None if there is None else attributes.etag(there))


async def store(
    request: Request,
    name: Name,
    kept: ObjectMetadata,
    data: AsyncIterator[bytes],
    length: int | None,
    wanted_md5: str = "",
    moment: Timestamp | None = None,
) -> tuple[ObjectMetadata, dict[str, str]]:
    """Stores bytes as the object, by default now; returns its metadata and headers that tell its version. 412 where the
    request has conditions that do not hold when all bytes are there."""
    old = await replaced(request, name)
    has_parts = old is not None and leavings.upload_of(old) is not None
    moment = moment or request.state.now()
    if not has_parts and not is_conditional(request):
        return await _write(request, name, kept, data, length, wanted_md5, moment)
    async with AsyncExitStack() as leaving:

        async def before_the_end() -> None:
            if is_conditional(request):
                await _check(request, name, request.headers)
            if old is not None and has_parts:
                await leaving.enter_async_context(parts_leave(request, old))

        if is_conditional(request):
            async with turns.at_the_end(request.state, name, moment, data, before_the_end) as checked:
                return await _write(request, name, kept, checked, length, wanted_md5, moment)
        followed = turns.followed(data, before_the_end)
        return await _write(request, name, kept, followed, length, wanted_md5, moment)


async def _write(
    request: Request,
    name: Name,
    kept: ObjectMetadata,
    data: AsyncIterator[bytes],
    length: int | None,
    wanted_md5: str,
    moment: Timestamp | None = None,
) -> tuple[ObjectMetadata, dict[str, str]]:
    assert request.info is not None
    try:
        stored, version_id = await versioning.write(
            request.state, name, request.info, kept, data, length, wanted_md5, moment
        )
    except Unprocessable:
        raise body.bad_digest() from None
    except Superseded as newer:
        raise slower() from newer
    return stored, {} if version_id is None else {"x-amz-version-id": version_id}


def slower() -> S3Error:
    """What began later is there already."""
    return S3Error("SlowDown", "Another request changed the object at the same time; try again.")


async def delete(
    request: Request, name: Name, version_id: str | None, if_match: str | None = None
) -> Deleted:
    """Deletes the object, or the version with that id; what is not there is deleted already. With `if_match` it must be
    there, with that etag."""
    if if_match is None:
        return await _delete(request, name, version_id)
    await _require_known(request, name, if_match)
    moment = request.state.now()
    check = partial(_check, request, name, {"if-match": if_match})
    async with turns.turn(request.state, name, moment, check):
        return await _delete(request, name, version_id, moment)


async def _delete(
    request: Request, name: Name, version_id: str | None, moment: Timestamp | None = None
) -> Deleted:
    assert request.info is not None
    if version_id is not None:
        found = await versioning.find(request.state, name, request.metadata, version_id)
        if found is None:
            return Deleted(version_id, False)
        await hooks.guard(request, name, found)
        async with parts_leave(request, found):
            return await versioning.delete_version(request.state, name, found)
    old = await replaced(request, name)
    if old is None and not versioning.status(request.metadata):
        return Deleted(None, False)
    async with parts_leave(request, old):
        return await versioning.delete(request.state, name, request.info, moment)


@asynccontextmanager
async def parts_leave(request: Request, old: Found | None) -> AsyncIterator[None]:
    """Around what ends an object: when it has, its parts go, if it came in some. What breaks off is made up for later."""
    upload_id = None if old is None else leavings.upload_of(old)
    if old is None or upload_id is None:
        yield
        return
    own = content.plain(request.state, old.at, old.version)
    manifest = b"".join([chunk async for chunk in own.read(0, own.size_bytes)])
    note = leavings.Note(request.name, upload_id, old.version.timestamp)
    await leavings.leave(request.state, note)
    yield
    await remove_all(request, [each.name for each in slo.segments(request.account, manifest)])
    await leavings.drop(request.state, note)


async def remove_all(request: Request, names: list[Name]) -> None:
    """Some at once: a device syncs them together."""
    for start in range(0, len(names), AT_ONCE):
        await asyncio.gather(
            *(versioning.remove(request.state, each) for each in names[start : start + AT_ONCE])
        )
