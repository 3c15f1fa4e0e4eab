"""Object versioning: every version of an object stays, by an id, until it is deleted by that id.

Swift's `X-Versions-Enabled` (Object Storage API, "Object versioning") and S3's bucket versioning, over the same versions.
Versions are objects in a container of the same name in a hidden account; no data moves when one is replaced. Under the
object's own name stands a link to the newest, with its metadata; none where the newest is a delete marker. What was
stored while versioning was off, or suspended, stands under the object's own name itself and is the version `null`; it
is moved to the others only when a newer one comes.

A version is written, or removed, before the link: each step alone leaves what can be told from what is there, and where
the next one never came `settle` makes it up (`doc/decisions/0027-versions-and-their-links.md`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Literal, NamedTuple

import msgspec

from pileus.kernel.errors import Conflict, Unavailable
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import content, hidden, metadata, unsettled
from pileus.services.object_store.driver import DeviceError, Missing, Superseded, Version
from pileus.services.object_store.listings import ContainerInfo, Metadata, NoSuchContainer
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.receive import receive
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.version_entries import (
    MARKER,
    NULL,
    Entry,
    linked_place,
    newest,
    nulls,
    place,
    place_of,
    read_tail,
)

STATUS = metadata.SYSTEM + "versioning"
"""In a container's metadata: `Enabled` or `Suspended`, once it was enabled."""
TRIES = 3
Status = Literal["", "Enabled", "Suspended"]


async def nothing() -> AsyncIterator[bytes]:
    for nothing in range(0):
        yield bytes(nothing)


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


class Found(NamedTuple):
    """A version, where it is kept."""

    at: Name
    version: Version
    id: str
    is_marker: bool = False


class Deleted(NamedTuple):
    id: str | None
    """Of the version that is gone, or of the marker that stands for the deletion; None without versioning."""
    is_marker: bool


def status(container: Metadata) -> Status:
    found = container.get(STATUS)
    return "Enabled" if found == "Enabled" else "Suspended" if found == "Suspended" else ""


def linked(kept: ObjectMetadata) -> str | None:
    """What a record says that is a link, as `Entry.link`."""
    return kept.system.get(metadata.LINK) if kept.system else None


def link_of(version: Version) -> str | None:
    """The same of an object; None where it is no link."""
    return linked(metadata.decode(version.metadata))


# Finding


async def find(
    state: ObjectStoreState, name: Name, container: Metadata, version_id: str | None
) -> Found | None:
    """The newest version, or the one with the id; a delete marker among them."""
    if version_id is None:
        return await _current(state, name, container)
    if version_id != NULL:
        is_id = status(container) and not version_id.startswith("n")
        return await target(state, name, version_id) if is_id else None
    version = await state.find(name)
    link = None if version is None else link_of(version)
    if version is not None and link is None:
        return Found(name, version, NULL)
    for entry in await nulls(state, name) if status(container) else ():
        return await _found(state, place_of(name, entry), NULL)
    return None


async def _current(state: ObjectStoreState, name: Name, container: Metadata) -> Found | None:
    for _ in range(TRIES):
        version = await state.find(name)
        if version is None:
            entry = await newest(state, name) if status(container) else None
            if entry is None or not entry.is_marker:
                return None
            return await _found(state, place_of(name, entry), entry.id)
        link = link_of(version)
        if link is None:
            return Found(name, version, NULL)
        if (found := await target(state, name, link)) is not None:
            return found
        await settle(state, name)
    return None


async def target(state: ObjectStoreState, name: Name, link: str) -> Found | None:
    """The version that a link stands for."""
    at = linked_place(name, link)
    return None if at is None else await _found(state, at, NULL if link.startswith("n") else link)


async def _found(state: ObjectStoreState, at: Name, version_id: str) -> Found | None:
    version = await state.find(at)
    if version is None:
        return None
    return Found(at, version, version_id, metadata.decode(version.metadata).content_type == MARKER)


# Writing


async def write(
    state: ObjectStoreState,
    name: Name,
    info: ContainerInfo,
    kept: ObjectMetadata,
    body: AsyncIterator[bytes],
    length: int | None,
    wanted: str = "",
    moment: Timestamp | None = None,
) -> tuple[ObjectMetadata, str | None]:
    """As `receive`, by default now, as the container's versioning wants it; returns the id of the version, too.

    Raises Superseded.
    """
    now = status(info.metadata)
    if now != "Enabled":
        moment = moment or state.now()
        if now:
            kept = msgspec.structs.replace(kept, system={**kept.system, metadata.IS_NULL: ""})
        stored = await receive(state, name, moment, kept, body, length, wanted)
        if now:
            await _forget_null(state, name)
            unsettled.done(state.listings, name, moment)
        return stored, NULL if now else None
    await hidden.make(state, "versions", name, info)
    moment = moment or state.now()
    at = place(name, moment)
    stored = await receive(state, at, moment, kept, body, length, wanted)
    await _keep_null(state, name)
    version = await state.find(at)
    if version is not None:
        await _link(state, name, version, moment.normal, moment)
    unsettled.done(state.listings, name, moment)
    return stored, moment.normal


async def _link(state: ObjectStoreState, name: Name, version: Version, link: str, moment: Timestamp) -> None:
    """Makes a version the object. That a newer one came meanwhile is as good."""
    device = await state.device_of(name)
    try:
        await device.put(state.key(name), name.path, moment, _linking(version, link), b"")
    except Superseded:
        pass
    except DeviceError as error:
        raise Unavailable(str(error)) from error


def _linking(version: Version, link: str) -> bytes:
    """A link's metadata."""
    kept = metadata.decode(version.metadata)
    return metadata.encode(
        msgspec.structs.replace(
            kept,
            large_bytes=metadata.size(kept, version.size_bytes),
            system={**kept.system, metadata.LINK: link},
        )
    )


async def _keep_null(state: ObjectStoreState, name: Name) -> None:
    """Before a version comes under the object's name: what stands there itself is moved to the others."""
    version = await state.find(name)
    if version is None:
        return
    old = content.plain(state, name, version)
    if linked(old.kept) is not None:
        return
    await _forget_null(state, name, but=version.timestamp)
    at = place(name, version.timestamp, null=True)
    with suppress(Superseded):  # it is there already: another request was faster, or an earlier one broke off
        await receive(state, at, version.timestamp, old.kept, old.read(0, old.size_bytes), old.size_bytes)


async def _forget_null(state: ObjectStoreState, name: Name, but: Timestamp | None = None) -> None:
    """There is another version `null` now, written at `but` where it is one of the others."""
    for entry in await nulls(state, name):
        if entry.moment != but:
            unsettled.done(state.listings, name, await remove(state, place_of(name, entry)))


async def remove(state: ObjectStoreState, at: Name, moment: Timestamp | None = None) -> Timestamp:
    """A record, at once and for good, unless there is a newer one than of that moment; returns the moment, by default now."""
    moment = moment or state.now()
    device = await state.device_of(at)
    try:
        await device.delete(state.key(at), at.path, moment)
    except Superseded:
        pass
    except DeviceError as error:
        raise Unavailable(str(error)) from error
    return moment


async def clear(state: ObjectStoreState, name: Name, moment: Timestamp | None = None) -> None:
    """What stands under the object's own name, its time may have come or not."""
    current = await (await state.device_of(name)).find(state.key(name))
    if current is not None and not current.deleted:
        await remove(state, name, moment)


async def delete(
    state: ObjectStoreState, name: Name, info: ContainerInfo, moment: Timestamp | None = None
) -> Deleted:
    """As a DELETE without an id does: a marker hides the object, and no version goes. Only without versioning, or what is
    `null` while it is suspended, is gone."""
    now = status(info.metadata)
    if not now:
        await remove(state, name, moment)
        return Deleted(None, False)
    await hidden.make(state, "versions", name, info)
    moment = moment or state.now()
    marker = ObjectMetadata(content_type=MARKER, etag="", headers={})
    at = place(name, moment, null=now == "Suspended")
    await receive(state, at, moment, marker, nothing(), 0)
    if now == "Enabled":
        await _keep_null(state, name)
    await clear(state, name, moment)
    if now == "Suspended":
        await _forget_null(state, name, but=moment)
    unsettled.done(state.listings, name, moment)
    return Deleted(NULL if now == "Suspended" else moment.normal, True)


async def delete_version(state: ObjectStoreState, name: Name, found: Found) -> Deleted:
    """One version, for good. Where it was the newest, the one before it is the object again."""
    if found.at == name:
        await _forget_null(state, name)
        await _fall_back(state, name)
        return Deleted(found.id, found.is_marker)
    current = await state.find(name)
    link = None if current is None else link_of(current)
    moment = await remove(state, found.at)
    if found.is_marker if current is None else link and linked_place(name, link) == found.at:
        await _fall_back(state, name)
    unsettled.done(state.listings, name, moment)
    return Deleted(found.id, found.is_marker)


async def promote(state: ObjectStoreState, name: Name, found: Found) -> None:
    """Makes a version the object again, whatever came after it."""
    await _keep_null(state, name)
    await _link(state, name, found.version, found.version.timestamp.normal, state.now())


async def _fall_back(state: ObjectStoreState, name: Name) -> None:
    """What is the newest of the others now is the object. Where that is a deletion, or there is none, there is no object."""
    entry = await newest(state, name)
    if entry is None or entry.is_marker:
        await clear(state, name)
    elif (older := await state.find(place_of(name, entry))) is not None:
        await _link(state, name, older, entry.link, state.now())


async def settle(
    state: ObjectStoreState, name: Name, since: Timestamp | None = None, removed: str = ""
) -> bool:
    """Makes up for what broke off between a version and its link; whether there was anything. `since` is when something
    last happened to a version, as far as is known; `removed` the tail of one that was removed then."""
    device = await state.device_of(name)
    current = await device.find(state.key(name))
    link = None if current is None or current.deleted else link_of(current)
    last = await newest(state, name)
    if current is not None and link is not None:
        changed = await _settle_link(state, name, current, link, since)
        if changed is not None:
            return changed
    elif removed and last and (current is None or current.timestamp == read_tail(removed)[0]):
        await _fall_back(state, name)  # it was the marker that hid the object
        return True
    if last is not None and last.moment == since and (current is None or current.timestamp <= since):
        await _roll_forward(state, name, last)
        return True
    if current is not None and not current.deleted and link is None:
        await _forget_null(state, name)
    return False


async def _roll_forward(state: ObjectStoreState, name: Name, last: Entry) -> None:
    if last.id != NULL:
        await _keep_null(state, name)
    if last.is_marker:
        await remove(state, name, last.moment)
    elif (version := await state.find(place_of(name, last))) is not None:
        await _link(state, name, version, last.link, last.moment)
    if last.id == NULL:
        await _forget_null(state, name, but=last.moment)


async def _settle_link(
    state: ObjectStoreState, name: Name, current: Version, link: str, since: Timestamp | None
) -> bool | None:
    """A link to nothing, or with old metadata; None where it is in order."""
    at = linked_place(name, link)
    version = None if at is None else await (await state.device_of(at)).find(state.key(at))
    if version is None or version.deleted:
        await _fall_back(state, name)
        return True
    if version.changed == since and version.changed > current.changed:
        anew = _linking(version, link)
        device = await state.device_of(name)
        await device.update(state.key(name), version.changed, lambda _: anew)
        return True
    return None


async def update(
    state: ObjectStoreState, name: Name, found: Found, change: Callable[[ObjectMetadata], ObjectMetadata]
) -> None:
    """New metadata for a version, and for the link to it."""
    now = state.now()

    def changed(old: bytes) -> bytes:
        return metadata.encode(change(metadata.decode(old)))

    for at in (found.at, name) if found.at != name else (name,):
        if at == name and found.at != name:
            current = await state.find(name)
            link = None if current is None else link_of(current)
            if link is None or linked_place(name, link) != found.at:
                continue
        device = await state.device_of(at)
        try:
            await device.update(state.key(at), now, changed)
        except (Missing, Superseded):
            continue  # gone or replaced meanwhile: nothing is left to be changed
        except DeviceError as error:
            raise Unavailable(str(error)) from error
    unsettled.done(state.listings, name, now)


async def set_status(state: ObjectStoreState, name: Name, info: ContainerInfo, wanted: Status) -> None:
    """409 where versions may be locked, and so are kept for good."""
    if wanted != "Enabled" and metadata.OBJECT_LOCK in info.metadata:
        raise Conflict("The container has object lock, so it keeps versions.")
    await hidden.make(state, "versions", name, info)

    def change(old: Metadata) -> Metadata:
        return {**old, STATUS: wanted}

    await state.listings.set_container(name.account, name.container, state.now(), change, make=False)
    state.forget(name.account, name.container)


async def drop(state: ObjectStoreState, name: Name) -> None:
    """Before a container is deleted: its hidden ones, which must be empty. Raises NotEmpty."""
    where = hidden.shadow("versions", name)
    if await state.container(where.account, where.container) is None:
        return
    try:
        await state.listings.delete_container(where.account, where.container)
    except NoSuchContainer:
        pass
    finally:
        state.forget(where.account, where.container)
