"""The hidden list of an object's versions: what stands in it, and where a version is kept."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import hidden
from pileus.services.object_store.listings import Ask
from pileus.services.object_store.name import Name
from pileus.services.object_store.state import ObjectStoreState

MARKER = "application/x-deleted;swift_versions_deleted=1"
"""Content type of what stands among the versions for a deletion."""
NULL = "null"
"""The id of what was stored while versioning was off, or suspended."""
_LAST = 1 << 62


class Entry(NamedTuple):
    """A version as the hidden list has it."""

    key: str
    id: str
    moment: Timestamp
    """When it was written."""
    link: str
    """What a link to it says: the id, or of the version `null` its moment, after an `n`."""
    name: str
    """In the hidden list."""
    is_marker: bool
    etag: str
    size_bytes: int
    changed: str
    content_type: str


def place(name: Name, moment: Timestamp, *, null: bool = False) -> Name:
    """Where a version is kept that was written then."""
    tail = f"{_LAST - moment.units:016x}{'n' if null else ''}"  # newest first
    return hidden.shadow("versions", name)._replace(object=hidden.entry(name.object, tail))


def place_of(name: Name, entry: Entry) -> Name:
    return hidden.shadow("versions", name)._replace(object=entry.name)


def linked_place(name: Name, link: str) -> Name | None:
    """Where the version is kept that a link says; None where that is no link."""
    is_null = link.startswith("n")
    try:
        moment = Timestamp.parse(link.removeprefix("n"))
    except ValueError:
        return None
    return place(name, moment, null=is_null) if moment.normal == link.removeprefix("n") else None


def read_tail(tail: str) -> tuple[Timestamp, bool]:
    """When the version was written, and whether it is the version `null`."""
    return Timestamp(_LAST - int(tail.removesuffix("n"), 16)), tail.endswith("n")


async def entries(
    state: ObjectStoreState, container: Name, *, prefix: str = "", marker: str = "", limit: int = 1000
) -> list[Entry]:
    """Of a container's hidden list, from `marker` (a name in it) on; `prefix` is a name's."""
    asked = Ask(prefix=prefix, marker=marker, limit=limit)
    listed = await state.list_objects(hidden.shadow("versions", container), asked, "json")
    rows: list[dict[str, Any]] = msgspec.json.decode(listed or b"[]")
    return [_entry(row) for row in rows]


def _entry(row: dict[str, Any]) -> Entry:
    key, tail = hidden.read(row["name"])
    moment, is_null = read_tail(tail)
    return Entry(
        key,
        NULL if is_null else moment.normal,
        moment,
        f"n{moment.normal}" if is_null else moment.normal,
        row["name"],
        row["content_type"] == MARKER,
        row["hash"],
        row["bytes"],
        row["last_modified"],
        row["content_type"],
    )


async def newest(state: ObjectStoreState, name: Name) -> Entry | None:
    found = await entries(state, name, prefix=hidden.entry(name.object, ""), limit=1)
    return found[0] if found else None


async def nulls(state: ObjectStoreState, name: Name) -> list[Entry]:
    """Versions `null` that are not under the object's own name, newest first. Of more than one only the first counts."""
    found: list[Entry] = []
    prefix, marker = hidden.entry(name.object, ""), ""
    while page := await entries(state, name, prefix=prefix, marker=marker):
        found += [each for each in page if each.id == NULL]
        marker = page[-1].name
    return found
