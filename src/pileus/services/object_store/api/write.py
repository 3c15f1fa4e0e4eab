"""Objects, written."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from hashlib import md5

import msgspec

from pileus.kernel.api.answer import NOTHING, PAGE
from pileus.kernel.api.call import Call
from pileus.kernel.api.operation import ANYONE
from pileus.kernel.api.service import Routes
from pileus.kernel.errors import BadRequest, Conflict, PreconditionFailed, TooLarge, Unavailable
from pileus.kernel.http.reply import Reply
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import (
    access,
    container_sync,
    locks,
    metadata,
    symlinks,
    temp_url,
    turns,
    usage,
    versioning,
    versions,
)
from pileus.services.object_store.api import outcome, versioned
from pileus.services.object_store.api.container import gone
from pileus.services.object_store.api.read import OBJECT, reader
from pileus.services.object_store.driver import DeviceError, Missing, Superseded
from pileus.services.object_store.large import dlo
from pileus.services.object_store.listings import AccountInfo, ContainerInfo, Usage
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name, parse
from pileus.services.object_store.receive import announced, receive
from pileus.services.object_store.state import ObjectStoreState

routes = Routes()
LAST_SECOND = 9_999_999_999
"""What is to expire later does then."""
EMPTY_ETAG = md5(b"", usedforsecurity=False).hexdigest()


async def allow(call: Call, name: Name) -> ContainerInfo:
    """The container that is written to; 401, 403, 404."""
    state: ObjectStoreState = call.runtime.state
    if temp_url.is_signed(call):
        await temp_url.require(call, name)
        for header in ("x-object-manifest", symlinks.TARGET):
            if header in call.headers:
                raise BadRequest(f"{header.title()} is not allowed with a temporary URL.")
    else:
        if container_sync.is_sent(call):
            followed = await state.container(name.account, name.container)
            container_sync.require(call, name, {} if followed is None else followed.metadata)
        else:
            await access.require(call, name, "write")
    info = await state.container(name.account, name.container)
    if info is None:
        raise gone()
    return info


def moment(call: Call, name: Name, info: ContainerInfo) -> Timestamp:
    """When the request's change is: when it was in another cloud that sends it, else now."""
    return container_sync.require(call, name, info.metadata) or call.runtime.state.now()


async def check_quota(state: ObjectStoreState, name: Name, info: ContainerInfo, size: int | None) -> None:
    """413 where the object would take the container, the account, or the account's part of the container's storage policy
    beyond what it may have."""
    bytes_limit = info.metadata.get("x-container-meta-quota-bytes")
    count_limit = info.metadata.get("x-container-meta-quota-count")
    if bytes_limit or count_limit:
        now = await usage.of_container(state, name) or info
        _require_room(now, size, bytes_limit, count_limit)
    account = await state.account_metadata(name.account)
    if not any("-quota-" in each for each in account):
        return
    used = await usage.of_account(state, name.account)
    if used is None:
        return
    bytes_limit = account.get("x-account-meta-quota-bytes") or account.get("x-account-quota-bytes")
    _require_room(used, size, bytes_limit, account.get("x-account-quota-count"))
    own = f"policy-{info.policy}"
    _require_room(
        used.policies.get(info.policy, Usage(0, 0, 0)),
        size,
        account.get(f"x-account-quota-bytes-{own}"),
        account.get(f"x-account-quota-count-{own}"),
        "policy ",
    )


def _require_room(
    used: ContainerInfo | AccountInfo | Usage,
    size: int | None,
    bytes_limit: str | None,
    count_limit: str | None,
    whose: str = "",
) -> None:
    if (bytes_limit and bytes_limit.isdigit() and used.bytes_used + (size or 0) > int(bytes_limit)) or (
        count_limit and count_limit.isdigit() and used.objects + 1 > int(count_limit)
    ):
        raise TooLarge(f"Upload exceeds {whose}quota.")


def content_type(call: Call, name: Name) -> str:
    """As the client says, else as the name does."""
    said = call.header("content-type")
    if said and call.header("x-detect-content-type") is None:
        return plain_type(said)
    return mimetypes.guess_type(name.object)[0] or "application/octet-stream"


def plain_type(said: str) -> str:
    """A content type without what the store itself says in some. 400 where it has that."""
    if any(each.lstrip().startswith("swift_") for each in said.split(";")[1:]):
        raise BadRequest("Invalid Content-Type, swift_* is not a valid parameter name.")
    return said


def kept_headers(call: Call, now: Timestamp) -> dict[str, str]:
    """Headers that stay with the object; `X-Delete-After` becomes `X-Delete-At`. 400 where they can't be."""
    return kept_from(call.headers, now)


def kept_from(given: Mapping[str, str], now: Timestamp) -> dict[str, str]:
    """The same of any headers."""
    headers = dict(given)
    if (after := headers.get("x-delete-after")) is not None:
        moment = int(now.seconds + _whole(after, "X-Delete-After"))
        if moment <= now.seconds:
            raise BadRequest("X-Delete-After in past")
        headers["x-delete-at"] = str(min(moment, LAST_SECOND))
    elif (at := headers.get("x-delete-at")) is not None:
        if (moment := _whole(at, "X-Delete-At")) <= now.seconds:
            raise BadRequest("X-Delete-At in past")
        headers["x-delete-at"] = str(min(moment, LAST_SECOND))
    if headers.get("x-object-manifest"):
        dlo.check(headers["x-object-manifest"])
    return metadata.object_headers(headers)


def _whole(text: str, header: str) -> int:
    if re.fullmatch(r"[+-]?[0-9]{1,4000}", text.strip()) is None:
        raise BadRequest(f"Non-integer {header}")
    return int(text)


@routes.add(
    "PUT",
    OBJECT,
    policy=ANYONE,
    status=201,
    raw=True,
    answers=NOTHING,
    also={200: outcome.ANSWERS, 202: outcome.ANSWERS},
)
async def put_object(call: Call) -> Reply:
    """Stores an object, or the manifest of a large one."""
    from pileus.services.object_store.api.copying import copy_into
    from pileus.services.object_store.api.manifest import put_manifest

    name = parse(call.path)
    if "x-copy-from" in call.headers:
        return await copy_into(call, name)
    info = await allow(call, name)
    state: ObjectStoreState = call.runtime.state
    if (version_id := versioned.asked(call, info)) is not None:
        return created(await versioned.promote(call, name, info, version_id), state.now())
    if call.arg("multipart-manifest") == "put":
        return await put_manifest(call, name, info)
    link = symlinks.asked(call.headers, name)
    length = announced(call, state) if link is None else 0
    await if_none(call, state, name)
    await check_quota(state, name, info, length)
    kind = content_type(call, name)
    if link is not None:
        kind = plain_type(call.header("content-type") or symlinks.CONTENT_TYPE)
        if link.etag:
            link, target_kind = await symlinks.fix(state, link, reader(call, name))
            kind = call.header("content-type") or target_kind
    await versions.keep(state, name, info.metadata)
    now = moment(call, name, info)
    kept = ObjectMetadata(
        content_type=kind,
        etag="",
        headers=kept_headers(call, now),
        system={} if link is None else link.system(EMPTY_ETAG),
    )
    wanted = (call.header("etag") or "").strip('"').lower()
    stored = await store(state, name, now, kept, call.stream(), length, wanted, condition(call, state, name))
    await versioned.tell(call, name, info)
    return created(stored.etag, now)


async def store(
    state: ObjectStoreState,
    name: Name,
    now: Timestamp,
    kept: ObjectMetadata,
    body: AsyncIterator[bytes],
    length: int | None,
    wanted: str = "",
    check: turns.Check | None = None,
) -> ObjectMetadata:
    """As `receive`; in a container with object versioning, as a new version. `check` is asked when all bytes are there, and
    what it finds stays so."""
    if check is None:
        return await _store(state, name, now, kept, body, length, wanted)
    async with turns.at_the_end(state, name, now, body, check) as checked:
        return await _store(state, name, now, kept, checked, length, wanted, now)


async def _store(
    state: ObjectStoreState,
    name: Name,
    now: Timestamp,
    kept: ObjectMetadata,
    body: AsyncIterator[bytes],
    length: int | None,
    wanted: str,
    moment: Timestamp | None = None,
) -> ObjectMetadata:
    """`moment` is that of a new version; None: when it has come."""
    await locks.require_parts_free(state, name)
    info = await state.container(name.account, name.container)
    try:
        if info is not None and versioning.status(info.metadata):
            kept = await locks.stored(state, info, kept)
            stored = await versioning.write(state, name, info, kept, body, length, wanted, moment)
            return stored[0]
        return await receive(state, name, now, kept, body, length, wanted)
    except Superseded as newer:
        raise Conflict(f"There is a version of {newer.newest.normal} already.") from newer


def created(etag: str, now: Timestamp, **more: str) -> Reply:
    headers = {
        "etag": etag,
        "last-modified": now.http,
        "content-type": "text/html; charset=UTF-8",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return Reply(201, headers=headers)


async def if_none(call: Call, state: ObjectStoreState, name: Name) -> None:
    header = call.header("if-none-match")
    if header is None:
        return
    if header.strip() != "*":
        raise BadRequest("Value: only * is supported for If-None-Match of a PUT")
    if await state.find(name) is not None:
        raise PreconditionFailed("There is an object of that name.")


def condition(call: Call, state: ObjectStoreState, name: Name) -> turns.Check | None:
    """What `store` is to check; None where the request has no condition."""
    return partial(if_none, call, state, name) if "if-none-match" in call.headers else None


@routes.add(
    "POST",
    OBJECT,
    policy=ANYONE,
    status=202,
    answers=NOTHING,
    also={200: outcome.ANSWERS, 201: PAGE, 303: PAGE, 307: NOTHING},
)
async def update_object(call: Call) -> Reply:
    """Replaces an object's metadata, all of them."""
    name = parse(call.path)
    info = await allow(call, name)
    state: ObjectStoreState = call.runtime.state
    if symlinks.TARGET in call.headers:
        raise BadRequest("A PUT request is required to set a symlink target")
    if call.arg("version-id"):
        raise BadRequest("POST to a specific version is not allowed")
    now = state.now()
    given = kept_headers(call, now)
    said = plain_type(call.header("content-type") or "")

    def changed(was: ObjectMetadata) -> ObjectMetadata:
        if state.has_expired(was):
            raise Missing
        return msgspec.structs.replace(was, content_type=said or was.content_type, headers=given)

    try:
        kept = await _update(call, state, name, info, now, changed)
    except Missing:
        raise gone() from None
    except Superseded as newer:
        raise Conflict("There is a newer version already.") from newer
    except DeviceError as error:
        raise Unavailable(str(error)) from error
    headers = {"content-type": "text/html; charset=UTF-8"}
    if (link := symlinks.of(kept)) is not None:
        etag = {symlinks.ETAG: link.etag} if link.etag else {}
        return Reply(307, headers={**headers, **etag, "location": link.path})
    return Reply(202, headers=headers)


async def _update(
    call: Call,
    state: ObjectStoreState,
    name: Name,
    info: ContainerInfo,
    now: Timestamp,
    changed: Callable[[ObjectMetadata], ObjectMetadata],
) -> ObjectMetadata:
    await locks.require_parts_free(state, name)
    if versioning.status(info.metadata):
        found = await versioning.find(state, name, info.metadata, None)
        if found is None or found.is_marker:
            raise Missing
        locks.require_free(state, info, found.version)
        await versioning.update(state, name, found, changed)
        call.response_headers[versioned.VERSION] = found.id
        return metadata.decode(found.version.metadata)
    if await state.find(name) is None:
        raise Missing
    device = await state.device_of(name)
    updated = await device.update(
        state.key(name), now, lambda old: metadata.encode(changed(metadata.decode(old)))
    )
    return metadata.decode(updated.metadata)


@routes.add("DELETE", OBJECT, policy=ANYONE, status=204, also={200: outcome.ANSWERS})
async def delete_object(call: Call) -> Reply:
    """Deletes an object; with `multipart-manifest=delete` a large one's segments too."""
    from pileus.services.object_store.api.manifest import delete_large

    name = parse(call.path)
    if call.arg("multipart-manifest") == "delete":
        return await delete_large(call, name)
    if not await delete(call, name):
        raise gone()
    return Reply(204, headers={"content-type": "text/html; charset=UTF-8"})


async def delete(call: Call, name: Name) -> bool:
    """Whether there was such an object; what was there before it may be the object now."""
    info = await allow(call, name)
    state: ObjectStoreState = call.runtime.state
    version_id = versioned.asked(call, info)
    if (expiry := call.header("x-if-delete-at")) is not None:
        await _require_expiry(state, name, _whole(expiry, "X-If-Delete-At"))
    if version_id is not None or versioning.status(info.metadata):
        return await versioned.delete(call, name, info, version_id)
    if versions.HISTORY in info.metadata:
        await versions.mark_deleted(state, name, info.metadata)
    elif versions.STACK in info.metadata and (old := await versions.restore(state, name, info.metadata)):
        return await remove(state, old)
    return await remove(state, name, moment(call, name, info))


async def _require_expiry(state: ObjectStoreState, name: Name, moment: int) -> None:
    """412 where the object expires at another moment, or never."""
    version = await state.find(name)
    kept = None if version is None else metadata.decode(version.metadata)
    if kept is not None and kept.headers.get("x-delete-at") != str(moment):
        raise PreconditionFailed("X-If-Delete-At and X-Delete-At do not match")


async def remove(state: ObjectStoreState, name: Name, now: Timestamp | None = None) -> bool:
    """Whether there was such an object. In a container with object versioning a marker hides it."""
    await locks.require_parts_free(state, name)
    was_there = await state.find(name) is not None
    info = await state.container(name.account, name.container)
    if info is not None and versioning.status(info.metadata):
        if was_there:
            await versioning.delete(state, name, info)
        return was_there
    try:
        device = await state.device_of(name)
        await device.delete(state.key(name), name.path, now or state.now())
    except Superseded as newer:
        raise Conflict("There is a newer version already.") from newer
    except DeviceError as error:
        raise Unavailable(str(error)) from error
    return was_there
