"""Older versions, kept in another container (Object Storage API, "Object versioning").

`X-Versions-Location` is a stack: what a PUT replaces is put there, and a DELETE brings the latest back.
`X-History-Location` is a history: a DELETE leaves a marker there too, and brings nothing back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import msgspec

from pileus.kernel.errors import PreconditionFailed
from pileus.services.object_store import content
from pileus.services.object_store.listings import Ask, Metadata
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.receive import receive
from pileus.services.object_store.state import ObjectStoreState

STACK, HISTORY = "x-versions-location", "x-history-location"
MARKER = "application/x-deleted;swift_versions_deleted=1"
"""Content type of what stands in a history for a deletion."""


def location(container: Metadata) -> str | None:
    """The container that older versions go to."""
    named = container.get(STACK) or container.get(HISTORY)
    return unquote(named).strip("/") if named else None


def _prefix(name: Name) -> str:
    """Length of the name in three hexadecimal digits, so that no name's versions begin as another's."""
    return f"{len(name.object):03x}{name.object}/"


async def keep(state: ObjectStoreState, name: Name, container: Metadata) -> None:
    """Before the object is replaced: copies it to where versions go. 412 where that is not there."""
    where = location(container)
    version = await state.find(name) if where else None
    if where is None or version is None:
        return
    if await state.container(name.account, where) is None:
        raise PreconditionFailed(f"There is no container {where} for older versions.")
    old = content.plain(state, name, version)
    target = Name(name.account, where, _prefix(name) + version.timestamp.normal)
    await receive(state, target, state.now(), old.kept, old.read(0, old.size_bytes), old.size_bytes)


async def mark_deleted(state: ObjectStoreState, name: Name, container: Metadata) -> None:
    """In a history: the object as it was, and that it was deleted then."""
    await keep(state, name, container)
    now = state.now()
    target = Name(name.account, location(container) or "", _prefix(name) + now.normal)
    marker = ObjectMetadata(content_type=MARKER, etag="", headers={})
    await receive(state, target, now, marker, _nothing(), 0)


async def restore(state: ObjectStoreState, name: Name, container: Metadata) -> Name | None:
    """In a stack: makes the latest version the object again. What it was is then to be removed; None where there is none."""
    where = location(container) or ""
    asked = Ask(prefix=_prefix(name), reverse=True, limit=1)
    listed: list[dict[str, Any]] = msgspec.json.decode(
        await state.listings.list_objects(name.account, where, asked, "json") or b"[]"
    )
    for each in listed:
        source = Name(name.account, where, each["name"])
        version = await state.find(source)
        if version is not None:
            old = content.plain(state, source, version)
            await receive(state, name, state.now(), old.kept, old.read(0, old.size_bytes), old.size_bytes)
            return source
    return None


async def _nothing() -> AsyncIterator[bytes]:
    for nothing in range(0):
        yield bytes(nothing)
