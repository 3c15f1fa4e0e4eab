"""Object versioning: every version of an object stays, by an id, until it is deleted by that id.

Swift's `X-Versions-Enabled` (Object Storage API, "Object versioning") and S3's bucket versioning, over the same versions.
Versions are objects in a container of the same name in a hidden account; no data moves when one is replaced. Under the
object's own name stands a link to the newest, with its metadata; none where the newest is a delete marker. What was
stored while versioning was off, or suspended, stands under the object's own name itself and is the version `null`; it
is moved to the others only when a newer one comes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, NamedTuple

import msgspec

from pileus.kernel.errors import Conflict, Unavailable
from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import content, metadata
from pileus.services.object_store.driver import DeviceError, Missing, Superseded, Version
from pileus.services.object_store.listings import Ask, ContainerInfo, Metadata, NoSuchContainer
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.receive import receive
from pileus.services.object_store.state import ObjectStoreState

STATUS = metadata.SYSTEM + "versioning"
"""In a container's metadata: `Enabled` or `Suspended`, once it was enabled."""
MARKER = "application/x-deleted;swift_versions_deleted=1"
"""Content type of what stands among the versions for a deletion."""
NULL = "null"
_END = "\x01\x01"
"""Ends a name in a hidden list; `_escaped` keeps it out of names, and the order as it is."""
_LAST = 1 << 62
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


class Entry(NamedTuple):
    """A version as the hidden list has it."""

    key: str
    id: str
    name: str
    """In the hidden list."""
    is_marker: bool
    etag: str
    size_bytes: int
    changed: str
    content_type: str


class Deleted(NamedTuple):
    id: str | None
    """Of the version that is gone, or of the marker that stands for the deletion; None without versioning."""
    is_marker: bool


def status(container: Metadata) -> Status:
    found = container.get(STATUS)
    return "Enabled" if found == "Enabled" else "Suspended" if found == "Suspended" else ""


def hidden(kind: str, name: Name) -> Name:
    """The container's shadow in an account that no client reaches."""
    return Name(f".{kind}-{name.account}", name.container)


async def make_hidden(state: ObjectStoreState, kind: str, name: Name, info: ContainerInfo) -> Name:
    where = hidden(kind, name)
    if await state.container(where.account, where.container) is None:
        await state.listings.set_container(
            where.account, where.container, state.now(), dict, make=True, policy=info.policy
        )
        state.forget(where.account, where.container)
    return where


def escaped(key: str) -> str:
    return key.replace("\x01", "\x01\x02")


def hidden_name(key: str, tail: str) -> str:
    """In a hidden list: in the order of keys, then of tails."""
    return escaped(key) + _END + tail


def read_hidden(name: str) -> tuple[str, str]:
    """The key and the tail."""
    key, _, tail = name.rpartition(_END)
    return key.replace("\x01\x02", "\x01"), tail


def _tail(moment: Timestamp, *, null: bool = False) -> str:
    """Newest first."""
    return f"{_LAST - moment.units:016x}{'n' if null else ''}"


def _at(name: Name, moment: Timestamp, *, null: bool = False) -> Name:
    return hidden("versions", name)._replace(object=hidden_name(name.object, _tail(moment, null=null)))


def _by_id(name: Name, version_id: str) -> Name | None:
    """None where that is no id."""
    try:
        moment = Timestamp.parse(version_id)
    except ValueError:
        return None
    return _at(name, moment) if moment.normal == version_id else None


def linked(kept: ObjectMetadata) -> str | None:
    """The id of the version that a record is a link to."""
    return kept.system.get(metadata.LINK) if kept.system else None


# Finding


async def find(
    state: ObjectStoreState, name: Name, container: Metadata, version_id: str | None
) -> Found | None:
    """The newest version, or the one with the id; a delete marker among them."""
    if version_id is None or version_id == NULL:
        version = await state.find(name)
        if version is not None:
            link = linked(metadata.decode(version.metadata))
            if link is None:
                return Found(name, version, NULL)
            if version_id is None:
                return await _found(state, _by_id(name, link), link)
        if not status(container):
            return None
        if version_id is None:
            entry = await _newest(state, name)
            if entry is None or not entry.is_marker:
                return None
        else:
            entry = await _null(state, name)
            if entry is None:
                return None
        return await _found(state, hidden("versions", name)._replace(object=entry.name), entry.id)
    return await _found(state, _by_id(name, version_id), version_id) if status(container) else None


async def _found(state: ObjectStoreState, at: Name | None, version_id: str) -> Found | None:
    version = None if at is None else await state.find(at)
    if at is None or version is None:
        return None
    return Found(at, version, version_id, metadata.decode(version.metadata).content_type == MARKER)


async def entries(
    state: ObjectStoreState, container: Name, *, prefix: str = "", marker: str = "", limit: int = 1000
) -> list[Entry]:
    """Of the hidden list, from `marker` (a name in it) on; `prefix` is a name's."""
    where = hidden("versions", container)
    asked = Ask(prefix=prefix, marker=marker, limit=limit)
    listed = await state.listings.list_objects(where.account, where.container, asked, "json")
    rows: list[dict[str, Any]] = msgspec.json.decode(listed or b"[]")
    return [_entry(row) for row in rows]


def _entry(row: dict[str, Any]) -> Entry:
    key, tail = read_hidden(row["name"])
    null = tail.endswith("n")
    moment = Timestamp(_LAST - int(tail.removesuffix("n"), 16))
    return Entry(
        key,
        NULL if null else moment.normal,
        row["name"],
        row["content_type"] == MARKER,
        row["hash"],
        row["bytes"],
        row["last_modified"],
        row["content_type"],
    )


async def _newest(state: ObjectStoreState, name: Name) -> Entry | None:
    found = await entries(state, name, prefix=hidden_name(name.object, ""), limit=1)
    return found[0] if found else None


async def _null(state: ObjectStoreState, name: Name) -> Entry | None:
    """The version `null` that is not under the object's own name."""
    prefix, marker = hidden_name(name.object, ""), ""
    while found := await entries(state, name, prefix=prefix, marker=marker):
        for each in found:
            if each.id == NULL:
                return each
        marker = found[-1].name
    return None


# Writing


async def write(
    state: ObjectStoreState,
    name: Name,
    info: ContainerInfo,
    kept: ObjectMetadata,
    body: AsyncIterator[bytes],
    length: int | None,
    wanted: str = "",
) -> tuple[ObjectMetadata, str | None]:
    """As `receive`, as the container's versioning wants it; returns the id of the version, too. Raises Superseded."""
    now = status(info.metadata)
    if now != "Enabled":
        stored = await receive(state, name, state.now(), kept, body, length, wanted)
        if now:
            await _forget_null(state, name)
        return stored, NULL if now else None
    await make_hidden(state, "versions", name, info)
    moment = state.now()
    at = _at(name, moment)
    stored = await receive(state, at, moment, kept, body, length, wanted)
    await _keep_null(state, name)
    version = await state.find(at)
    if version is not None:
        await _link(state, name, version, moment)
    return stored, moment.normal


async def _link(state: ObjectStoreState, name: Name, version: Version, moment: Timestamp) -> None:
    """Makes a version the object. That a newer one came meanwhile is as good."""
    kept = metadata.decode(version.metadata)
    link = msgspec.structs.replace(
        kept,
        large_bytes=metadata.size(kept, version.size_bytes),
        system={**kept.system, metadata.LINK: version.timestamp.normal},
    )
    device = await state.device_of(name)
    try:
        await device.put(state.key(name), name.path, moment, metadata.encode(link), b"")
    except Superseded:
        pass
    except DeviceError as error:
        raise Unavailable(str(error)) from error


async def _keep_null(state: ObjectStoreState, name: Name) -> None:
    """Before a version comes under the object's name: what stands there itself is moved to the others."""
    version = await state.find(name)
    if version is None:
        return
    old = content.plain(state, name, version)
    if linked(old.kept) is None:
        at = _at(name, version.timestamp, null=True)
        await receive(state, at, version.timestamp, old.kept, old.read(0, old.size_bytes), old.size_bytes)


async def _forget_null(state: ObjectStoreState, name: Name) -> None:
    """There is another version `null` now."""
    entry = await _null(state, name)
    if entry is not None:
        await remove(state, hidden("versions", name)._replace(object=entry.name))


async def remove(state: ObjectStoreState, at: Name) -> None:
    """A record, at once and for good."""
    device = await state.device_of(at)
    try:
        await device.delete(state.key(at), at.path, state.now())
    except Superseded:
        pass
    except DeviceError as error:
        raise Unavailable(str(error)) from error


async def delete(state: ObjectStoreState, name: Name, info: ContainerInfo) -> Deleted:
    """As a DELETE without an id does: a marker hides the object, and no version goes. Only without versioning, or what is
    `null` while it is suspended, is gone."""
    now = status(info.metadata)
    if not now:
        await remove(state, name)
        return Deleted(None, False)
    await make_hidden(state, "versions", name, info)
    moment = state.now()
    if now == "Enabled":
        await _keep_null(state, name)
    else:
        await _forget_null(state, name)
    marker = ObjectMetadata(content_type=MARKER, etag="", headers={})
    at = _at(name, moment, null=now == "Suspended")
    await receive(state, at, moment, marker, nothing(), 0)
    if await state.find(name) is not None:
        await remove(state, name)
    return Deleted(NULL if now == "Suspended" else moment.normal, True)


async def delete_version(state: ObjectStoreState, name: Name, found: Found) -> Deleted:
    """One version, for good. Where it was the newest, the one before it is the object again."""
    current = await state.find(name)
    link = None if current is None else linked(metadata.decode(current.metadata))
    was_newest = current is None or found.at == name or link == found.id
    await remove(state, found.at)
    if was_newest:
        entry = await _newest(state, name)
        if entry is None or entry.is_marker:
            if current is not None and found.at != name:
                await remove(state, name)
        elif (at := hidden("versions", name)._replace(object=entry.name)) and (older := await state.find(at)):
            await _promote(state, name, entry, at, older)
    return Deleted(found.id, found.is_marker)


async def _promote(state: ObjectStoreState, name: Name, entry: Entry, at: Name, older: Version) -> None:
    if entry.id == NULL:
        old = content.plain(state, at, older)
        await receive(state, name, state.now(), old.kept, old.read(0, old.size_bytes), old.size_bytes)
        await remove(state, at)
    else:
        await _link(state, name, older, state.now())


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
            if current is None or linked(metadata.decode(current.metadata)) != found.id:
                continue
        device = await state.device_of(at)
        try:
            await device.update(state.key(at), now, changed)
        except (Missing, Superseded):
            continue  # gone or replaced meanwhile: nothing is left to be changed
        except DeviceError as error:
            raise Unavailable(str(error)) from error


async def set_status(state: ObjectStoreState, name: Name, info: ContainerInfo, wanted: Status) -> None:
    """409 where versions may be locked, and so are kept for good."""
    if wanted != "Enabled" and metadata.OBJECT_LOCK in info.metadata:
        raise Conflict("The container has object lock, so it keeps versions.")
    await make_hidden(state, "versions", name, info)

    def change(old: Metadata) -> Metadata:
        return {**old, STATUS: wanted}

    await state.listings.set_container(name.account, name.container, state.now(), change, make=False)
    state.forget(name.account, name.container)


async def drop(state: ObjectStoreState, name: Name) -> None:
    """Before a container is deleted: its hidden ones, which must be empty. Raises NotEmpty."""
    where = hidden("versions", name)
    if await state.container(where.account, where.container) is None:
        return
    try:
        await state.listings.delete_container(where.account, where.container)
    except NoSuchContainer:
        pass
    finally:
        state.forget(where.account, where.container)
