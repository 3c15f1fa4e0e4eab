"""Older versions, kept in another container (Object Storage API, "Object versioning").

`X-Versions-Location` is a stack: what a PUT replaces is put there, and a DELETE brings the latest back.
`X-History-Location` is a history: a DELETE leaves a marker there too, and brings nothing back.

The copy is made before the object changes. Where the object then did not change, because the power went, the copy has the
name that another attempt gives it, so it is made over, and not taken for an older version.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from pileus.kernel.errors import BadRequest, PreconditionFailed
from pileus.services.object_store import content, metadata
from pileus.services.object_store.driver import Version
from pileus.services.object_store.listings import Ask, Metadata
from pileus.services.object_store.metadata import RESTORED, ObjectMetadata
from pileus.services.object_store.name import Name, check_container, from_header
from pileus.services.object_store.receive import receive
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.version_entries import MARKER

STACK, HISTORY = "x-versions-location", "x-history-location"


def location(container: Metadata) -> str | None:
    """The container that older versions go to."""
    named = container.get(STACK) or container.get(HISTORY)
    return from_header(named).strip("/") if named else None


def one_place(headers: Mapping[str, str]) -> dict[str, str]:
    """A container's new headers, where versions go to one place in one way: what names one takes the other away, and so does
    what takes one away. 400 for both, 412 for a place that is no container's name."""
    given = [each for each in (STACK, HISTORY) if headers.get(each)]
    if len(given) > 1:
        raise BadRequest("Only one of X-Versions-Location or X-History-Location may be specified")
    named = [each for each in (STACK, HISTORY) if each in headers]
    gone = [f"x-remove-{each.removeprefix('x-')}" for each in (STACK, HISTORY)]
    if not named and not any(headers.get(each) for each in gone):
        return dict(headers)
    if given:
        where = location(headers) or ""
        if not where or "/" in where:
            raise PreconditionFailed("Container name cannot contain slashes")
        check_container(where)
    kept = {each: value for each, value in headers.items() if each not in gone}
    return kept | {each: headers[each] if each in given else "" for each in (STACK, HISTORY)}


def _prefix(name: Name) -> str:
    """Length of the name in bytes in three hexadecimal digits, so that no name's versions begin as another's."""
    return f"{len(name.object.encode()):03x}{name.object}/"


def _copy_of(name: Name, version: Version) -> str:
    return _prefix(name) + version.timestamp.normal


def _restored(version: Version | None) -> str | None:
    return None if version is None else metadata.decode(version.metadata).system.get(RESTORED)


async def keep(state: ObjectStoreState, name: Name, container: Metadata) -> None:
    """Before the object is replaced: copies it to where versions go. 412 where that is not there."""
    where = location(container)
    version = await state.find(name) if where else None
    if where is None or version is None:
        return
    await _require(state, name, where)
    old = content.plain(state, name, version)
    target = Name(name.account, where, _copy_of(name, version))
    await receive(state, target, state.now(), _plain(old.kept), old.read(0, old.size_bytes), old.size_bytes)
    if (restored := _restored(version)) is not None and restored != target.object:
        await _remove(state, Name(name.account, where, restored))


async def _require(state: ObjectStoreState, name: Name, where: str) -> None:
    if await state.container(name.account, where) is None:
        raise PreconditionFailed(f"There is no container {where} for older versions.")


def _plain(kept: ObjectMetadata) -> ObjectMetadata:
    """Without where it came from."""
    if RESTORED not in kept.system:
        return kept
    return msgspec.structs.replace(kept, system={n: v for n, v in kept.system.items() if n != RESTORED})


async def _remove(state: ObjectStoreState, name: Name) -> None:
    from pileus.services.object_store.api import write

    await write.remove(state, name)


async def mark_deleted(state: ObjectStoreState, name: Name, container: Metadata) -> None:
    """In a history: the object as it was, if there is one, and that it was deleted then."""
    where = location(container) or ""
    await keep(state, name, container)
    await _require(state, name, where)
    version = await state.find(name)
    listed = await _latest(state, name, where, 1)
    marked = [each["name"] for each in listed if each["content_type"] == MARKER]
    if version is not None and marked and marked[0] > _copy_of(name, version):
        return  # a deletion broke off after its marker
    now = state.now()
    target = Name(name.account, where, _prefix(name) + now.normal)
    marker = ObjectMetadata(content_type=MARKER, etag="", headers={})
    await receive(state, target, now, marker, _nothing(), 0)


async def restore(state: ObjectStoreState, name: Name, container: Metadata) -> Name | None:
    """In a stack: makes the latest version the object again. What it was is then to be removed; None where there is none.

    A deletion that a history left is a version too: where nothing came after it, it is what is to be removed, and what
    was there before it is the object again.
    """
    where = location(container) or ""
    current = await state.find(name)
    own = {_restored(current), None if current is None else _copy_of(name, current)}
    marker: Name | None = None
    for each in await _latest(state, name, where, 1000):
        source = Name(name.account, where, each["name"])
        if source.object in own:
            await _remove(state, source)
            continue
        version = await state.find(source)
        if version is not None and each["content_type"] == MARKER:
            if current is not None or marker is not None:
                break
            marker = source
        elif version is not None:
            old = content.plain(state, source, version)
            kept = msgspec.structs.replace(old.kept, system={**old.kept.system, RESTORED: source.object})
            await receive(state, name, state.now(), kept, old.read(0, old.size_bytes), old.size_bytes)
            if marker is not None:
                await _remove(state, source)
            return marker or source
    return marker


async def _latest(state: ObjectStoreState, name: Name, where: str, limit: int) -> list[dict[str, Any]]:
    """Of what is kept, the latest first."""
    asked = Ask(prefix=_prefix(name), reverse=True, limit=limit)
    body = await state.list_objects(Name(name.account, where), asked, "json")
    listed: list[dict[str, Any]] = msgspec.json.decode(body or b"[]")
    return listed


async def _nothing() -> AsyncIterator[bytes]:
    for nothing in range(0):
        yield bytes(nothing)
