"""Objects whose versions changed, until the object itself is what its versions say.

A version is written, or removed, before the object that links to it changes. What happened to the first and not to the
second, because the power went or a disk was away, stands here: a list that follows the versions as all lists follow
objects, so that it has no durability of its own to care for. The content type of an entry is the tail of the version that
was removed, where one was.
"""

from __future__ import annotations

from collections.abc import Mapping

from pileus.lib.timestamp import Timestamp
from pileus.services.object_store import hidden, metadata
from pileus.services.object_store.driver import Version
from pileus.services.object_store.listings import Ask, Listings, ObjectEntry
from pileus.services.object_store.name import Name

ACCOUNT, CONTAINER = ".unsettled_versions", "queue"


async def prepare(listings: Listings, now: Timestamp) -> None:
    """There is such a list when this returns."""
    if await listings.container(ACCOUNT, CONTAINER) is None:
        await listings.set_container(ACCOUNT, CONTAINER, now, dict, make=True)


async def waits(listings: Listings, name: Name) -> bool:
    """Whether the object is not what its versions say yet, or may not be."""
    first = await listings.list_objects(ACCOUNT, CONTAINER, Ask(prefix=name.path, limit=1), "plain")
    return first is not None and first.decode().rstrip("\n") == name.path


def heard(listings: Listings, version: Version, system: Mapping[str, str]) -> None:
    """Of every change of an object or of a version, with what other layers keep with it."""
    found = hidden.object_of("versions", version.path)
    if found is not None:
        name, tail = found
    elif metadata.IS_NULL in system:
        name, tail = Name(*version.path.split("/", 2)), ""
    else:
        return
    said = tail if version.deleted else ""
    listings.note(ACCOUNT, CONTAINER, ObjectEntry(name.path, version.changed, version.changed, 0, "", said))


def done(listings: Listings, name: Name, moment: Timestamp) -> None:
    """The object is what its versions say after what happened to them then."""
    after = Timestamp(moment.units, moment.offset + 1)
    listings.note(ACCOUNT, CONTAINER, ObjectEntry(name.path, after, after, 0, None, ""))
