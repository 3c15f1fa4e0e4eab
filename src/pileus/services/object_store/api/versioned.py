"""Requests for one version of an object, by its id (Object Storage API, "Object versioning")."""

from __future__ import annotations

from pileus.kernel.api.call import Call
from pileus.kernel.errors import BadRequest, NotFound
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import locks, metadata, temp_url, versioning
from pileus.services.object_store.listings import ContainerInfo
from pileus.services.object_store.name import Name
from pileus.services.object_store.receive import announced
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.version_entries import NULL

VERSION, CURRENT = "x-object-version-id", "x-object-current-version-id"


def asked(call: Call, info: ContainerInfo | None) -> str | None:
    """The id that the request names; none by a temporary URL, whose signature does not cover it. 400 where it can't be one,
    or the container never kept versions."""
    wanted = call.arg("version-id")
    if not wanted or temp_url.is_signed(call):
        return None
    if wanted == NULL:
        return wanted
    if info is not None and not versioning.status(info.metadata):
        raise BadRequest("version-aware operations require that the container is versioned")
    try:
        Timestamp.parse(wanted)
    except ValueError:
        raise BadRequest("Invalid version parameter") from None
    return wanted


async def tell(call: Call, name: Name, info: ContainerInfo) -> None:
    """The answer says which version was stored, where the container keeps versions."""
    if not versioning.status(info.metadata):
        return
    found = await versioning.find(call.runtime.state, name, info.metadata, None)
    if found is not None and found.id != NULL:
        call.response_headers[VERSION] = found.id


async def delete(call: Call, name: Name, info: ContainerInfo, version_id: str | None) -> bool:
    """Whether there was such a version, or object; the version goes for good, the object behind a marker."""
    state: ObjectStoreState = call.runtime.state
    await locks.require_parts_free(state, name)
    found = await versioning.find(state, name, info.metadata, version_id)
    if version_id is None:
        was_there = found is not None and not found.is_marker
        if was_there or versioning.status(info.metadata) == "Enabled":
            deleted = await versioning.delete(state, name, info)
            if deleted.id is not None:
                call.response_headers[VERSION] = deleted.id
        else:
            await versioning.clear(state, name)
        return was_there
    if found is None:
        return False
    locks.require_free(state, info, found.version)
    await versioning.delete_version(state, name, found)
    current = await versioning.find(state, name, info.metadata, None)
    call.response_headers[VERSION] = found.id
    call.response_headers[CURRENT] = NULL if current is None or current.is_marker else current.id
    return True


async def _comes(call: Call) -> bool:
    async for chunk in call.stream():
        if chunk:
            return True
    return False


async def promote(call: Call, name: Name, info: ContainerInfo, version_id: str) -> str:
    """Makes a version the object again; returns its etag. 400 for `null`, and with a body."""
    if version_id == NULL:
        raise BadRequest("Invalid version parameter")
    length = announced(call, call.runtime.state)
    if length or (length is None and await _comes(call)):
        raise BadRequest("PUT version-id requests require a zero byte body")
    state: ObjectStoreState = call.runtime.state
    found = await versioning.find(state, name, info.metadata, version_id)
    if found is None:
        raise NotFound("The specified version does not exist")
    await versioning.promote(state, name, found)
    call.response_headers[VERSION] = found.id
    return metadata.decode(found.version.metadata).etag
