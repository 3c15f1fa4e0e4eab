"""Notes of parts that may be nothing's soon: because their object ends, or their upload.

A note is an object that no client reaches, durable before what it tells of begins, and found in its container's list. It goes
when the parts are gone; what broke off in between, `upload_settler.py` makes up for.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from pileus.lib.timestamp import ZERO, Timestamp
from pileus.services.object_store import content, hidden, listed, metadata, versioning
from pileus.services.object_store.driver import Superseded, Version
from pileus.services.object_store.large import slo
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.metadata import ObjectMetadata
from pileus.services.object_store.name import Name
from pileus.services.object_store.receive import receive
from pileus.services.object_store.state import ObjectStoreState
from pileus.services.object_store.version_entries import place
from pileus.services.object_store.versioning import Found

ACCOUNT, CONTAINER = ".unsettled_uploads", "queue"
_EMPTY = ObjectMetadata(content_type="", etag="", headers={})


class Note(NamedTuple):
    name: Name
    """The object's; without a key a bucket's, with all its uploads."""
    upload_id: str = ""
    moment: Timestamp = ZERO
    """When the object that the parts are of is written, or was; without one no object has them."""

    @property
    def at(self) -> Name:
        tail = f"{self.upload_id}-{self.moment.internal}"
        return Name(ACCOUNT, CONTAINER, hidden.entry(self.name.path, tail))


def read(entry: str) -> Note:
    """From a name in the list."""
    path, tail = hidden.read(entry)
    upload_id, _, moment = tail.partition("-")
    return Note(Name(*path.split("/", 2)), upload_id, Timestamp.parse(moment))


def upload_of(found: Found) -> str | None:
    """The id of the upload whose parts an object has; None where it has none."""
    return metadata.decode(found.version.metadata).system.get(metadata.UPLOAD)


async def leave(state: ObjectStoreState, note: Note) -> None:
    if await state.container(ACCOUNT, CONTAINER) is None:
        await state.listings.set_container(ACCOUNT, CONTAINER, state.now(), dict, make=True)
        state.forget(ACCOUNT, CONTAINER)
    with suppress(Superseded):  # it is there already: another proxy's clock is ahead
        await receive(state, note.at, state.now(), _EMPTY, versioning.nothing(), 0)


async def drop(state: ObjectStoreState, note: Note) -> None:
    await versioning.remove(state, note.at)


async def completed(state: ObjectStoreState, name: Name, upload_id: str) -> Note | None:
    """The object that was made of an upload, where there is one."""
    for note in await _told(state, name, upload_id):
        if await parts_used(state, note) is not None:
            return note
    return None


async def all_parts_used(state: ObjectStoreState, note: Note) -> frozenset[Name] | None:
    """As `parts_used`, by whichever object was made of the upload: a client that heard nothing completes it again, with
    another moment and a note of its own."""
    told = [note, *await _told(state, note.name, note.upload_id)]
    found = [used for each in told if (used := await parts_used(state, each)) is not None]
    return frozenset().union(*found) if found else None


async def _told(state: ObjectStoreState, name: Name, upload_id: str) -> list[Note]:
    """Notes of the upload that the list has by now, and what the object as it is says itself."""
    info = await state.container(name.account, name.container)
    current = None if info is None else await versioning.find(state, name, info.metadata, None)
    prefix = hidden.entry(name.path, f"{upload_id}-")
    body = await state.list_objects(Name(ACCOUNT, CONTAINER), Ask(prefix=prefix), "json")
    notes = [read(row.name) for row in listed.rows(body or b"[]")]
    if current is not None and upload_of(current) == upload_id:
        notes.append(Note(name, upload_id, current.version.timestamp))
    return notes


async def parts_used(state: ObjectStoreState, note: Note) -> frozenset[Name] | None:
    """By the object that was made of the upload; None where there is no such object."""
    name, moment = note.name, note.moment
    for at in (name, place(name, moment), place(name, moment, null=True)):
        version = await state.find(at)
        if version is not None and _has_parts(version, note.upload_id):
            own = content.plain(state, at, version)
            manifest = b"".join([chunk async for chunk in own.read(0, own.size_bytes)])
            return frozenset(each.name for each in slo.segments(name.account, manifest))
    return None


def _has_parts(version: Version, upload_id: str) -> bool:
    kept = metadata.decode(version.metadata)
    return versioning.linked(kept) is None and kept.system.get(metadata.UPLOAD) == upload_id
